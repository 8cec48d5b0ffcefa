import fc from 'fast-check'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import { LocumError } from '../../core/errors.ts'
import { findFields } from '../../core/form-slots.ts'
import { parsePointer } from '../../core/json-pointer.ts'
import { encodeString, findStrings } from '../../core/json-slots.ts'
import { encodePercent } from '../../core/percent.ts'
import { fill, mayHoldPlaceholder, parseClientTemplate } from '../../core/placeholder.ts'
import { findPlaceholders } from '../../core/scan.ts'
import { compileSlots } from '../../core/slots.ts'
import { findInTarget } from '../../core/target-slots.ts'
import type { Connection } from '../../core/words.ts'
import { Broken, type Fuzzer } from './engine.ts'

const SECRET = 'sk_fuzz_<<$Auth.Key>>"\\&%41{{$Auth.Key}}'
const sources = {
  auth: { values: { Key: SECRET, Deep: { a: [SECRET] } }, plain: [] },
  caller: {
    principal: { id: 'ada', kind: 'user' as const, projects: [], admin: false, via: 'key' as const },
    sessionId: 's',
  },
}
const slots = compileSlots({
  slots: { headers: ['authorization'], path: true, query: ['key'], json: ['/a/b', '/list/*'], form: ['key'] },
} as unknown as Connection)

const piece = fc.oneof(
  fc.constantFrom(
    '<<$Auth.Key>>',
    '{{$Auth.Key}}',
    '<<$Auth.Deep.a[0]>>',
    '{{ $Auth.Key }}',
    '<<$auth.Key>>',
    '<<$User.Id>>',
    '<<$Auth.Nothing>>',
    '<<',
    '>>',
    '{{',
    '}}',
    '$Auth',
    '%3C%3C$Auth.Key%3E%3E',
    '"',
    '\\',
    '\\u003c',
    '{"a":{"b":"',
    '"}}',
    '["',
    '"]',
    '{"list":["',
    'key=',
    '&',
    '=',
  ),
  fc.string({ maxLength: 8 }),
)

/** Placeholders in headers, targets, JSON and forms. */
export const placeholders: Fuzzer = {
  name: 'placeholders',
  promise:
    'a value is put in once, where a slot is, and changes nothing around it; what looks like a placeholder is filled or refused',
  corpus: [
    'Bearer <<$Auth.Key>>',
    `Basic ${Buffer.from('<<$Auth.Key>>:x').toString('base64')}`,
    '/x/<<$Auth.Key>>?key={{$Auth.Key}}&y=1',
    '{"a":{"b":"Bearer <<$Auth.Key>>"},"list":["{{$Auth.Key}}",1,"x"],"c":"{{other}}"}',
    'key=<<$Auth.Key>>&other=%3C%3C%24Auth.Key%3E%3E',
    'key=%3C%3C$Auth.Deep.a[0]%3E%3E',
    '{{$User.Id}} {{$Api.Session_Id}} <<$Auth.Key>><<$Auth.Key>>',
  ],
  words: [
    '<<',
    '>>',
    '{{',
    '}}',
    '$Auth.',
    '$auth.',
    '$User.',
    '$Api.',
    'Key',
    '.',
    '[0]',
    '[',
    ']',
    '%3c',
    '%3C%3C',
    '%24',
    '%7b%7B',
    '+',
    ' ',
    '"',
    '\\',
    '\\u003c',
    '\\u0024',
    ':',
    ',',
    '{',
    '}',
    'Basic ',
    'key=',
    '&',
    '%',
    '%3',
    '\0',
    '\u{1f511}',
  ].map((word) => Buffer.from(word).toString('latin1')),
  grammar: fc.array(piece, { maxLength: 8 }).map((parts) => Buffer.from(parts.join('')).toString('latin1')),
  share: 15,
  attempt(input) {
    let taken = false
    const attempt = <T>(work: () => T, judge: (value: T) => void): void => {
      let value: T
      try {
        value = work()
      } catch (thrown) {
        if (!(thrown instanceof LocumError) || thrown.code === 'internal') throw thrown
        if (thrown.message.includes('sk_fuzz')) throw new Broken('a refusal holds the secret')
        return
      }
      judge(value)
    }
    attempt(
      () => {
        const template = parseClientTemplate(input)
        return { template, text: fill(template, sources, () => {}) }
      },
      ({ template, text }) => {
        const { literals, paths } = template
        if (paths.length > 0) taken = true
        if (paths.length === 0 && text !== input) throw new Broken('a text without a placeholder is changed')
        if (!text.startsWith(literals[0] as string) || !text.endsWith(literals.at(-1) as string))
          throw new Broken('what stands around is changed')
        if (literals.some((literal) => mayHoldPlaceholder(literal)))
          throw new Broken(`a placeholder is left in ${JSON.stringify(text)}`)
      },
    )
    const fields = (name: string) => ({ names: [name], spelled: [name], values: [input] })
    attempt(
      () => findPlaceholders(fields('x-other') as never, slots),
      (uses) => {
        if (uses.length > 0 || mayHoldPlaceholder(input))
          throw new Broken('a placeholder outside a slot passes')
      },
    )
    attempt(
      () => findPlaceholders(fields('authorization') as never, slots),
      () => {},
    )
    attempt(
      () => findInTarget(input, slots),
      () => {},
    )
    attempt(
      () => parseConfiguredTemplate(input),
      () => {},
    )
    // Only what JSON.parse has read is looked through.
    if (isJson(input)) {
      attempt(
        () => findStrings(input, [parsePointer('/a/b'), parsePointer('/list/*')]),
        (places) => {
          let text = input
          for (const { from, to } of [...places].reverse())
            text = text.slice(0, from) + encodeString(SECRET) + text.slice(to)
          if (places.length > 0) taken = true
          judgeJson(input, text, places.length)
        },
      )
    }
    attempt(
      () => findFields(input, new Set(['key']), undefined),
      (found) => {
        let text = input
        for (const { from, to } of found.flatMap(({ splices }) => splices).reverse())
          text = text.slice(0, from) + encodePercent(SECRET) + text.slice(to)
        const [before, after] = [new URLSearchParams(input), new URLSearchParams(text)]
        if ([...before.keys()].join('\n') !== [...after.keys()].join('\n'))
          throw new Broken('a value makes another field')
        for (const [name, value] of after)
          if (name !== 'key' && value.includes('sk_fuzz')) throw new Broken(`a value stands in ${name}`)
      },
    )
    return taken
  },
}

/** Whether a second reader finds the value in its places, and everything else as it was. */
function judgeJson(before: string, after: string, places: number): void {
  const old = JSON.parse(before) as unknown
  const now = JSON.parse(after) as unknown
  let found = 0
  const walk = (a: unknown, b: unknown, path: string): void => {
    if (typeof a === 'string' && b === SECRET && /^\/a\/b$|^\/list\/\d+$/.test(path)) found++
    else if (a !== null && typeof a === 'object' && b !== null && typeof b === 'object') {
      const keys = Object.keys(a)
      if (keys.join('\n') !== Object.keys(b).join('\n')) throw new Broken(`members of ${path} change`)
      for (const key of keys)
        walk((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], `${path}/${key}`)
    } else if (a !== b) throw new Broken(`${path} changes`)
  }
  walk(old, now, '')
  if (found !== places) throw new Broken(`${found} of ${places} values are found`)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
