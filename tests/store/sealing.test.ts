import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import type { SealedPlace } from '../../core/store.ts'
import { encodeCanonically, type Part } from '../../store/canonical.ts'
import { Keyring, makeDataKey } from '../../store/keyring.ts'
import { makeSealer } from '../../store/sealing.ts'

const master = createSecretKey(randomBytes(32))
const SITE = '2f1d0a7e-0000-4000-8000-000000000001'
const dataKey = makeDataKey(master, SITE, randomBytes, 1)

function keyringOf(site: string, ...rows: (typeof dataKey)[]): Keyring {
  const keyring = new Keyring(site, master)
  keyring.load(rows)
  return keyring
}

const sealer = makeSealer(keyringOf(SITE, dataKey), randomBytes)
const place: SealedPlace = {
  table: 'credentials',
  row: 'c1',
  field: 'apiKey',
  version: 3,
  owner: 'user:ada',
  audience: ['https://a.example', 'https://b.example'],
}
const refused = { code: 'internal', detail: /was changed, or was not sealed for this place/ }

t.test('a sealed value opens at its own place', async (t) => {
  for (const size of [0, 1, 15, 16, 17, 5_000]) {
    const plain = randomBytes(size)
    t.strictSame(sealer.open(place, sealer.seal(place, plain)), plain)
  }
})

t.test('a sealed value opens at no other place', async (t) => {
  const sealed = sealer.seal(place, Buffer.from('secret'))
  const others: Partial<SealedPlace>[] = [
    { table: 'grants' },
    { row: 'c2' },
    { field: 'apiKey2' },
    { version: 4 },
    { owner: 'user:bob' },
    { audience: ['https://a.example'] },
    { audience: ['https://b.example', 'https://a.example'] },
    { audience: ['https://a.example,https://b.example'] },
    { audience: [] },
    { table: 'credential', row: 'sc1' },
  ]
  for (const other of others) {
    t.throws(() => sealer.open({ ...place, ...other }, sealed), refused, JSON.stringify(other))
  }
})

t.test('a sealed value of another site or another data key does not open', async (t) => {
  const sealed = sealer.seal(place, Buffer.from('secret'))
  const newer = makeDataKey(master, SITE, randomBytes, 2)
  const rotated = makeSealer(keyringOf(SITE, dataKey, newer), randomBytes)
  t.equal(rotated.open(place, sealed).toString(), 'secret', 'older keys still open')
  const later = rotated.seal(place, Buffer.from('later'))
  t.strictSame(Buffer.from(later.subarray(1, 9)).toString('hex'), newer.id, 'the newest key seals')
  t.throws(() => sealer.open(place, later), refused, 'an unknown key')
  const renamed = Buffer.from(later)
  renamed.set(Buffer.from(dataKey.id, 'hex'), 1)
  t.throws(() => rotated.open(place, renamed), refused, 'another key of the site')
  t.throws(() => keyringOf('another-site', dataKey), { code: 'internal', detail: /master key does not open/ })
})

t.test('every flipped bit and every cut of a sealed value is found', async (t) => {
  const sealed = sealer.seal(place, Buffer.from('secret'))
  for (let at = 0; at < sealed.length; at++) {
    for (const bit of [1, 128]) {
      const flipped = Buffer.from(sealed)
      flipped[at] = (flipped[at] as number) ^ bit
      if (!throws(() => sealer.open(place, flipped))) t.fail(`byte ${at}`)
    }
    if (!throws(() => sealer.open(place, sealed.subarray(0, at)))) t.fail(`cut to ${at}`)
  }
  if (!throws(() => sealer.open(place, Buffer.concat([sealed, Buffer.of(0)])))) t.fail('a byte more')
  t.pass()
})

t.test('every byte of a wrapped data key counts', async (t) => {
  const wrapped = Buffer.from(dataKey.wrapped, 'base64')
  for (let at = 0; at < wrapped.length; at++) {
    const flipped = Buffer.from(wrapped)
    flipped[at] = (flipped[at] as number) ^ 1
    const row = { ...dataKey, wrapped: flipped.toString('base64') }
    if (!throws(() => keyringOf(SITE, row))) t.fail(`byte ${at}`)
  }
  t.throws(() => keyringOf(SITE, { ...dataKey, id: '0011223344556677' }), { code: 'internal' })
  t.throws(() => keyringOf(SITE, { ...dataKey, wrapped: '' }), { code: 'internal' })
})

t.test('no two sealed values share a salt, a nonce or a ciphertext', async (t) => {
  const seen = new Set<string>()
  for (let n = 0; n < 200; n++) {
    const sealed = Buffer.from(sealer.seal(place, Buffer.from('the same secret')))
    seen.add(sealed.subarray(9, 25).toString('hex'))
    seen.add(sealed.subarray(25, 37).toString('hex'))
    seen.add(sealed.subarray(37, -16).toString('hex'))
  }
  t.equal(seen.size, 600)
})

t.test('two values never have the same canonical encoding', async (t) => {
  const part: fc.Arbitrary<Part> = fc.letrec<{ part: Part }>((tie) => ({
    part: fc.oneof(
      { depthSize: 'small' },
      fc.string({ maxLength: 3 }),
      fc.integer(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 3 }),
      fc.array(tie('part'), { maxLength: 3 }),
    ),
  })).part
  const text = (value: Part) =>
    JSON.stringify(value, (_key, each) => (each instanceof Uint8Array ? { bytes: [...each] } : each))
  fc.assert(
    fc.property(part, part, (a, b) => {
      return encodeCanonically(a).equals(encodeCanonically(b)) === (text(a) === text(b))
    }),
    { seed: 20261125, numRuns: 2_000 },
  )
  t.notSame(encodeCanonically(['ab', 'c']), encodeCanonically(['a', 'bc']))
  t.notSame(encodeCanonically(['1']), encodeCanonically([1]))
})

function throws(work: () => unknown): boolean {
  try {
    work()
    return false
  } catch {
    return true
  }
}
