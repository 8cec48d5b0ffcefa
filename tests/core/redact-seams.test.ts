import fc from 'fast-check'
import t from 'tap'
import { Needles, StreamMask } from '../../core/redact.ts'
import { formsOf } from '../../core/secret-forms.ts'

const SECRETS = ['sk_live_7f3a9c51e0b24d86', 'abababab', 'babababababa', 'pässwörd ✓ "quoted"/slashed']
const forms = SECRETS.flatMap(formsOf)
const longest = Math.max(...forms.map(({ length }) => length))

/** What must come out: every place where some form stands, found the slow way. */
function expected(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes)
  for (const form of forms)
    for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1))
      out.fill('*', at, at + form.length)
  return out
}

/** Each write for itself, and the end. */
function passed(chunks: readonly Buffer[]): { pieces: Buffer[]; hits: number } {
  const mask = new StreamMask(Needles.of(SECRETS) as Needles)
  const pieces: Buffer[] = []
  for (const chunk of chunks)
    mask.pass(Buffer.from(chunk), { write: (bytes) => pieces.push(Buffer.from(bytes)) > 0 })
  const rest = mask.end()
  if (rest) pieces.push(rest)
  return { pieces, hits: mask.hits }
}

const filler = Buffer.alloc(longest + 10, '.')

t.test('a secret is found across every cut between two long chunks', async (t) => {
  for (const form of forms) {
    const bytes = Buffer.concat([filler, form, filler])
    const whole = passed([bytes]).hits
    let wrong = 0
    for (let cut = filler.length; cut <= filler.length + form.length; cut++) {
      const { pieces, hits } = passed([bytes.subarray(0, cut), bytes.subarray(cut)])
      if (!Buffer.concat(pieces).equals(expected(bytes)) || hits !== whole) wrong++
    }
    t.equal(wrong, 0, form.toString('latin1'))
  }
})

t.test('chunks of any length leave the same bytes, and none that begin a secret', async (t) => {
  const part = fc.oneof(
    fc.constantFrom(...forms),
    fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 14 }).map((text) => Buffer.from(text)),
    fc.nat(3 * longest).map((length) => Buffer.alloc(length, '.')),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 5 }), (parts, cuts) => {
      const bytes = Buffer.concat(parts)
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
      const { pieces, hits } = passed(at.slice(1).map((to, i) => bytes.subarray(at[i], to)))
      t.ok(Buffer.concat(pieces).equals(expected(bytes)))
      t.equal(hits, passed([bytes]).hits)
    }),
    { numRuns: 1_000 },
  )
})

t.test('what was held back goes on without a copy of the long chunk behind it', async (t) => {
  const mask = new StreamMask(Needles.of(SECRETS) as Needles)
  const large = Buffer.alloc(100_000, '.')
  const pieces: Buffer[] = []
  const to = { write: (bytes: Buffer) => pieces.push(bytes) > 0 }
  mask.pass(Buffer.from('....sk_li'), to)
  t.equal(mask.open, 5)
  mask.pass(large, to)
  t.equal(mask.open, 0)
  t.same(
    pieces.map((piece) => piece.length),
    [4, 5, large.length],
  )
  t.equal(pieces[2], large)
})

t.test('says that there is no room where one of its writes said so', async (t) => {
  for (const answers of [
    [false, true],
    [true, false],
    [true, true],
  ]) {
    const mask = new StreamMask(Needles.of(SECRETS) as Needles)
    mask.pass(Buffer.from('sk_li'), { write: () => true })
    let nth = 0
    t.equal(
      mask.pass(Buffer.alloc(1000, '.'), { write: () => answers[nth++] as boolean }),
      answers.every(Boolean),
    )
  }
})
