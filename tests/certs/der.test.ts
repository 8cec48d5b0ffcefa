import fc from 'fast-check'
import t from 'tap'
import {
  bitString,
  element,
  elements,
  integer,
  namedBits,
  octets,
  oid,
  sequence,
  time,
} from '../../certs/der.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

t.test('a length takes the fewest bytes', async (t) => {
  t.equal(hex(element(4, new Uint8Array(127))).slice(0, 6), '047f00')
  t.equal(hex(element(4, new Uint8Array(128))).slice(0, 6), '048180')
  t.equal(hex(element(4, new Uint8Array(255))).slice(0, 6), '0481ff')
  t.equal(hex(element(4, new Uint8Array(256))).slice(0, 8), '04820100')
  t.equal(hex(element(4, new Uint8Array(65_536))).slice(0, 10), '0483010000')
})

t.test('an integer is positive and as short as it can be', async (t) => {
  t.equal(hex(integer(Uint8Array.of())), '020100')
  t.equal(hex(integer(Uint8Array.of(0, 0))), '020100')
  t.equal(hex(integer(Uint8Array.of(0, 0, 0x7f))), '02017f')
  t.equal(hex(integer(Uint8Array.of(0x80))), '02020080')
})

t.test('identifiers and bits are written as the standard shows them', async (t) => {
  t.equal(hex(oid('1.2.840.113549')), '06062a864886f70d', 'X.690 §8.19')
  t.equal(hex(oid('2.5.29.17')), '0603551d11')
  t.equal(hex(oid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302')
  t.equal(hex(namedBits(0)), '03020780', 'digitalSignature')
  t.equal(hex(namedBits(5, 6)), '03020106', 'keyCertSign and cRLSign')
  t.equal(hex(bitString(Uint8Array.of(1))), '03020001')
})

t.test('a time changes its form with the year 2050 (RFC 5280 §4.1.2.5)', async (t) => {
  const text = (ms: number) => elements(time(ms)).map((e) => [e.tag, e.content.toString()])[0]
  t.same(text(Date.UTC(2049, 11, 31, 23, 59, 59, 999)), [0x17, '491231235959Z'])
  t.same(text(Date.UTC(2050, 0, 1)), [0x18, '20500101000000Z'])
})

t.test('what was written is read back', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (parts) => {
      const [outer, ...others] = elements(sequence(...parts.map((part) => octets(part))))
      const inner = elements(outer?.content ?? Buffer.alloc(0))
      return (
        others.length === 0 &&
        inner.length === parts.length &&
        inner.every((e, i) => e.tag === 4 && Buffer.compare(e.content, parts[i] as Uint8Array) === 0)
      )
    }),
  )
})

t.test('refuses what is not DER', async (t) => {
  const cases = {
    'a tag without a length': '04',
    'contents that are cut off': '040200',
    'an indefinite length': '3080020100000000',
    'a length in more bytes than it takes': '0481010a',
    'a length with a leading zero': `04820080${'00'.repeat(128)}`,
    'a length that is cut off': '048201',
    'a length of five bytes': '04850000000001ff',
    'a tag of two bytes': '1f810100',
  }
  for (const [name, bytes] of Object.entries(cases)) {
    t.throws(() => elements(Buffer.from(bytes, 'hex')), RangeError, name)
  }
})
