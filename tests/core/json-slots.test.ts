import fc from 'fast-check'
import t from 'tap'
import { parsePointer, pointerTo } from '../../core/json-pointer.ts'
import { decodeString, findStrings } from '../../core/json-slots.ts'
import type { Json } from '../../core/secret.ts'
import { made, madeText } from './bodies.ts'
import { refusal, verdict } from './kit.ts'

const TYPE = 'application/json'
const P = '<<$Auth.API_Key>>'

const put = (pointers: string[], body: string | Buffer, key?: string) =>
  madeText({ slots: { json: pointers } }, TYPE, body, { key })

t.test('the string at a pointer is replaced, and no other byte', async (t) => {
  for (const [pointer, before, after] of [
    ['/a', `{"a":"${P}"}`, '{"a":"K"}'],
    ['/a', `\n{ "a" :\t"x${P}y" , "b":${'"'}${P}" }\r\n`, `\n{ "a" :\t"xKy" , "b":"${P}" }\r\n`],
    ['/a/b/c', `{"a":{"b":{"c":"${P}"},"c":"${P}"}}`, `{"a":{"b":{"c":"K"},"c":"${P}"}}`],
    ['/a/1', `{"a":["${P}","${P}"]}`, `{"a":["${P}","K"]}`],
    ['/a/*', `{"a":["${P}",{"x":"${P}"},"${P}"]}`, `{"a":["K",{"x":"${P}"},"K"]}`],
    ['/*/x', `[{"x":"${P}"},{"y":"${P}"},[],1,{"x":"${P}"}]`, `[{"x":"K"},{"y":"${P}"},[],1,{"x":"K"}]`],
    ['/*', `{"*":"${P}","a":"${P}"}`, `{"*":"K","a":"${P}"}`],
    ['', `"${P}"`, '"K"'],
    ['/a~1b~0c', `{"a/b~c":"${P}"}`, '{"a/b~c":"K"}'],
    ['/', `{"":"${P}"}`, '{"":"K"}'],
    ['/ü', `{"\\u00fc":"${P}","ü2":1}`, '{"\\u00fc":"K","ü2":1}'],
    [
      '/a',
      `{"n":1e400,"z":-0.0,"big":12345678901234567890,"a":"${P}"}`,
      '{"n":1e400,"z":-0.0,"big":12345678901234567890,"a":"K"}',
    ],
    ['/a', '{"a":"\\u003c\\u003c\\u0024Auth.API\\u005fKey>>\\/\\n"}', '{"a":"K\\/\\n"}'],
    ['/__proto__/a', `{"__proto__":{"a":"${P}"}}`, '{"__proto__":{"a":"K"}}'],
    ['/constructor', `{"constructor":"${P}"}`, '{"constructor":"K"}'],
  ] as const)
    t.equal(put([pointer], before, 'K'), after, `${pointer} ${before}`)
})

t.test('what is no string at a pointer, and what is no placeholder, passes', async (t) => {
  for (const body of [
    '{"a":7}',
    '{"a":null}',
    `{"a":["${P}"]}`,
    `{"a":{"b":"${P}"}}`,
    '{"a":"{{mustache}} <<x>>"}',
    `{"A":"${P}"}`,
    `"${P}"`,
    '7',
    '{}',
    '[]',
  ])
    t.equal(put(['/a'], body), undefined, body)
})

t.test('a value is escaped for JSON, and not expanded again', async (t) => {
  for (const value of [
    '"',
    '\\',
    '\n\r\t\0\x7f',
    '</script>',
    '","admin":true,"x":"',
    '\ud800',
    '\u2028',
    P,
    '{{$Auth.Flag}}',
    'ü😀',
  ]) {
    const body = put(['/a'], `{"a":"${P}","b":1}`, value) as string
    t.same(JSON.parse(body), { a: value, b: 1 }, Buffer.from(value).toString('hex'))
  }
  t.equal(
    madeText({ slots: { json: ['/a'] } }, TYPE, '{"a":"x {{$Auth.Other}}"}'),
    '{"a":"x {\\"a\\":[1,\\"two\\"]}"}',
  )
})

t.test('a name on the way to a slot that stands twice is refused, others are data', async (t) => {
  for (const body of [
    `{"a":{"b":"x"},"a":{"b":"${P}"}}`,
    `{"a":{"b":"${P}","b":"x"}}`,
    `{"a":{"b":"${P}","\\u0062":"x"}}`,
    `{"a":7,"\\u0061":{"b":"${P}"}}`,
  ])
    t.equal(
      verdict(() => put(['/a/b'], body)),
      'bad_request',
      body,
    )
  t.equal(
    put(['/a/b'], `{"x":1,"x":2,"a":{"c":1,"c":2,"b":"${P}"}}`, 'K'),
    '{"x":1,"x":2,"a":{"c":1,"c":2,"b":"K"}}',
  )
})

t.test('what is not JSON in UTF-8 is refused, without a byte of it', async (t) => {
  const bad: (string | Buffer)[] = [
    `{"a":"${P}"`,
    `{"a":"${P}",}`,
    `{'a':'${P}'}`,
    `{"a":"${P}"} x`,
    `{"a":"${P}\n"}`,
    `\ufeff{"a":"${P}"}`,
    `{"a":"${P}"}{"a":"${P}"}`,
    `/* */{"a":"${P}"}`,
    '{"a":NaN}',
    '{"a":01}',
    ' ',
    Buffer.from(`{"a":"${P}\xff"}`, 'latin1'),
    Buffer.from('{"a":"\xc0\xaf"}', 'latin1'),
    Buffer.from('{"a":"\xed\xa0\x80"}', 'latin1'),
    Buffer.from(`{"a":"${P}"}`, 'utf16le'),
  ]
  for (const body of bad) {
    const error = refusal(() => put(['/a'], body))
    t.equal(error.code, 'bad_request', String(body))
    t.notMatch(`${error.message} ${error.hint}`, 'API_Key')
  }
})

t.test('what opens a placeholder in a slot and is none is an error', async (t) => {
  for (const text of ['<<$Auth.API_Key', '{{$auth.x}}', '{{\\u0024Auth', '<<$Auth.a b>>'])
    t.equal(
      verdict(() => put(['/a'], `{"a":"${text}"}`)),
      'placeholder_unknown',
      text,
    )
})

t.test('a pointer is one, or is refused', async (t) => {
  for (const text of ['a', 'a/b', '/a~', '/a~2', '#/a', '/x'.repeat(40)])
    t.equal(
      verdict(() => parsePointer(text)),
      'bad_request',
      text,
    )
  t.same(parsePointer('/a~01/~1').steps, ['a~1', '/'])
  t.same(parsePointer(pointerTo('a~1/b')).steps, ['a~1/b'])
  t.same(parsePointer(pointerTo('~')).steps, ['~'])
})

t.test('depth and length cost no more than their size', async (t) => {
  const deep = 400_000
  for (const body of [
    `{"x":${'['.repeat(deep)}${']'.repeat(deep)},"a":"${P}"}`,
    `{"a":${'{"a":'.repeat(100_000)}"${P}"${'}'.repeat(100_000)}}`,
    `{"x":"${'\\\\'.repeat(deep)}\\"","a":"${P}"}`,
    `{${'"k":1,'.repeat(100_000)}"a":"${P}"}`,
    `{"a":"${'{{'.repeat(deep)}"}`,
  ]) {
    const started = process.cpuUsage()
    verdict(() => put(['/a', '/a/a/a/a/a'], body))
    const { user, system } = process.cpuUsage(started)
    t.ok(user + system < 1_000_000, `${body.slice(0, 10)} took ${user + system} µs`)
  }
})

/** JSON as clients write it: blanks, escapes and numbers in any spelling. */
const BLANK = fc.constantFrom('', '', ' ', '\n', '\t \r')
const NAME = fc.constantFrom('a', 'b', 'token', '', 'a/b', '~', '0', '__proto__', 'ü"\\')
const spelledString = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.boolean()).map(([value, everything]) => {
    const token = JSON.stringify(value)
    if (!everything || value === '') return token
    return `"${[...Array(value.length).keys()].map((i) => `\\u${value.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
  })
const { value: TEXT } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    spelledString(fc.constantFrom(P, `x ${P} y`, '{{$Auth.API_Key}}', 'plain', '{{other}}', 'ü😀"\\')),
    fc.constantFrom('1', '-0.10e+5', 'true', 'null', '12345678901234567890'),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(' ,')}]`),
    fc
      .tuple(
        fc.uniqueArray(fc.tuple(NAME, tie('value'), BLANK), { maxLength: 4, selector: ([name]) => name }),
      )
      .chain(([members]) =>
        fc.tuple(
          ...members.map(([name, value, blank]) =>
            spelledString(fc.constant(name)).map(
              (token) => `${blank}${token}${blank}:${blank}${value}${blank}`,
            ),
          ),
        ),
      )
      .map((members) => `{${members.join(',')}}`),
  ),
}))
const POINTER = fc.constantFrom(
  '',
  '/a',
  '/token',
  '/a/b',
  '/a/0',
  '/*',
  '/a/*',
  '/*/token',
  '/',
  '/a~1b',
  '/~0',
  '/b/a/token',
  '/__proto__/a',
  '/ü"\\',
)

/** The same by way of values: what JSON.parse makes of it, with the strings at the pointers replaced. */
function replaced(value: Json, pointers: readonly (readonly string[])[], key: string): Json {
  if (typeof value === 'string') {
    if (!pointers.some((steps) => steps.length === 0)) return value
    return value.replace(/<<\$Auth\.API_Key>>|\{\{\$Auth\.API_Key\}\}/g, () => key)
  }
  if (value === null || typeof value !== 'object') return value
  const next = (name: string) =>
    pointers
      .filter(([first]) => first === name || (first === '*' && Array.isArray(value)))
      .map((steps) => steps.slice(1))
  const entries = Object.entries(value).map(
    ([name, inner]) => [name, replaced(inner, next(name), key)] as const,
  )
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
}

t.test('replacing never changes another byte, and a second reader agrees on what was replaced', async (t) => {
  fc.assert(
    fc.property(
      TEXT,
      fc.uniqueArray(POINTER, { minLength: 1, maxLength: 4 }),
      fc.string(),
      (text, pointers, key) => {
        const result = put(pointers, text, key) ?? text
        const expected = replaced(
          JSON.parse(text) as Json,
          pointers.map((one) => parsePointer(one).steps),
          key,
        )
        t.same(JSON.stringify(JSON.parse(result)), JSON.stringify(expected))
        // Around the strings at the pointers, everything stands as it stood.
        const around = (from: string) => {
          let last = 0
          return findStrings(from, pointers.map(parsePointer)).map((place) => {
            const piece = from.slice(last, place.from)
            last = place.to
            return piece
          })
        }
        t.same(around(result), around(text))
      },
    ),
    { numRuns: 500 },
  )
})

t.test('a string without escapes and one with every character escaped are the same', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      t.equal(decodeString(JSON.stringify(text).slice(1, -1)).text, text)
      const units = [...Array(text.length).keys()].map((i) =>
        text.charCodeAt(i).toString(16).padStart(4, '0'),
      )
      const { text: decoded, starts } = decodeString(units.map((unit) => `\\u${unit}`).join(''))
      t.equal(decoded, text)
      if (text !== '')
        t.same(
          starts,
          [...units.keys(), units.length].map((i) => i * 6),
        )
    }),
    { numRuns: 200 },
  )
})

t.test('secrets are told to whoever searches for them, as they are and as they were written', async (t) => {
  const told: string[] = []
  const key = 'line one\nline two'
  made({ slots: { json: ['/a'] } }, TYPE, `{"a":"${P}"}`, { key, collect: (one) => told.push(one) })
  t.same(told, [key, 'line one\\nline two'])
})
