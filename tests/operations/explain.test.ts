import t from 'tap'
import { disableCredential, listCredentials } from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { disablePrincipal } from '../../operations/principals.ts'
import { openDesk, refusal } from './kit.ts'

const FILE = `
principals:
  - { id: ada, profile: sales, projects: [north] }
  - { id: bob, profile: sales }
  - { id: cyd }
connections:
  - name: api
    destinations: [https://api.example, "https://*.api.example"]
    auth: { method: api-key }
    source: per-user
    fallback: [profile, shared]
    allow: { paths: [/v1/*] }
  - name: admin-api
    destinations: [https://api.example]
    auth: { method: api-key }
    allow: { paths: [/v1/admin/*], projects: [north] }
  - name: crm
    destinations: [https://crm.example]
    base: https://crm.example/api/
    auth: { method: basic }
    source: per-profile
    slots: { headers: [x-crm-key] }
  - name: tenant
    destinations: ["https://*.tenant.example"]
    ownedWildcard: true
    base: "https://{{$Auth.name}}.tenant.example/"
    auth: { method: raw }
    headers: { X-Token: "{{$Auth.token}}", X-User: "{{$User.Email}}" }
  - name: plain
    destinations: [http://plain.example]
    auth: { method: api-key }
    headers: { X-Key: "{{$Auth.API_Key}}" }
  - { name: twin-a, destinations: [https://twin.example], auth: { method: none } }
  - { name: twin-b, destinations: [https://twin.example], auth: { method: none } }
  - name: slotted
    destinations: [https://slotted.example]
    auth: { method: api-key }
    slots: { path: true, query: [key, id], json: [/auth/token], form: [token] }
    placeholders: { sk_test_standin123: $Auth.API_Key }
    query: { version: "2" }
    body: { json: { tenant: acme, key: "{{$Auth.API_Key}}{{$Auth.API_Key}}" } }
credentials:
  - { connection: slotted, for: shared, fields: { apiKey: { env: KEY } } }
  - { connection: api, for: "user:ada", fields: { apiKey: { env: KEY } } }
  - { connection: api, for: "profile:sales", fields: { apiKey: { env: KEY } } }
  - { connection: api, for: shared, fields: { apiKey: { env: KEY } } }
  - { connection: crm, for: "profile:sales", fields: { username: u, password: { env: KEY } } }
  - { connection: tenant, for: shared, fields: { name: acme, token: { env: KEY } } }
  - { connection: plain, for: shared, fields: { apiKey: { env: KEY } } }
`
const SECRET = 'a-long-secret'
const KEY_HEADER = ['X-Api-Key', '{{$Auth.API_Key}}']

async function explainer(t: Parameters<typeof openDesk>[0]) {
  const desk = await openDesk(t)
  desk.env.KEY = SECRET
  await desk.apply(FILE)
  // A credential that is opened here fails the test: nothing is decrypted to explain.
  const sealer = {
    ...desk.context.sealer,
    open() {
      throw new Error('something was opened')
    },
  }
  const { runOperation } = await import('../../operations/operation.ts')
  const ask = (method: string, url: string, as: string, ...headers: string[][]) =>
    runOperation({ ...desk.context, sealer }, explainRequest, { method, url, as, headers })
  return { ...desk, ask }
}

t.test('the first scope that exists is the one that serves', async (t) => {
  const { ask } = await explainer(t)
  const scopeFor = async (id: string) =>
    (await ask('GET', 'https://api.example/v1/x', id, KEY_HEADER)).credential
  t.match(await scopeFor('ada'), {
    looked: ['user:ada', 'profile:sales', 'shared'],
    scope: 'user:ada',
    id: /^cred_/,
    version: 1,
    approved: true,
  })
  t.match(await scopeFor('bob'), { looked: ['user:bob', 'profile:sales', 'shared'], scope: 'profile:sales' })
  t.match(await scopeFor('cyd'), { looked: ['user:cyd', 'shared'], scope: 'shared' })
})

t.test('one that exists and does not work is said, and none other is taken', async (t) => {
  const { ask, run } = await explainer(t)
  const own = (await run(listCredentials, {})).find(({ owner }) => owner === 'user:ada')
  await run(disableCredential, { id: own?.id })
  t.match(await ask('GET', 'https://api.example/v1/x', 'ada', KEY_HEADER), {
    credential: { scope: 'user:ada', disabled: true },
    error: { code: 'credential_missing', status: 424, hint: `locum credential enable ${own?.id}` },
  })
})

t.test('http that stands for https, and the gateway, come to the same destination', async (t) => {
  const { ask } = await explainer(t)
  t.match(await ask('GET', 'http://api.example/v1/x?q=secret', 'ada'), {
    entrance: 'forward',
    url: 'http://api.example/v1/x',
    destination: 'https://api.example',
    connection: { name: 'api' },
    credential: undefined,
    error: undefined,
  })
  t.match(await ask('GET', '/c/crm/contacts', 'ada'), {
    entrance: 'gateway',
    destination: 'https://crm.example',
    connection: { name: 'crm', method: 'basic', source: 'per-profile' },
    sets: [{ header: 'Authorization', variables: ['$Auth.BasicAuth'] }],
    credential: { scope: 'profile:sales' },
    error: undefined,
  })
})

t.test('of several connections it says which fits, and the longest path wins', async (t) => {
  const { ask } = await explainer(t)
  t.match(await ask('GET', 'https://api.example/v1/admin/x', 'ada'), {
    considered: [
      { connection: 'admin-api', fits: true },
      { connection: 'api', fits: true },
    ],
    connection: { name: 'admin-api' },
  })
  t.match(await ask('GET', 'https://api.example/v1/admin/x', 'bob'), {
    considered: [
      { connection: 'admin-api', fits: false },
      { connection: 'api', fits: true },
    ],
    connection: { name: 'api' },
  })
  t.match(await ask('GET', 'https://twin.example/', 'ada'), { error: { code: 'connection_ambiguous' } })
  t.match(await ask('GET', 'https://twin.example/', 'ada', ['Locum-Connection', 'twin-b']), {
    connection: { name: 'twin-b' },
    error: undefined,
  })
})

t.test('how a request would end', async (t) => {
  const { ask } = await explainer(t)
  const cases: readonly (readonly [string, string, string[][], string, number])[] = [
    ['https://nowhere.example/', 'ada', [], 'connection_not_found', 403],
    ['/c/nowhere/x', 'ada', [], 'connection_not_found', 404],
    ['/healthz', 'ada', [], 'connection_not_found', 404],
    ['https://api.example/v2/x', 'ada', [], 'not_allowed', 403],
    ['https://api.example/v1/../x', 'ada', [], 'bad_request', 400],
    ['https://ada@api.example/v1/x', 'ada', [], 'bad_request', 400],
    ['https://api.example/v1/#x', 'ada', [], 'bad_request', 400],
    ['https://eu.api.example/v1/x', 'ada', [KEY_HEADER], 'credential_outside_audience', 424],
    ['https://crm.example/api/', 'cyd', [], 'credential_missing', 424],
    ['http://plain.example/', 'ada', [], 'not_allowed', 403],
    ['https://api.example/v1/x?k={{$Auth.API_Key}}', 'ada', [], 'placeholder_not_allowed', 400],
    ['https://api.example/v1/x', 'ada', [['X-Other', '<<$Auth.API_Key>>']], 'placeholder_not_allowed', 400],
    ['https://api.example/v1/x', 'ada', [['X-Api-Key', '<<$Auth.Password>>']], 'placeholder_unknown', 400],
    ['https://api.example/v1/x', 'ada', [['X-Api-Key', '{{$Auth.}}']], 'placeholder_unknown', 400],
    ['https://api.example/v1/x', 'ada', [['X-Api-Key', '{{$User.Email}}']], 'placeholder_unknown', 400],
    [
      'https://twin.example/',
      'ada',
      [
        ['X-Api-Key', '{{$Auth.API_Key}}'],
        ['Locum-Connection', 'twin-a'],
      ],
      'placeholder_unknown',
      400,
    ],
  ]
  for (const [url, as, headers, code, status] of cases) {
    const { error } = await ask('GET', url, as, ...headers)
    t.match(error, { code, status }, `${url} ${JSON.stringify(headers)}`)
  }
})

t.test('says of each placeholder whether it stands in a slot', async (t) => {
  const { ask } = await explainer(t)
  const basic = Buffer.from('<<$Auth.Username>>:<<$Auth.Password>>').toString('base64')
  const slots = async (...headers: string[][]) =>
    (await ask('GET', 'https://crm.example/api/', 'ada', ...headers)).slots
  t.same(await slots(['X-Crm-Key', 'a {{$Auth.Username}} {{$User.Id}}'], ['X-Plain', 'no {{mustache}}']), [
    { place: 'x-crm-key', placeholders: ['$Auth.Username', '$User.Id'], replaced: true },
  ])
  t.same(await slots(['Authorization', `Basic ${basic}`]), [
    { place: 'authorization', placeholders: [], replaced: false },
  ])
  t.same((await ask('GET', 'https://api.example/v1/x', 'ada', ['Authorization', `Basic ${basic}`])).slots, [
    { place: 'authorization', placeholders: ['$Auth.Username', '$Auth.Password'], replaced: true },
  ])
})

t.test('says where in path, query and body something is put in', async (t) => {
  const { ask } = await explainer(t)
  const key = '/x/sk_test_standin123?id={{$User.Id}}&key=<<$Auth.API_Key>>'
  for (const url of [`https://slotted.example${key}`, `/c/slotted${key}`]) {
    const got = await ask('GET', url, 'ada')
    t.equal(got.error, undefined)
    t.same(got.slots, [
      { place: 'path', placeholders: ['$Auth.API_Key'], replaced: true },
      { place: 'query:id, query:key', placeholders: ['$User.Id', '$Auth.API_Key'], replaced: true },
    ])
    t.same(got.sets, [{ query: 'version', variables: [] }])
    t.equal(got.credential?.scope, 'shared')
    t.notMatch(got.url, 'User.Id')
  }
  t.match((await ask('GET', 'https://slotted.example/?other={{$User.Id}}', 'ada')).slots, [
    { place: '(target)', replaced: false },
  ])
  const bodied = await ask('POST', 'https://slotted.example/', 'ada')
  t.same(bodied.sets.slice(1), [
    { body: 'json:/tenant', variables: [] },
    { body: 'json:/key', variables: ['$Auth.API_Key'] },
  ])
  t.same(bodied.bodySlots, [])
  t.equal(bodied.credential?.scope, 'shared', 'what the body draws on is needed')
  const type = (value: string) => ['Content-Type', value]
  t.match(await ask('POST', 'https://slotted.example/', 'ada', type('application/json')), {
    bodySlots: ['json:/auth/token'],
    sets: [{}, { body: 'json:/tenant' }, { body: 'json:/key' }],
  })
  t.match(await ask('POST', 'https://slotted.example/', 'ada', type('multipart/form-data; boundary=x')), {
    bodySlots: ['form:token'],
    sets: [{ query: 'version' }],
    credential: undefined,
  })
  t.match(await ask('POST', 'https://slotted.example/', 'ada', type('text/plain')), { bodySlots: [] })
})

t.test('a base that draws on the credential leaves the destination to it', async (t) => {
  const { ask } = await explainer(t)
  t.match(await ask('GET', '/c/tenant/x', 'ada'), {
    destination: undefined,
    credential: { scope: 'shared', approved: undefined },
    error: { code: 'placeholder_unknown', detail: /\$User.Email/ },
  })
})

t.test('explains to nobody who is not there or is disabled', async (t) => {
  const { ask, run, warnings } = await explainer(t)
  t.match(await refusal(ask('GET', 'https://api.example/', 'eve')), { code: 'not_found' })
  t.match(warnings, [])
  await run(disablePrincipal, { id: 'ada' })
  t.match(await refusal(ask('GET', 'https://api.example/', 'ada')), { code: 'caller_unauthenticated' })
})
