import fc from 'fast-check'
import t from 'tap'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import {
  type Expression,
  fill,
  lookUp,
  mayHoldPlaceholder,
  parseClientTemplate,
  parsePath,
  targetMayHoldPlaceholder,
  type VariablePath,
} from '../../core/placeholder.ts'
import type { Json } from '../../core/secret.ts'
import type { AuthValues } from '../../core/words.ts'
import { makeCaller, refusal, verdict } from './kit.ts'

const caller = makeCaller(
  { email: 'ada@example.com', profile: 'sales', claims: { team: { name: 'north' } } },
  'session-7',
)

function auth(values: { [name: string]: Json }, more: Partial<AuthValues> = {}): AuthValues {
  return { values, plain: [], ...more }
}

/** A client's text, filled. */
function filled(text: string, values: { [name: string]: Json }): string {
  return fill(parseClientTemplate(text), { auth: auth(values), caller }, () => {})
}

/** Every text that the answer would be searched for. */
function collected(text: string, given: AuthValues): string[] {
  const texts = new Set<string>()
  fill(parseClientTemplate(text), { auth: given, caller }, (value) => texts.add(value))
  return [...texts].sort()
}

t.test('both forms mean the same, with or without space inside', async (t) => {
  const values = { API_Key: 'k-123' }
  for (const text of [
    '<<$Auth.API_Key>>',
    '{{$Auth.API_Key}}',
    '<< $Auth.API_Key >>',
    '{{ $Auth.API_Key }}',
    '{{\t$Auth.API_Key  }}',
  ])
    t.equal(filled(text, values), 'k-123', text)
  t.equal(filled('Bearer <<$Auth.API_Key>>; again={{$Auth.API_Key}}!', values), 'Bearer k-123; again=k-123!')
  t.equal(filled('{{{$Auth.API_Key}}}', values), '{k-123}')
  t.equal(filled('no placeholder at all', values), 'no placeholder at all')
})

t.test("other people's braces are text", async (t) => {
  for (const text of [
    '{{name}}',
    '{{ user.id }}',
    '<<EOF',
    '{{}}',
    '{{Auth.API_Key}}',
    '<<Auth.API_Key>>',
    '{{$other.x}}',
    '$Auth.API_Key',
    '{$Auth.API_Key}',
    '<$Auth.API_Key>',
    '{{$Authority.x}}',
  ]) {
    t.notOk(mayHoldPlaceholder(text), text)
    t.equal(filled(text, { API_Key: 'k' }), text)
  }
  t.equal(filled('{{name}} <<$Auth.API_Key>>', { API_Key: 'k' }), '{{name}} k')
})

t.test('what opens like a placeholder and is none is an error, never text that leaves', async (t) => {
  for (const text of [
    '<<$Auth.API_Key',
    '{{$Auth.API_Key',
    '<<$Auth.API_Key}}',
    '{{$Auth.API_Key>>',
    '{{$Auth.API_Key}',
    '<<$Auth.>>',
    '<<$Auth>>',
    '{{$Auth}}',
    '<<$Auth.a b>>',
    '<<$Auth.a..b>>',
    '<<$Auth.a.>>',
    '<<$Auth[0]>>',
    '<<$Auth.a[x]>>',
    '<<$Auth.a[-1]>>',
    '<<$auth.API_Key>>',
    '<<$AUTH.API_Key>>',
    '{{ $uSER.Id }}',
    '{{$Auth.x | upper}}',
    '{{$User.Id.upperAscii()}}',
    '<<$Auth.<<$Auth.API_Key>>>>',
    '<<$Auth.API_Key>> <<$Auth.',
    '{{$Auth.{{$Auth.API_Key}}}}',
    '<<$Auth.a{{$Auth.API_Key}}>>',
  ]) {
    t.ok(mayHoldPlaceholder(text), text)
    t.equal(
      verdict(() => filled(text, { API_Key: 'k' })),
      'placeholder_unknown',
      text,
    )
  }
})

t.test('letters count as they are written', async (t) => {
  t.equal(
    verdict(() => filled('<<$Auth.api_key>>', { API_Key: 'k' })),
    'placeholder_unknown',
  )
  t.equal(
    verdict(() => filled('<<$User.id>>', {})),
    'placeholder_unknown',
  )
})

t.test('finds a placeholder in a target, however much of it is percent-encoded', async (t) => {
  for (const target of [
    '/x?k=<<$Auth.API_Key>>',
    '/x?k={{$Auth.API_Key}}',
    '/x?k=%3C%3C$Auth.API_Key%3E%3E',
    '/x?k=%3c%3c%24Auth.API_Key%3e%3e',
    '/x?k=%7B%7B%24Auth.API_Key%7D%7D',
    '/x?k=%7b%7B%20$User.Id',
    '/%3C%3C%24Api.Session_Id%3E%3E/x',
    '/x?k=%3C<%24Aut%68.API_Key>>',
  ])
    t.ok(targetMayHoldPlaceholder(target), target)
  for (const target of ['/x', '/x?k=%7B%7Bname%7D%7D', '/x?a=%24Auth.x', '/100%', '/%zz', '/x?k=%3C%3CAuth'])
    t.notOk(targetMayHoldPlaceholder(target), target)
})

t.test('what was put in is not expanded again (R6)', async (t) => {
  const values = { User: '<<$Auth.Password>>', Half: '<<$Auth.', Password: 'hunter2-hunter2' }
  t.equal(filled('<<$Auth.User>>', values), '<<$Auth.Password>>')
  t.equal(filled('<<$Auth.Half>>Password>>', values), '<<$Auth.Password>>')
  t.equal(filled('{{$Auth.User}}{{$Auth.User}}', values), '<<$Auth.Password>><<$Auth.Password>>')
})

t.test('descends by names and by [n]', async (t) => {
  const values = { Response: { Body: { items: [{ id: 7 }, 'two'], 'a-b': true } } }
  t.equal(filled('<<$Auth.Response.Body.items[0].id>>', values), '7')
  t.equal(filled('<<$Auth.Response.Body.items[1]>>', values), 'two')
  t.equal(filled('<<$Auth.Response.Body.a-b>>', values), 'true')
  t.equal(filled('<<$Auth.Response.Body.items>>', values), '[{"id":7},"two"]')
  for (const path of [
    'items[2]',
    'items.0',
    'items.length',
    'items[0].id.x',
    'items[1].length',
    'items[1][0]',
    'nothing',
  ])
    t.equal(
      verdict(() => filled(`<<$Auth.Response.Body.${path}>>`, values)),
      'placeholder_unknown',
      path,
    )
  t.equal(
    verdict(() => filled('<<$Auth.None>>', { None: null })),
    'placeholder_unknown',
    'null is no value',
  )
})

t.test("what every object inherits is nobody's value", async (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__']
  for (const name of names) {
    t.equal(
      verdict(() => filled(`<<$Auth.${name}>>`, { API_Key: 'k' })),
      'placeholder_unknown',
      name,
    )
    t.equal(
      verdict(() => filled(`<<$Auth.Inner.${name}>>`, { Inner: {} })),
      'placeholder_unknown',
      name,
    )
    t.equal(
      verdict(() => filled(`<<$Auth.constructor.${name}>>`, {})),
      'placeholder_unknown',
      name,
    )
    t.equal(
      verdict(() => filled(`<<$User.Claims.${name}>>`, {})),
      'placeholder_unknown',
      name,
    )
    t.equal(
      verdict(() => filled(`<<$User.${name}>>`, {})),
      'placeholder_unknown',
      name,
    )
    t.equal(
      verdict(() => filled(`<<$Api.${name}>>`, {})),
      'placeholder_unknown',
      name,
    )
  }
  const own = JSON.parse('{"__proto__":"mine"}') as { [name: string]: Json }
  t.equal(filled('<<$Auth.__proto__>>', own), 'mine', 'a field of that name is like any other')
})

t.test('knows the caller and the session', async (t) => {
  t.equal(filled('{{$User.Id}} {{$User.Email}} {{$User.Profile}}', {}), 'ada ada@example.com sales')
  t.equal(filled('{{$User.Claims.team.name}} {{$Api.Session_Id}}', {}), 'north session-7')
  t.equal(filled('{{$User.Claims}}', {}), '{"team":{"name":"north"}}')
  for (const path of ['User.Id.x', 'User.Name', 'User.Claims.none', 'Api.Session_Id.x', 'Api.Key'])
    t.equal(
      verdict(() => filled(`{{$${path}}}`, {})),
      'placeholder_unknown',
      path,
    )
  const nobody = { caller: makeCaller() }
  for (const path of ['$User.Email', '$User.Profile', '$User.Claims', '$Auth.API_Key'])
    t.equal(lookUp(parsePath(path) as VariablePath, nobody), undefined, path)
})

t.test('an error names what there is, and no value', async (t) => {
  const error = refusal(() =>
    filled('<<$Auth.Nothing>>', { API_Key: 'sk_live_marked', Other: { a: 'sk_live_marked' } }),
  )
  t.match(error.detail, '$Auth.Nothing')
  t.match(error.hint, '$Auth.API_Key, $Auth.Other')
  t.notMatch(`${error.message} ${error.hint}`, 'sk_live_marked')
  const strange = refusal(() => parseClientTemplate('<<$Auth.sk live marked>>'))
  t.notMatch(`${strange.message} ${strange.hint}`, 'sk live')
})

t.test('tells of every text in a secret value, and of none in a plain one', async (t) => {
  t.same(collected('<<$Auth.A>>', auth({ A: 'one', B: 'two' })), ['one'])
  t.same(collected('<<$Auth.A>>', auth({ A: 'one' }, { plain: ['A'] })), [])
  t.same(collected('<<$Auth.A.b>>', auth({ A: { b: 'one', c: 'two' } })), ['one'])
  t.same(collected('<<$Auth.A>>', auth({ A: { b: 'one', c: [12345678, 'three'], d: null, e: true } })), [
    '12345678',
    '[12345678,"three"]',
    'one',
    'three',
    '{"b":"one","c":[12345678,"three"],"d":null,"e":true}',
  ])
  const within = auth(
    { Joined: 'am9pbmVk', User: 'u', Password: 'p' },
    { plain: ['User'], within: { Joined: ['User', 'Password'] } },
  )
  t.same(collected('<<$Auth.Joined>>', within), ['am9pbmVk', 'p'])
  t.same(collected('<<$User.Id>><<$Api.Session_Id>>', auth({})), [])
})

t.test('each value can be encoded for where it lands', async (t) => {
  const put = (value: string, path: Expression) => `[${path.text}=${value}]`
  const template = parseClientTemplate('a <<$Auth.A>> b')
  t.equal(
    fill(template, { auth: auth({ A: 'x' }), caller }, () => {}, put),
    'a [$Auth.A=x] b',
  )
})

t.test("an administrator's template holds variables, or says what is wrong", async (t) => {
  t.same(parseConfiguredTemplate('Bearer {{$Auth.API_Key}}').literals, ['Bearer ', ''])
  t.equal(
    refusal(() => parseConfiguredTemplate('{{Auth.API_Key}}')).hint,
    'Write it with a dollar sign: {{$Auth.API_Key}}',
  )
  for (const text of [
    '{{Auth.API_Key}}',
    '{{name}}',
    '{{$Auth.x',
    '<<$Auth.x',
    '<<$User.Id.upperAscii()>>',
    '{{$Auth}}',
    '{{}}',
    '<<$Auth>>',
  ])
    t.equal(
      verdict(() => parseConfiguredTemplate(text)),
      'bad_request',
      text,
    )
  t.same(parseConfiguredTemplate('a << b').literals, ['a << b'])
})

t.test('an unfinished template is told without its text', async (t) => {
  const error = refusal(() => parseConfiguredTemplate('sk_live_marked {{$Auth.x'))
  t.notMatch(`${error.message} ${error.hint}`, 'sk_live_marked')
})

t.test('a long text that never closes costs no more than its length', async (t) => {
  const spaces = ' '.repeat(60_000)
  for (const text of [
    `{{$Auth.${spaces}`,
    `<<$Auth.${spaces}`,
    `{{ ${spaces}x{{$Auth.a}}`,
    `<<$${spaces}`,
    '<<$'.repeat(20_000),
    '{{'.repeat(30_000),
  ]) {
    const started = process.cpuUsage()
    for (const parse of [parseClientTemplate, parseConfiguredTemplate]) verdict(() => parse(text))
    const { user, system } = process.cpuUsage(started)
    t.ok(user + system < 200_000, `${text.slice(0, 8)} took ${user + system} µs`)
  }
})

t.test('every text without an opening stays as it is', async (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      fc.pre(!mayHoldPlaceholder(text))
      t.equal(filled(text, {}), text)
    }),
    { numRuns: 200 },
  )
  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,8}$/)
  fc.assert(
    fc.property(
      name,
      fc.string({ minLength: 1 }),
      fc.constantFrom(['<<', '>>'], ['{{', '}}']),
      (key, value, [open, close]) => {
        t.equal(
          filled(`a ${open}$Auth.${key}${close} b`, JSON.parse(JSON.stringify({ [key]: value }))),
          `a ${value} b`,
        )
      },
    ),
    { numRuns: 200 },
  )
})

t.test('an encoded value is searched for where the value is, and not where it is no secret', async (t) => {
  const put = (value: string) => encodeURIComponent(value)
  const values = { Name: 'ada lovelace', Key: 'a secret key' }
  const secretsIn = (text: string) => {
    const secrets: string[] = []
    const sources = { auth: { values, plain: ['Name'] }, caller }
    fill(parseClientTemplate(text), sources, (value) => secrets.push(value), put)
    return secrets
  }
  t.same(secretsIn('<<$Auth.Key>>'), ['a secret key', 'a%20secret%20key'])
  t.same(secretsIn('<<$Auth.Name>>'), [])
})

t.test('what has no value says what there is', async (t) => {
  const hint = (text: string, values = {}) =>
    refusal(() =>
      fill(parseClientTemplate(text), { auth: { values, plain: [] }, caller: makeCaller() }, () => {}),
    ).hint
  t.match(hint('<<$Api.Key>>'), 'There is $Api.Session_Id.')
  t.match(hint('<<$User.Email>>'), /\$User\.Email/)
  t.match(hint('<<$Auth.X>>'), "This connection's method has no $Auth variables.")
  t.match(hint('<<$Auth.X>>', { A: 'a', B: 'b' }), 'Here there are: $Auth.A, $Auth.B.')
})
