import { maskText, Needles, StreamMask } from '../../core/redact.ts'
import { formsOf } from '../../core/secret-forms.ts'
import { Broken, type Fuzzer } from './engine.ts'

const SECRETS = ['sk_fuzz_7f3a9c51e0b24d86', `it's "a/b\\c" & <d> + e=f?`, 'pässwörd ✓ ключ']
const FORMS = SECRETS.flatMap((secret) => formsOf(secret))
const TEXTS = FORMS.map((form) => form.toString('latin1'))
const needles = Needles.of(SECRETS) as Needles

/** Answers in which secrets stand, in every form, cut anywhere. */
export const redactor: Fuzzer = {
  name: 'redactor',
  promise: 'every form of a secret is masked, however the answer is cut, and no other byte is changed',
  corpus: [
    '{"echo":"',
    'data: ',
    '<html><body>',
    'plain text of an answer',
    ...TEXTS.slice(0, 60).map((form) => `before ${form} behind`),
  ],
  words: [
    ...TEXTS,
    ...TEXTS.map((form) => form.slice(0, -1)),
    ...TEXTS.map((form) => form.slice(1)),
    '\r\n',
    '"',
    '*',
  ],
  share: 10,
  attempt(input, random) {
    const bytes = Buffer.from(input, 'latin1')
    const wanted = Buffer.from(bytes)
    let stands = false
    for (const form of FORMS) {
      for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1)) {
        wanted.fill('*', at, at + form.length)
        stands = true
      }
    }
    const mask = new StreamMask(needles)
    const parts: Buffer[] = []
    const cuts = Array.from({ length: random.below(6) }, () => random.below(bytes.length + 1)).sort(
      (a, b) => a - b,
    )
    for (const [i, to] of [...cuts, bytes.length].entries())
      parts.push(Buffer.from(mask.push(Buffer.from(bytes.subarray(cuts[i - 1] ?? 0, to))) ?? ''))
    parts.push(mask.end() ?? Buffer.alloc(0))
    const out = Buffer.concat(parts)
    if (!out.equals(wanted))
      throw new Broken(`${JSON.stringify(out.toString('latin1'))} comes out, cut at ${cuts.join(', ')}`)
    const text = maskText(needles, input, () => {})
    if (text !== wanted.toString('latin1'))
      throw new Broken(`${JSON.stringify(text)} is what a head would say`)
    return stands
  },
}
