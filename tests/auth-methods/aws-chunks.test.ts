import fc from 'fast-check'
import t from 'tap'
import { LARGEST_CHUNK, Resigning } from '../../auth-methods/aws/chunks.ts'
import { Signer } from '../../auth-methods/aws/signature.ts'
import { verdict } from '../core/kit.ts'

const signer = new Signer(
  { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
  { region: 'us-east-1', service: 's3' },
  '20130524T000000Z',
)
/** Of the example in AWS’s own documentation. */
const SEED = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'
const fake = '0'.repeat(64)
const chunk = (text: string) =>
  `${text.length.toString(16)};chunk-signature=${fake}\r\n${text}${text && '\r\n'}`

/** A body that comes in these pieces, rewritten. */
function rewrite(pieces: readonly string[], trailers = false): string {
  const resigning = new Resigning(signer, SEED, { trailers })
  const made = pieces.map((piece) => resigning.write(Buffer.from(piece, 'latin1')))
  return Buffer.concat([...made, resigning.end()]).toString('latin1')
}

t.test('the example of AWS’s documentation is signed as it says', async (t) => {
  const body = `${chunk('a'.repeat(65_536))}${chunk('a'.repeat(1024))}${chunk('')}\r\n`
  const signatures = [...rewrite([body]).matchAll(/chunk-signature=(\w+)/g)].map(([, one]) => one)
  t.same(signatures, [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ])
})

t.test('however a body is cut, it comes out the same and as long (property)', async () => {
  const text = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' }), { maxLength: 5 })
  const cuts = fc.array(fc.nat({ max: 900 }), { maxLength: 12 })
  fc.assert(
    fc.property(text, cuts, fc.boolean(), (chunks, places, trailers) => {
      const end = trailers ? `x-amz-checksum-crc32:AAAA\r\nx-amz-trailer-signature:${fake}\r\n\r\n` : '\r\n'
      const body = [...chunks, ''].map(chunk).join('') + end
      const at = [0, ...places.filter((one) => one < body.length).sort((a, b) => a - b), body.length]
      const pieces = at.slice(1).map((to, i) => body.slice(at[i], to))
      const whole = rewrite([body], trailers)
      return rewrite(pieces, trailers) === whole && whole.length === body.length
    }),
  )
})

t.test('what is no such body is refused', async (t) => {
  const end = `${chunk('')}\r\n`
  for (const [body, trailers] of [
    [chunk('abc')],
    [`3\r\nabc\r\n${end}`],
    [`3;chunk-signature=${'0'.repeat(63)}\r\nabc\r\n${end}`],
    [`3;chunk-signature=${fake};x=y\r\nabc\r\n${end}`],
    [`3;chunk-signature=${fake}\nabc\r\n${end}`],
    [`3;chunk-signature=${fake}\r\nabcd\r\n${end}`],
    [`-3;chunk-signature=${fake}\r\nabc\r\n${end}`],
    [`0x3;chunk-signature=${fake}\r\nabc\r\n${end}`],
    [`${end}more`],
    [`${chunk('')}x-amz-checksum-crc32:AAAA\r\n\r\n`],
    [`${chunk('')}x-amz-trailer-signature:short\r\n\r\n`, true],
    [`${chunk('')}no trailer\r\n\r\n`, true],
    ['x'.repeat(5000)],
  ] as [string, boolean?][])
    t.equal(
      verdict(() => rewrite([body], trailers)),
      'bad_request',
      JSON.stringify(body.slice(0, 60)),
    )
  const trailer = `x-amz-meta-a:${'x'.repeat(1000)}\r\n`
  t.equal(
    verdict(() => rewrite([chunk(''), ...Array.from({ length: 20 }, () => trailer)], true)),
    'too_large',
    'trailers are held only so far',
  )
  const large = `${(LARGEST_CHUNK + 1).toString(16)};chunk-signature=${fake}\r\n`
  t.equal(
    verdict(() => rewrite([large])),
    'too_large',
  )
})
