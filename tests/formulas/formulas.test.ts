import fc from 'fast-check'
import t from 'tap'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import { type Expression, fill, type VariableSources } from '../../core/placeholder.ts'
import type { Json } from '../../core/secret.ts'
import { makeCaller, refusal } from '../core/kit.ts'

const KEY = 'sk_live_7f3a9c51'
const caller = makeCaller(
  {
    email: undefined,
    profile: 'sales',
    claims: { roles: ['reader', 'writer'], level: 3, deep: { 'a-b': 'x' } },
  },
  'session-7',
)
const sources: VariableSources = {
  caller,
  auth: {
    values: {
      API_Key: KEY,
      Username: 'ada.lovelace',
      List: ['first-secret', 'second-secret'],
      Response: { Headers: { 'x-token': 'tok_1234567890' } },
    },
    plain: ['Username'],
    caseless: ['Response.Headers'],
  },
  now: Date.UTC(2026, 10, 27, 12, 0, 0),
}

/** The text that comes of a template, and what answers are searched for then. */
function filled(template: string): { text: string; secrets: string[] } {
  const secrets = new Set<string>()
  const text = fill(parseConfiguredTemplate(template), sources, (value) => secrets.add(value))
  return { text, secrets: [...secrets] }
}

/** The value of a formula, with its JSON type. */
function valued(formula: string): Json | undefined {
  let json: Json | undefined
  const keep = (text: string, _: Expression, value: Json) => {
    json = value
    return text
  }
  fill(parseConfiguredTemplate(`{{${formula}}}`), sources, () => {}, keep)
  return json
}

t.test('a formula is CEL over the variables', async (t) => {
  for (const [formula, value] of [
    ['$User.Id.upperAscii()', 'ADA'],
    ['"hello, " + $User.Id', 'hello, ada'],
    ['$User.Claims.level + 1', 4],
    ['double($User.Claims.level) * 1.5 > 4', true],
    ['$User.Claims.roles', ['reader', 'writer']],
    ['$User.Claims.roles[1]', 'writer'],
    ['$User.Claims.deep["a-b"]', 'x'],
    ['$User.Claims.roles.map(r, r + "s").join(" ")', 'readers writers'],
    ['$User.Claims.roles.filter(r, r.startsWith("w"))', ['writer']],
    ['"writer" in $User.Claims.roles ? "rw" : "r"', 'rw'],
    ['has($User.Email) ? $User.Email : "nobody@example.com"', 'nobody@example.com'],
    ['has($User.Claims.level) && !has($User.Claims.other)', true],
    [
      '{"tenant": $User.Profile, "deep": {"n": [1, 2.5, "x", null]}}',
      { tenant: 'sales', deep: { n: [1, 2.5, 'x', null] } },
    ],
    ['$Auth.Response.Headers["X-Token"].size()', 14],
    ['base64("hello")', 'aGVsbG8='],
    ['base64url(b"\\xfb\\xff")', '-_8'],
    ['sha256("abc")', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    // RFC 4231 §4.3.
    [
      'hmac("Jefe", "what do ya want for nothing?")',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    // RFC 2202 §3.
    ['base64(hmac("Jefe", "what do ya want for nothing?", "sha1"))', '7/zfauXrL6LSdBbV8YTfnCWafHk='],
    ['string(now())', '2026-11-27T12:00:00Z'],
    ['now() + duration("90s")', '2026-11-27T12:01:30Z'],
    ['int(now())', 1795780800],
    ['duration("1h")', '3600s'],
    ['json($User.Claims.roles)', '["reader","writer"]'],
    ['"a-b-c".replace("-", "")', 'abc'],
    ['"{{ }}" + \'}}\' + r"\\d" + "\\"}}"', '{{ }}}}\\d"}}'],
    ['"""a "quoted" }} word"""', 'a "quoted" }} word'],
    ['$Api.Session_Id.contains("7") // the session\n', true],
  ] as const)
    t.same(valued(formula), value, formula)
  t.match(valued('uuid()'), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.not(valued('uuid()'), valued('uuid()'))
})

t.test('formulas, paths and text stand side by side', async (t) => {
  const { text } = filled('v1 {{$User.Id}}/{{ $User.Id.upperAscii() }}/<<$User.Profile>> {"a": 1}')
  t.equal(text, 'v1 ada/ADA/sales {"a": 1}')
})

t.test('what reads as a path is a path', async (t) => {
  const [only] = parseConfiguredTemplate('{{ $User.Claims.a-b }}').expressions
  t.same(only, { text: '$User.Claims.a-b', root: 'User', steps: ['Claims', 'a-b'] })
})

t.test('a formula that is written in several places is compiled once', async (t) => {
  const one = (text: string) => parseConfiguredTemplate(text).expressions[0]
  const first = one('{{$Auth.API_Key + "!"}}')
  t.equal(one('x {{ $Auth.API_Key + "!" }}'), first)
  for (let i = 0; i < 1_024; i++) one(`{{${i} + 1}}`)
  t.not(one('{{$Auth.API_Key + "!"}}'), first, 'and not kept for ever')
})

t.test('a formula names what it draws on, as far as that is known beforehand', async (t) => {
  const drawn = (text: string) => parseConfiguredTemplate(text).paths.map((path) => path.text)
  t.same(drawn('{{$Auth.API_Key + $User.Claims.roles[0] + $User.Claims[$User.Id]}}'), [
    '$Auth.API_Key',
    '$User.Claims.roles[0]',
    '$User.Claims',
    '$User.Id',
  ])
  t.same(drawn('{{has($Auth.Other) ? "yes" : "no"}}'), ['$Auth.Other'])
  t.same(drawn('{{"$Auth.API_Key"}}'), [], 'a string is no variable')
})

t.test('what is made of a secret is searched for, and so is the secret', async (t) => {
  t.same(filled('{{"Token " + $Auth.API_Key.upperAscii()}}').secrets, [
    KEY,
    `Token ${KEY.toUpperCase()}`,
    KEY.toUpperCase(),
  ])
  t.ok(filled('{{base64($Auth.API_Key)}}').secrets.includes(Buffer.from(KEY).toString('base64')))
  const items = filled('{{$Auth.List.map(one, one.upperAscii()).join("") + "."}}').secrets
  for (const one of ['first-secret', 'FIRST-SECRET', 'SECOND-SECRET', 'FIRST-SECRETSECOND-SECRET'])
    t.ok(items.includes(one), one)
  t.same(filled('{{$Auth.Username.upperAscii()}}').secrets, [], 'a user name is no secret')
  t.same(filled('{{$User.Id.upperAscii()}}').secrets, [])
})

t.test('what is no formula says why, in the words of who wrote it', async (t) => {
  for (const [formula, why] of [
    ['tenant', 'Unknown variable: tenant'],
    ['$User.Id.shout()', 'shout'],
    ['nobody()', 'nobody'],
    ['"a" + 1', 'string \\+ int'],
    ['$User', '`\\$User` alone is no variable; say which: \\$User.NAME'],
    ['size($Auth)', '`\\$Auth` alone'],
    ['$Auth[$User.Id]', '`\\$Auth` alone'],
    ['$Nope.x', 'Unexpected character: \\$'],
    ['__Auth.API_Key', 'two underscores'],
    ['__secret0', 'two underscores'],
    ['$User.Id.matches("(a+)+$")', '`matches` is not offered'],
    [`"${'x'.repeat(4096)}"`, 'longer than 4096'],
    [`${'1+'.repeat(400)}1`, 'Exceeded max'],
    ['1 +', 'EOF'],
  ] as const) {
    const { code, message, hint } = refusal(() => parseConfiguredTemplate(`{{${formula}}}`))
    t.equal(code, 'bad_request', formula)
    t.match(message, new RegExp(why), formula)
    t.ok(message.includes(`\`{{${formula.slice(0, 200)}}}\` is not a variable`), formula)
    t.match(hint, /FORMULAS\.md/)
    t.ok(message.length < 500)
  }
  for (const open of ['{{ "a', '{{ {"a": 1} }', "{{ 'it }}", '{{ $User.Id'])
    t.match(refusal(() => parseConfiguredTemplate(open)).message, /opened but not closed/, open)
})

t.test('a formula without a value says of what it draws on, and nothing of what that is', async (t) => {
  for (const [formula, why] of [
    ['$User.Email.upperAscii()', '`\\$User.Email` has no value'],
    ['$User.Claims.level / 0', 'division_by_zero'],
    ['$Auth.API_Key.substring(400)', 'index_out_of_range'],
    ['int($Auth.API_Key)', 'int_conversion_error'],
    ['bool($Auth.API_Key)', 'bool_conversion_error'],
    ['$Auth.API_Key[$Auth.API_Key]', 'CEL says'],
    ['{"x": 1}[$Auth.API_Key]', 'no_such_key'],
    ['hmac($Auth.API_Key, "x", $Auth.API_Key)', '`hmac` takes sha1, sha256, sha384, sha512'],
    ['$Auth.API_Key.replace("", "x")', 'it is not empty'],
    ['9007199254740993', 'beyond 2\\^53'],
    ['type($Auth.API_Key)', 'a type'],
    ['1.0 / 0.0', 'an infinite number'],
  ] as const) {
    const error = refusal(() => filled(`{{${formula}}}`))
    t.equal(error.code, 'placeholder_unknown', formula)
    t.match(error.message, new RegExp(why), formula)
    t.notMatch(`${error.message} ${error.hint}`, KEY)
    t.notMatch(error.message, 'substring|replace', 'its own words are the administrator’s')
  }
  t.equal(refusal(() => filled('{{$User.Id == "ada" ? dyn(null) : "x"}}')).code, 'placeholder_unknown')
})

t.test('names of objects in JavaScript are names like any other', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty'])
    t.equal(refusal(() => valued(`$User.Claims.deep["${name}"]`)).code, 'placeholder_unknown', name)
  t.equal(valued('has($User.Claims.constructor)'), false)
  t.same(Object.prototype, {})
})

t.test('what a formula works out is what its values say, whatever they are (property)', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (key, id) => {
      const secrets: string[] = []
      const text = fill(
        parseConfiguredTemplate('{{"<" + $Auth.K + "|" + $User.Claims.id + ">"}}'),
        { auth: { values: { K: key }, plain: [] }, caller: makeCaller({ claims: { id } }) },
        (value) => secrets.push(value),
      )
      return text === `<${key}|${id}>` && secrets.includes(text) && secrets.includes(key)
    }),
  )
})

t.test('no text is taken for anything but a template or an error (property)', async () => {
  const piece = fc.constantFrom(
    '{{',
    '}}',
    '$Auth.A',
    '$User.Id',
    '"',
    "'",
    '\\',
    '{',
    '}',
    '//',
    '\n',
    ' + ',
    'r',
    '(',
    ')',
    '1',
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join('')),
      (text) => {
        try {
          const { literals, expressions } = parseConfiguredTemplate(text)
          return literals.length === expressions.length + 1 && !literals.join('').includes('{{')
        } catch (thrown) {
          return (thrown as { code?: string }).code === 'bad_request'
        }
      },
    ),
    { numRuns: 2_000 },
  )
})
