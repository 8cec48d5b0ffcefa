import { readFileSync } from 'node:fs'
import t from 'tap'
import { openAuthority } from '../../certs/authority.ts'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { LOCAL } from '../../core/words.ts'
import { openDesk, refusal } from './kit.ts'

/** A connection around one line of its own. */
const connection = (line: string) => `connections:
  - name: api
    destinations: [https://api.example]
    auth: { method: api-key }
    ${line}
`

/** What is written, where the first problem is, its key, and what is said of it. */
const CASES: readonly (readonly [title: string, text: string, at: string, key: string, says: RegExp])[] = [
  ['no YAML', 'name: [a\n', '2:1', '', /./],
  ['a duplicate key', 'name: a\nname: b\n', '2:1', '', /unique/],
  ['a mapping for a key', 'name: a\n? { name: b }\n: c\n', '2:3', '', /where a key belongs/],
  ['an alias of a list for a key', 'name: &a [b]\n*a : c\n', '2:1', '', /where a key belongs/],
  ['two documents', 'name: a\n---\nname: b\n', '2:1', '', /./],
  ['an unknown tag', 'name: !secret a\n', '1:7', '', /tag/],
  ['a list at the top', '- a\n', '1:1', '', /expected keys such as `connections:`/],
  ['a text at the top', 'hello\n', '1:1', '', /expected keys/],
  ['an unknown top key', 'name: a\nconections: []\n', '2:1', 'conections', /did you mean `connections`/],
  ['a key far from any', 'qqqqqqqq: 1\n', '1:1', 'qqqqqqqq', /known here: name, site/],
  ['a key that there is not', 'provider: []\n', '1:1', 'provider', /did you mean `providers`/],
  ['an issuer', 'identity: { issuer: [] }\n', '1:13', 'identity.issuer', /did you mean `issuers`/],
  ['a name that is none', 'name: "a b"\n', '1:7', 'name', /expected a name/],
  ['a number for a text', 'name: 5\n', '1:7', 'name', /got a number \(write it in quotes/],
  ['a rate of nothing', 'limits: { rate: 0 }\n', '1:17', 'limits.rate', /expected a number above 0$/m],
  ['half a request', 'limits: { inFlight: 1.5 }\n', '1:21', 'limits.inFlight', /a whole number, 1 or more$/m],
  ['a limit that is none', 'limits: { request: 1 }\n', '1:11', 'limits.request', /unknown key/],
  [
    'a budget without a period',
    'connections: [{ name: a, destinations: [https://a.example], auth: { method: none }, budget: { total: "5" } }]\n',
    '1:102',
    'connections[0].budget.total',
    /a number a minute, hour or day: 1000\/day/,
  ],
  ['an address without a port', 'listen: { proxy: localhost }\n', '1:18', 'listen.proxy', /HOST:PORT/],
  ['a port too large', 'listen: { proxy: "127.0.0.1:70000" }\n', '1:18', 'listen.proxy', /65535/],
  ['a site that is no URL', 'site: { url: locum }\n', '1:14', 'site.url', /expected an URL/],
  ['a principal without an id', 'principals:\n  - { kind: user }\n', '2:5', 'principals[0].id', /missing/],
  [
    'an unknown kind',
    'principals: [{ id: a, kind: robot }]\n',
    '1:29',
    'principals[0].kind',
    /user or service/,
  ],
  [
    'whom nobody can act for',
    'principals: [{ id: a, mayActFor: ["service:b"] }]\n',
    '1:35',
    'principals[0].mayActFor[0]',
    /expected user:\*, user:ID or profile:NAME/,
  ],
  [
    'an administrator who acts for users',
    'principals: [{ id: a, admin: true, mayActFor: ["user:*"] }]\n',
    '1:47',
    'principals[0].mayActFor',
    /administrator never acts/,
  ],
  ['a principal twice', 'principals: [{ id: a }, { id: a }]\n', '1:31', 'principals[1].id', /twice/],
  [
    'a key that is none',
    'principals: [{ id: a, key: { env: NOKEY } }]\n',
    '1:28',
    'principals[0].key',
    /is not a proxy key/,
  ],
  ['a key in clear', 'principals: [{ id: a, key: lcm_x }]\n', '1:28', 'principals[0].key', /env/],
  [
    'a key source that is none',
    'principals: [{ id: a, key: { evn: A } }]\n',
    '1:28',
    'principals[0].key',
    /env/,
  ],
  [
    'a key file that is missing',
    'principals: [{ id: a, key: { file: gone.key } }]\n',
    '1:28',
    'principals[0].key',
    /no such file/,
  ],
  [
    'a key variable that is not set',
    'principals: [{ id: a, key: { env: GONE } }]\n',
    '1:28',
    'principals[0].key',
    /GONE is not set/,
  ],
  ['the default nobody is', 'identity: { default: eve }\n', '1:22', 'identity.default', /no principal eve/],
  [
    'a connection without destinations',
    'connections: [{ name: a, auth: { method: none } }]\n',
    '1:15',
    'connections[0].destinations',
    /missing; expected a list/,
  ],
  [
    'no destination',
    'connections: [{ name: a, destinations: [], auth: { method: none } }]\n',
    '1:40',
    'connections[0].destinations',
    /at least one/,
  ],
  [
    'a destination with a path',
    'connections: [{ name: a, destinations: ["https://a.example/x"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /not a destination/,
  ],
  [
    'a wildcard over too much',
    'connections: [{ name: a, destinations: ["https://*.example"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /covers too much/,
  ],
  [
    'a destination twice',
    'connections: [{ name: a, destinations: ["https://a.example", "https://A.example:443"], auth: { method: none } }]\n',
    '1:62',
    'connections[0].destinations[1]',
    /twice/,
  ],
  [
    'loopback',
    'connections: [{ name: a, destinations: ["http://127.0.0.1:9000"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /loopback address; say `allowPrivateNetwork: true`/,
  ],
  [
    'localhost',
    'connections: [{ name: a, destinations: ["http://db.localhost"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /loopback/,
  ],
  [
    'a private address',
    'connections: [{ name: a, destinations: ["https://10.1.2.3"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /private/,
  ],
  [
    'the metadata address',
    'connections: [{ name: a, destinations: ["http://169.254.169.254"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /metadata/,
  ],
  [
    'a mapped address',
    'connections: [{ name: a, destinations: ["https://[::ffff:127.0.0.1]"], auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /loopback/,
  ],
  [
    'multicast, whatever is allowed',
    'connections: [{ name: a, destinations: ["https://224.0.0.1"], allowPrivateNetwork: true, auth: { method: none } }]\n',
    '1:41',
    'connections[0].destinations[0]',
    /multicast address$/,
  ],
  [
    'an unknown method',
    'connections: [{ name: a, destinations: ["https://a.example"], auth: { method: oauth3 } }]\n',
    '1:79',
    'connections[0].auth.method',
    /there are none, basic, api-key, raw, separate-url, oauth2, jwt, aws-keys, aws-role$/,
  ],
  [
    'a method without a name',
    'connections: [{ name: a, destinations: ["https://a.example"], auth: {} }]\n',
    '1:69',
    'connections[0].auth.method',
    /missing/,
  ],
  [
    'a key the method has not',
    connection('').replace('{ method: api-key }', '{ method: api-key, region: x }'),
    '4:30',
    'connections[0].auth.region',
    /unknown key/,
  ],
  [
    'basic without a source',
    connection('').replace('api-key', 'basic'),
    '4:11',
    'connections[0].auth',
    /basic needs `source`/,
  ],
  [
    'an unknown source',
    connection('source: user'),
    '5:13',
    'connections[0].source',
    /shared or per-profile or per-user/,
  ],
  [
    'a fallback of shared',
    connection('fallback: [shared]'),
    '5:16',
    'connections[0].fallback[0]',
    /shared source has no fallback/,
  ],
  [
    'a fallback to itself',
    connection('source: per-profile\n    fallback: [profile]'),
    '6:16',
    'connections[0].fallback[0]',
    /fall back to shared only/,
  ],
  [
    'a fallback twice',
    connection('source: per-user\n    fallback: [shared, shared]'),
    '6:24',
    'connections[0].fallback[1]',
    /twice/,
  ],
  [
    'a base elsewhere',
    connection('base: https://other.example/'),
    '5:11',
    'connections[0].base',
    /outside the destinations/,
  ],
  [
    'a base that is no URL',
    connection('base: api.example'),
    '5:11',
    'connections[0].base',
    /base is not an URL/,
  ],
  [
    'a header that frames',
    connection('headers: { Content-Length: "5" }'),
    '5:16',
    'connections[0].headers.Content-Length',
    /cannot be set/,
  ],
  [
    'a header twice',
    connection('headers: { X-A: a, x-a: b }'),
    '5:24',
    'connections[0].headers.x-a',
    /twice/,
  ],
  [
    'a header that is no text',
    connection('headers: { X-A: 5 }'),
    '5:21',
    'connections[0].headers.X-A',
    /expected a text, got a number/,
  ],
  [
    'a header over two lines',
    connection('headers: { X-A: "a\\nb" }'),
    '5:21',
    'connections[0].headers.X-A',
    /line breaks/,
  ],
  [
    'a variable without its dollar',
    connection('headers: { X-A: "{{Auth.API_Key}}" }'),
    '5:21',
    'connections[0].headers.X-A',
    /with a dollar sign/,
  ],
  [
    'a variable the method has not',
    connection('headers: { X-A: "{{$Auth.Password}}" }'),
    '5:21',
    'connections[0].headers.X-A',
    /`api-key` has \$Auth.API_Key/,
  ],
  [
    'a variable that is not closed',
    connection('headers: { X-A: "{{$Auth.API_Key" }'),
    '5:21',
    'connections[0].headers.X-A',
    /opened but not closed/,
  ],
  [
    'a slot that frames',
    connection('slots: { headers: [host] }'),
    '5:24',
    'connections[0].slots.headers[0]',
    /cannot be set or be a slot/,
  ],
  [
    'a slot of another kind',
    connection('slots: { cookie: [key] }'),
    '5:14',
    'connections[0].slots.cookie',
    /unknown key; known here: headers, path, query, json, form/,
  ],
  [
    'a path slot that is a list',
    connection('slots: { path: [a] }'),
    '5:20',
    'connections[0].slots.path',
    /expected true or false/,
  ],
  [
    'a pointer that is none',
    connection('slots: { json: [auth/token] }'),
    '5:21',
    'connections[0].slots.json[0]',
    /not a JSON pointer/,
  ],
  [
    'a stand-in that is short',
    connection('placeholders: { sk_test: $Auth.API_Key }'),
    '5:21',
    'connections[0].placeholders.sk_test',
    /12 to 256 characters/,
  ],
  [
    'a stand-in that is a template',
    connection('placeholders: { "{{sk_test_standin}}": $Auth.API_Key }'),
    '5:21',
    'connections[0].placeholders.{{sk_test_standin}}',
    /letters, digits/,
  ],
  [
    'a stand-in within another',
    connection('placeholders: { sk_test_standin: $Auth.API_Key, sk_test_standin_2: $User.Id }'),
    '5:53',
    'connections[0].placeholders.sk_test_standin_2',
    /holds another stand-in, sk_test_standin/,
  ],
  [
    'a stand-in for a text',
    connection('placeholders: { sk_test_standin: hello }'),
    '5:38',
    'connections[0].placeholders.sk_test_standin',
    /a variable alone/,
  ],
  [
    'a stand-in for what the method has not',
    connection('placeholders: { sk_test_standin: $Auth.Password }'),
    '5:38',
    'connections[0].placeholders.sk_test_standin',
    /unknown variable \$Auth.Password/,
  ],
  [
    'a query that is a number',
    connection('query: { version: 2 }'),
    '5:23',
    'connections[0].query.version',
    /write it in quotes/,
  ],
  [
    'a query with what the method has not',
    connection('query: { key: "{{$Auth.Password}}" }'),
    '5:19',
    'connections[0].query.key',
    /unknown variable \$Auth.Password/,
  ],
  [
    'a parameter without a name',
    connection('query: { "": x }'),
    '5:14',
    'connections[0].query.',
    /a name is empty/,
  ],
  [
    'a body of two types',
    connection('body: { json: { a: 1 }, text: x }'),
    '5:11',
    'connections[0].body',
    /one of json, form and text/,
  ],
  ['a body of no type', connection('body: { xml: x }'), '5:13', 'connections[0].body.xml', /unknown key/],
  [
    'a body with what is no variable',
    connection('body: { json: { a: [{ b: "{{tenant}}" }] } }'),
    '5:30',
    'connections[0].body.json.a[0].b',
    /is not a variable/,
  ],
  [
    'a body with what the method has not',
    connection('body: { json: { a: "{{$Auth.Password}}" } }'),
    '5:24',
    'connections[0].body.json.a',
    /unknown variable/,
  ],
  [
    'a variable in the name of a member',
    connection('body: { json: { "{{$User.Id}}": 1 } }'),
    '5:21',
    'connections[0].body.json.{{$User.Id}}',
    /in the name of a member/,
  ],
  [
    'a number that JSON has not',
    connection('body: { json: { a: .inf } }'),
    '5:24',
    'connections[0].body.json.a',
    /no such number/,
  ],
  [
    'a form with a variable that is not closed',
    connection('body: { form: { a: "{{$Auth.API_Key" } }'),
    '5:24',
    'connections[0].body.form.a',
    /opened but not closed/,
  ],
  [
    'a path without its slash',
    connection('allow: { paths: [api] }'),
    '5:22',
    'connections[0].allow.paths[0]',
    /path such as/,
  ],
  [
    'a method in small letters',
    connection('allow: { methods: [get] }'),
    '5:24',
    'connections[0].allow.methods[0]',
    /capitals/,
  ],
  [
    'every origin',
    connection('cors: { origins: ["*"] }'),
    '5:23',
    'connections[0].cors.origins[0]',
    /exact origin/,
  ],
  [
    'an origin with a wildcard',
    connection('cors: { origins: ["https://*.a.example"] }'),
    '5:23',
    'connections[0].cors.origins[0]',
    /exact origin/,
  ],
  [
    'the origin null',
    connection('cors: { origins: ["null"] }'),
    '5:23',
    'connections[0].cors.origins[0]',
    /exact origin/,
  ],
  [
    'an origin with a path',
    connection('cors: { origins: ["https://a.example/"] }'),
    '5:23',
    'connections[0].cors.origins[0]',
    /exact origin/,
  ],
  ['a CA that is missing', connection('ca: gone.pem'), '5:9', 'connections[0].ca', /no such file/],
  ['a CA that is none', connection('ca: locum.yaml'), '5:9', 'connections[0].ca', /no PEM certificate/],
  [
    'a redaction that is none',
    connection('redact: hide'),
    '5:13',
    'connections[0].redact',
    /expected mask, block or off/,
  ],
  [
    'a connection twice',
    `${connection('')}  - { name: api, destinations: [https://b.example], auth: { method: none } }\n`,
    '6:13',
    'connections[1].name',
    /twice/,
  ],
  [
    'a credential for nothing',
    'credentials: [{ connection: gone, for: shared, fields: {} }]\n',
    '1:29',
    'credentials[0].connection',
    /no connection gone/,
  ],
  [
    'a scope that is none',
    'credentials: [{ connection: a, for: everybody, fields: {} }]\n',
    '1:37',
    'credentials[0].for',
    /shared, profile:NAME or user:ID/,
  ],
  [
    'a variable that is not set',
    `${connection('')}credentials:\n  - { connection: api, for: shared, fields: { apiKey: { env: GONE } } }\n`,
    '7:55',
    'credentials[0].fields.apiKey',
    /GONE is not set/,
  ],
  [
    'a field the method has not',
    `${connection('')}credentials:\n  - { connection: api, for: shared, fields: { key: { env: SET } } }\n`,
    '7:45',
    'credentials[0].fields',
    /no such field/,
  ],
  [
    'a credential twice',
    `${connection('')}credentials:\n  - { connection: api, for: shared, fields: { apiKey: { env: SET } } }\n  - { connection: api, for: shared, fields: { apiKey: { env: SET } } }\n`,
    '8:29',
    'credentials[1].for',
    /twice/,
  ],
  [
    'a scope that is never looked for',
    `${connection('')}credentials:\n  - { connection: api, for: "profile:x", fields: { apiKey: { env: SET } } }\n`,
    '7:29',
    'credentials[0].for',
    /never looks for/,
  ],
  [
    'a user nobody is',
    `${connection('source: per-user')}credentials:\n  - { connection: api, for: "user:eve", fields: { apiKey: { env: SET } } }\n`,
    '7:29',
    'credentials[0].for',
    /no principal eve/,
  ],
]

t.test('says where a file is wrong, and how', async (t) => {
  const { check, env } = await openDesk(t)
  env.SET = 'a-long-secret'
  env.NOKEY = `${proxyKeyText(new Uint8Array(32))}x`
  for (const [title, text, at, key, says] of CASES) {
    const error = await refusal(check(text)).catch(() => undefined)
    const [first = ''] = (error?.detail ?? 'it was not refused').split('\n')
    const prefix = `locum.yaml:${at}: ${key === '' ? '' : `${key}: `}`
    t.ok(first.includes(prefix), `${title}: at ${at} ${key}, said ${first.replace(/^.*\//, '')}`)
    t.match(first, says, title)
    t.notMatch(error?.detail ?? '', /a-long-secret|lcm_0|sk_live/, `${title}: no secret`)
  }
})

t.test('tells of several problems at once, in the order of the file', async (t) => {
  const { check } = await openDesk(t)
  const { detail } = await refusal(check('lisen: {}\nprincipals: [{ id: "a b" }, { kind: 1 }]\n'))
  const lines = detail.split('\n').map((line) => line.replace(/^.*locum.yaml:/, ''))
  t.match(lines, [/^1:1: lisen: unknown key; did you mean `listen`/])
  const names = Array.from(
    { length: 40 },
    (_, i) => `{ name: c${i}, destinations: [nowhere], auth: { method: none } }`,
  )
  const many = await refusal(check(`connections: [${names.join(', ')}]\n`))
  t.equal(many.detail.split('\n').length, 11)
  t.match(many.detail, /and 30 more$/)
})

t.test('a file that is not there is said in one line', async (t) => {
  const { run } = await openDesk(t)
  const { checkFile } = await import('../../operations/apply.ts')
  const error = await refusal(run(checkFile, { file: '/nowhere/locum.yaml' }))
  t.match(error, { code: 'bad_request', detail: 'Cannot read /nowhere/locum.yaml: there is no such file' })
})

t.test('a small file cannot become a huge one', async (t) => {
  const { check } = await openDesk(t)
  const levels = ['a: &a [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++)
    levels.push(`${'abcdefghi'[i]}: &${'abcdefghi'[i]} [${`*${'abcdefghi'[i - 1]}, `.repeat(10)}]`)
  t.match(await refusal(check(levels.join('\n'))), { detail: /anchors are used over too often/ })
  t.match(await refusal(check('['.repeat(2_000))), { detail: /nested too deeply/ })
  t.match(await refusal(check(`# ${'x'.repeat(5_000_000)}`)), { detail: /larger than 4 MiB/ })
})

t.test('an anchor may be used over, and an error in it is found where it stands', async (t) => {
  const { apply, check, context } = await openDesk(t)
  const text = `connections:
  - { name: a, destinations: [https://a.example], auth: &none { method: none } }
  - { name: b, destinations: [https://b.example], auth: *none }
`
  await apply(text)
  t.equal((await context.store.connection(LOCAL, 'b'))?.method, 'none')
  t.match(await refusal(check(text.replace('method: none', 'method: nono'))), {
    detail: /:2:73: connections\[0\].*\n.*:2:73: connections\[1\]/,
  })
})

t.test('a file is quoted nowhere but in its error', async (t) => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const desk = await openDesk(t)
  t.match(await refusal(desk.check('credentials:\n  - fields: { { apiKey: sk_live_1 }: x }\n')), {
    detail: /a key belongs/,
  })
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, [])
})

t.test('JSON is taken as well', async (t) => {
  const { apply, context } = await openDesk(t)
  await apply(JSON.stringify({ principals: [{ id: 'ada', profile: 'sales' }] }, undefined, 2))
  t.match(await context.store.principal(LOCAL, 'ada'), { kind: 'user', profile: 'sales' })
})

t.test('an empty file changes nothing', async (t) => {
  const { apply } = await openDesk(t)
  for (const text of ['', '# nothing yet\n', '{}']) t.same((await apply(text)).changes, [])
})

t.test('secrets are read beside the file, without the line end of a file', async (t) => {
  const { apply, write, fieldsOf, env } = await openDesk(t)
  await write('pass', 'open sesame\r\n')
  env.DEEP = 'deep-secret'
  await apply(`
connections:
  - { name: crm, destinations: [https://crm.example], auth: { method: basic }, source: shared }
  - { name: lab, destinations: [https://lab.example], auth: { method: raw } }
credentials:
  - { connection: crm, for: shared, fields: { username: Aladdin, password: { file: ./pass } } }
  - { connection: lab, for: shared, fields: { env: { env: DEEP }, a: { b: [{ env: DEEP }, 5] } } }
`)
  t.same(await fieldsOf('crm', 'shared'), { username: 'Aladdin', password: 'open sesame' })
  t.same(await fieldsOf('lab', 'shared'), { env: 'deep-secret', a: { b: ['deep-secret', 5] } })
})

t.test("an upstream's own CA is read when the file is applied", async (t) => {
  const { apply, write, context } = await openDesk(t)
  const { store, sealer, clock } = context
  const authority = await openAuthority(store, sealer, clock)
  t.teardown(() => authority.close())
  await write('lab.pem', `Some words before.\n${authority.certificatePem}and after\n`)
  await apply(connection('ca: ./lab.pem'))
  t.equal((await store.connection(LOCAL, 'api'))?.ca, authority.certificatePem)
  await write('bad.pem', authority.certificatePem.replace(/[A-Za-z0-9+/]{20}\n/, '\n'))
  t.match(await refusal(apply(connection('ca: ./bad.pem'))), {
    detail: /certificate 1 in .*bad.pem cannot be read/,
  })
})

t.test('every key that a connection has is kept as it is written', async (t) => {
  const { apply, context } = await openDesk(t)
  await apply(`
name: full
site: { url: https://locum.example.com, contact: it@example.com }
connections:
  - name: crm
    destinations: ["https://*.crm.example"]
    ownedWildcard: true
    base: "https://{{$Auth.subdomain}}.crm.example/api/"
    auth: { method: raw }
    source: per-user
    fallback: [profile, shared]
    headers: { X-B: "{{$Auth.token}}", X-A: "{{$User.Id}}" }
    allow: { methods: [GET, POST], paths: [/api/*], profiles: [sales], projects: [north] }
    slots: { headers: [X-Crm-Key], path: true, query: [key], json: [/auth/token], form: [token] }
    placeholders: { sk_test_standin123: $Auth.token }
    query: { version: "2", key: "{{$Auth.token}}" }
    body: { json: { tenant: acme, who: "{{$User.Id}}", deep: [1, { "__proto__": "{{$Auth.token}}" }] } }
    cors: { origins: [https://app.example.com] }
    allowPrivateNetwork: true
    allowPlaintext: true
`)
  t.match(await context.store.site(), { url: 'https://locum.example.com', contact: 'it@example.com' })
  t.match(await context.store.connection(LOCAL, 'crm'), {
    destinations: [{ scheme: 'https', host: '*.crm.example', port: 443, wildcard: true }],
    ownedWildcard: true,
    base: 'https://{{$Auth.subdomain}}.crm.example/api/',
    method: 'raw',
    source: 'per-user',
    fallback: ['profile', 'shared'],
    headers: [
      ['X-B', '{{$Auth.token}}'],
      ['X-A', '{{$User.Id}}'],
    ],
    allow: { methods: ['GET', 'POST'], paths: ['/api/*'], profiles: ['sales'], projects: ['north'] },
    slots: { headers: ['x-crm-key'], path: true, query: ['key'], json: ['/auth/token'], form: ['token'] },
    placeholders: { sk_test_standin123: '$Auth.token' },
    query: [
      ['version', '2'],
      ['key', '{{$Auth.token}}'],
    ],
    corsOrigins: ['https://app.example.com'],
    allowPrivateNetwork: true,
    allowPlaintext: true,
    managedBy: 'full',
    version: 1,
  })
  t.equal(
    JSON.stringify((await context.store.connection(LOCAL, 'crm'))?.body),
    '{"json":{"tenant":"acme","who":"{{$User.Id}}","deep":[1,{"__proto__":"{{$Auth.token}}"}]}}',
  )
})

t.test('what the page on slots shows can be applied', async (t) => {
  const desk = await openDesk(t)
  const page = readFileSync(new URL('../../docs/SLOTS.md', import.meta.url), 'utf8')
  const [, shown] = /^```yaml\n(.*?)^```/ms.exec(page) as RegExpExecArray
  t.match((await desk.check(shown as string)).changes, [{ action: 'create', kind: 'connection', id: 'crm' }])
})

for (const [file, env] of [
  ['billing', { STRIPE_KEY: 'sk_example_1' }],
  ['team', { CRM_ADA: 'secret-of-ada', CRM_SALES: 'secret-of-sales', CRM_SHARED: 'secret-of-all' }],
] as const) {
  t.test(`the example ${file}.yaml can be applied`, async (t) => {
    const desk = await openDesk(t)
    Object.assign(desk.env, env)
    const text = readFileSync(new URL(`../../examples/${file}.yaml`, import.meta.url), 'utf8')
    t.ok((await desk.check(text)).changes.length > 0)
    await desk.apply(text)
    t.same((await desk.check(text)).changes, [])
    t.same(desk.warnings, [])
  })
}
