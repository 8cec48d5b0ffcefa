import fc from 'fast-check'
import t from 'tap'
import { type BodyRules, planBody } from '../../core/body.ts'
import { textsIn } from '../../core/common-body.ts'
import type { JsonObject } from '../../core/secret.ts'
import type { CommonBody } from '../../core/words.ts'
import { type Made, made, madeText } from './bodies.ts'
import { makeRoute, refusal, verdict } from './kit.ts'

const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'
const own: CommonBody = { json: { tenant: 'acme', key: '{{$Auth.API_Key}}' } }

t.test(
  "the connection's members are merged at the top level, and win; the client's stand as they stood",
  async (t) => {
    for (const [before, after] of [
      ['{}', '{"tenant":"acme","key":"K"}'],
      [' { } ', ' {"tenant":"acme","key":"K" } '],
      ['{ "n": 1.50 }', '{ "n": 1.50,"tenant":"acme","key":"K" }'],
      ['{"tenant" : {"a":[1]} , "n":1}', '{"tenant" : "acme" , "n":1,"key":"K"}'],
      [
        '{"key":"{{$Auth.API_Key}}","x":{"tenant":"evil"},"tenant":null}',
        '{"key":"K","x":{"tenant":"evil"},"tenant":"acme"}',
      ],
      ['{"t\\u0065nant":"evil"}', '{"t\\u0065nant":"acme","key":"K"}'],
      ['{"__proto__":{"tenant":"evil"}}', '{"__proto__":{"tenant":"evil"},"tenant":"acme","key":"K"}'],
    ] as const)
      t.equal(madeText({ body: own }, JSON_TYPE, before, { key: 'K' }), after, before)
  },
)

t.test('what cannot be merged into is refused', async (t) => {
  for (const body of [
    '[]',
    '[{"tenant":"evil"}]',
    '"x"',
    '7',
    'null',
    '{"tenant":1,"tenant":2}',
    '{"tenant":1,"\\u0074enant":2}',
    '{',
  ])
    t.equal(
      verdict(() => made({ body: own }, JSON_TYPE, body)),
      'bad_request',
      body,
    )
})

t.test('a variable alone keeps its JSON type, within a text it is text', async (t) => {
  const body = {
    json: {
      object: '{{$Auth.Other}}',
      list: ['{{ $Auth.Flag }}', 1, null, true, -0.5],
      text: 'a "{{$Auth.API_Key}}"\n{{$Auth.Other}}',
      behind: 'a {{$Auth.Flag}}',
      before: '{{$Auth.Flag}} a',
      plain: 'x"y\\',
    },
  }
  const key = 'q"\\\n'
  t.same(JSON.parse(madeText({ body }, '', '', { key }) as string), {
    object: { a: [1, 'two'] },
    list: [true, 1, null, true, -0.5],
    text: `a "${key}"\n{"a":[1,"two"]}`,
    behind: 'a true',
    before: 'true a',
    plain: 'x"y\\',
  })
})

t.test('a POST, PUT or PATCH without a body gets it with its type, a GET never', async (t) => {
  const bodies: readonly (readonly [CommonBody, string, string])[] = [
    [own, '{"tenant":"acme","key":"K"}', 'application/json'],
    [
      {
        form: [
          ['tenant', 'a b&c'],
          ['key', '{{$Auth.API_Key}}'],
        ],
      },
      'tenant=a%20b%26c&key=K',
      FORM_TYPE,
    ],
    [{ text: 'for {{$User.Id}}: {{$Auth.API_Key}}' }, 'for ada: K', 'text/plain; charset=utf-8'],
  ]
  for (const [body, text, type] of bodies) {
    for (const method of ['POST', 'PUT', 'PATCH']) {
      const whole = made({ body }, '', '', { method, key: 'K' })
      t.equal(whole?.bytes.toString(), text)
      t.equal(whole?.type, type)
      t.equal(made({ body }, 'application/xml', '', { method, key: 'K' })?.type, type)
    }
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS'])
      t.equal(made({ body }, '', '', { method }), undefined)
    for (const method of ['GET', 'HEAD']) t.equal(made({ body }, type, '{"a":1}', { method }), undefined)
  }
  t.equal(
    made({ body: own }, 'application/vnd.api+json', '')?.type,
    undefined,
    "the client's own type that says the same stands",
  )
})

t.test("a client's body of another type passes as it is", async (t) => {
  for (const type of [
    '',
    'text/plain',
    'application/xml',
    FORM_TYPE,
    'multipart/form-data; boundary=x',
    'application/json, text/plain',
    'x',
  ])
    t.equal(made({ body: own }, type, '{"a":1}'), undefined, type)
  t.equal(made({ body: { text: 'x' } }, JSON_TYPE, '{}'), undefined)
  t.equal(
    madeText({ body: { text: 'mine' } }, 'text/plain', 'yours'),
    'mine',
    "text has no members: the connection's stands",
  )
})

t.test('a form has each of the names once, with the value of the connection', async (t) => {
  const body: CommonBody = {
    form: [
      ['tenant', 'acme'],
      ['a b', '{{$Auth.API_Key}}'],
    ],
  }
  for (const [before, after] of [
    ['x=1', 'x=1&tenant=acme&a%20b=K%26'],
    ['tenant=evil&x=%zz&&tenant=2&t%65nant', 'tenant=acme&x=%zz&&a%20b=K%26'],
    ['a+b=1&a%20b=2', 'a%20b=K%26&tenant=acme'],
  ] as const)
    t.equal(madeText({ body }, FORM_TYPE, before, { key: 'K&' }), after, before)
})

t.test('what is searched for is the value alone, so that a masked echo is JSON still', async (t) => {
  const seen = new Set<string>()
  const key = 'a "quoted" key'
  const { bytes } = made({ body: own }, '', '', { key, collect: (value) => seen.add(value) }) as Made
  t.match(bytes.toString(), '"a \\"quoted\\" key"')
  t.same([...seen], [key, 'a \\"quoted\\" key'])
})

t.test('slots beside it are filled, but for what it replaces', async (t) => {
  const connection = { body: own, slots: { json: ['/token', '/tenant', '/deep/*'] } }
  const { bytes, names } = made(
    connection,
    JSON_TYPE,
    '{"token":"<<$Auth.API_Key>>","tenant":"<<$Auth.API_Key>>","deep":["<<$User.Id>>"]}',
    { key: 'K' },
  ) as Made
  t.equal(bytes.toString(), '{"token":"K","tenant":"acme","deep":["ada"],"key":"K"}')
  t.same(names, ['json:/tenant', 'json:/key', 'json:/token', 'json:/deep/*'])
})

t.test('a merge is what a spread of both objects is, and other members keep their bytes', async (t) => {
  const name = fc.constantFrom('tenant', 'key', 'a', '__proto__', 'x/y', '')
  const object = fc.uniqueArray(fc.tuple(name, fc.jsonValue()), { selector: ([one]) => one, maxLength: 5 })
  fc.assert(
    fc.property(object, object, fc.constantFrom('', ' ', '\n\t'), (client, connection, blank) => {
      fc.pre(!/\{\{|<</.test(JSON.stringify(connection)))
      const json = Object.fromEntries(connection) as JsonObject
      const text = `{${client.map(([one, value]) => `${blank}${JSON.stringify(one)}:${blank}${JSON.stringify(value)}`).join(',')}${blank}}`
      const result = madeText({ body: { json } }, JSON_TYPE, text) ?? text
      t.same(
        JSON.parse(result),
        JSON.parse(JSON.stringify(Object.fromEntries([...client, ...Object.entries(json)]))),
      )
      for (const [one, value] of client) {
        if (!Object.hasOwn(json, one))
          t.ok(result.includes(`${JSON.stringify(one)}:${blank}${JSON.stringify(value)}`))
      }
    }),
    { numRuns: 200 },
  )
})

t.test('a body that makes no sense is refused when it is compiled', async (t) => {
  const bad = (body: CommonBody) => verdict(() => makeRoute({ body }))
  t.equal(bad({ json: { a: '{{Auth.API_Key}}' } }), 'bad_request')
  t.equal(bad({ json: { a: [{ b: '{{$Auth.API_Key' }] } }), 'bad_request')
  t.equal(bad({ json: { a: { '{{$User.Id}}': 1 } } }), 'bad_request')
  t.equal(bad({ form: [['', 'x']] }), 'bad_request')
  t.equal(
    bad({
      form: [
        ['a', 'x'],
        ['a', 'y'],
      ],
    }),
    'bad_request',
  )
  t.equal(bad({ text: '{{x}}' }), 'bad_request')
})

t.test(
  'a body that is compressed, or has two types, is refused where something would be put in',
  async (t) => {
    const { kindOfBody } = await import('../../core/body.ts')
    const rules = makeRoute({ body: own }).body
    if (!rules) throw new Error('no rules')
    const kind = (names: string[], values: string[], empty = false) => {
      const fields = { names, values, get: (asked: string) => values[names.indexOf(asked)] }
      return kindOfBody(rules, { method: 'POST', fields }, empty)
    }
    t.equal(kind(['content-type', 'content-encoding'], [JSON_TYPE, 'identity']), 'json')
    t.equal(kind(['content-type', 'content-encoding'], ['text/plain', 'gzip']), undefined)
    t.equal(kind(['content-type'], [`text/html, ${JSON_TYPE}`]), undefined, 'two in one')
    for (const [names, values, empty] of [
      [['content-type', 'content-encoding'], [JSON_TYPE, 'gzip'], false],
      [['content-encoding'], ['br'], true],
      [['content-type', 'content-type'], [JSON_TYPE, 'text/plain'], false],
      [['content-type', 'content-type'], [JSON_TYPE, JSON_TYPE], false],
    ] as const)
      t.equal(refusal(() => kind([...names], [...values], empty)).code, 'bad_request')
  },
)

t.test('an empty body that came in pieces is not replaced where the method asks for none', async (t) => {
  const rules = makeRoute({ body: own }).body as BodyRules
  const plan = (method: string) =>
    planBody(rules, 'json', { method, fields: headOf([]), bytes: Buffer.alloc(0), fresh: 'x' })
  t.ok(plan('PATCH'))
  t.equal(plan('DELETE'), undefined)
})

function headOf(names: string[]) {
  return { names, values: [], get: () => undefined }
}

t.test('every text of a body is found, whatever stands beside it', async (t) => {
  t.same(
    [...textsIn({ a: null, b: [1, true, 'x'], c: { d: 'y' }, e: 'z' })],
    [
      [['b', '2'], 'x'],
      [['c', 'd'], 'y'],
      [['e'], 'z'],
    ],
  )
})

t.test('a GET or HEAD is given no common body, not even where its own is read for slots', async (t) => {
  const connection = { body: { json: { tenant: 'acme' } }, slots: { json: ['/key'] } }
  const body = '{"key":"<<$Auth.API_Key>>"}'
  for (const method of ['GET', 'HEAD'])
    t.equal(madeText(connection, 'application/json', body, { method }), '{"key":"sk_live_1"}', method)
  t.equal(
    madeText(connection, 'application/json', body, { method: 'POST' }),
    '{"key":"sk_live_1","tenant":"acme"}',
  )
})
