import { connect } from 'node:net'
import t from 'tap'
import { disableCredential, listCredentials } from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { startSite } from '../kit/site.ts'

/** Port 1: whatever would be sent ends in upstream_unreachable. */
const local = 'allowPrivateNetwork: true'
const FILE = `
principals:
  - { id: ada, profile: sales, projects: [north] }
  - { id: bob, profile: sales }
  - { id: cyd }
  - { id: dan, profile: ops }
  - { id: desk, kind: service, mayActFor: ["user:ada", "profile:ops"] }
connections:
  - name: api
    destinations: [https://api.localhost:1, "https://*.api.localhost:1"]
    auth: { method: api-key }
    source: per-user
    fallback: [profile, shared]
    allow: { paths: [/v1/*] }
    ${local}
  - name: admin-api
    destinations: [https://api.localhost:1]
    auth: { method: api-key }
    allow: { paths: [/v1/admin/*], projects: [north], methods: [GET] }
    ${local}
  - name: crm
    destinations: [https://crm.localhost:1]
    base: https://crm.localhost:1/api/
    auth: { method: basic }
    source: per-profile
    slots: { headers: [x-crm-key] }
    ${local}
  - name: plain
    destinations: [http://plain.localhost:1]
    auth: { method: api-key }
    headers: { X-Key: "{{$Auth.API_Key}}" }
    ${local}
  - name: mail
    destinations: [https://mail.localhost:1]
    auth: { method: raw }
    headers: { X-User: "{{$User.Email}}" }
    ${local}
  - name: slotted
    destinations: [https://slotted.localhost:1]
    auth: { method: api-key }
    slots: { path: true, query: [key] }
    placeholders: { sk_test_standin123: $Auth.API_Key }
    query: { mail: "{{$User.Id}}" }
    ${local}
  - name: bodied
    destinations: [https://bodied.localhost:1]
    auth: { method: api-key }
    slots: { json: [/a] }
    body: { json: { profile: "{{$User.Profile}}", key: "{{$Auth.API_Key}}" } }
    ${local}
  - { name: twin-a, destinations: [https://twin.localhost:1], auth: { method: none }, ${local} }
  - { name: twin-b, destinations: [https://twin.localhost:1], auth: { method: none }, ${local} }
credentials:
  - { connection: api, for: "user:ada", fields: { apiKey: secret-of-ada } }
  - { connection: api, for: "profile:sales", fields: { apiKey: secret-of-sales } }
  - { connection: api, for: shared, fields: { apiKey: secret-of-all } }
  - { connection: crm, for: "profile:sales", fields: { username: u, password: secret-of-crm } }
  - { connection: slotted, for: shared, fields: { apiKey: secret-of-slotted } }
  - { connection: bodied, for: shared, fields: { apiKey: secret-of-bodied } }
  - { connection: plain, for: shared, fields: { apiKey: secret-of-plain } }
`

const URLS = [
  'http://api.localhost:1/v1/x',
  'http://api.localhost:1/v2/x',
  'http://api.localhost:1/v1/admin/x',
  'http://api.localhost:1/v1/%2e%2e/x',
  'http://eu.api.localhost:1/v1/x',
  'http://crm.localhost:1/api/x',
  'http://plain.localhost:1/',
  'http://mail.localhost:1/',
  'http://twin.localhost:1/',
  'http://nowhere.localhost:1/',
  'http://api.localhost:1/v1/x?k=<<$Auth.API_Key>>',
  'http://slotted.localhost:1/sk_test_standin123?key=<<$User.Id>>',
  'http://slotted.localhost:1/x?other=sk_test_standin123',
  '/c/slotted/{{$Auth.Nope}}?key=%7b%7b$User.Profile}}',
  'http://bodied.localhost:1/?a={{$User.Id}}',
  'http://bodied.localhost:1/',
  '/c/api/v1/x',
  '/c/admin-api/v1/admin/x',
  '/c/crm/x',
  '/c/crm/../x',
  '/c/plain/',
  '/c/nowhere/',
]
const HEADERS: readonly (readonly string[])[] = [
  [],
  ['X-Api-Key: {{$Auth.API_Key}}'],
  ['X-Api-Key: {{$Auth.Password}}'],
  ['X-Other: <<$Auth.API_Key>>'],
  ['X-Crm-Key: {{$Auth.Username}}'],
  ['X-Api-Key: {{$User.Profile}}'],
  ['X-Api-Key: {{$Auth.}}'],
  ['X-Plain: {{mustache}}'],
  [`Authorization: Basic ${Buffer.from('<<$Auth.Username>>:<<$Auth.Password>>').toString('base64')}`],
  ['Locum-Connection: twin-b', 'X-Api-Key: {{$Auth.API_Key}}'],
  ['Locum-Other: {{$Auth.API_Key}}'],
  ['Content-Type: text/plain; charset=utf-16'],
]

/** What a caller says of whom it calls for, with a slot that draws on their credential. */
const FOR = ['user:ada', 'user:dan', 'user:bob', 'user:nobody', 'user:desk', 'ada'].map((whom) => [
  `Locum-For: ${whom}`,
  'X-Api-Key: {{$Auth.API_Key}}',
])

/** Status and code of what Locum answers to a request of its own. */
function ask(port: number, lines: readonly string[]): Promise<{ status: number; code: string }> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('close', () => {
      const status = Number(answer.slice(9, 12))
      resolve({ status, code: /"code":"(\w+)"/.exec(answer)?.[1] ?? '' })
    })
    socket.write([...lines, 'Connection: close', '', ''].join('\r\n'))
  })
}

// A thousand requests, on machines that may be busy.
t.setTimeout(120_000)

t.test('what is explained is what happens', async (t) => {
  const site = await startSite(t, FILE)
  const own = (await site.run(listCredentials, {})).find(({ owner }) => owner === 'user:ada')
  const compare = async (method: string, url: string, as: string, headers: readonly string[]) => {
    const gateway = url.startsWith('/')
    const key = site.keys[as] as string
    const identity = gateway
      ? `Locum-Authorization: Bearer ${key}`
      : `Proxy-Authorization: Basic ${Buffer.from(`${as}:${key}`).toString('base64')}`
    const host = gateway ? `127.0.0.1:${site.port}` : new URL(url).host
    const happened = await ask(site.port, [
      `${method} ${url} HTTP/1.1`,
      `Host: ${host}`,
      identity,
      ...headers,
    ])
    const { error } = await site.run(explainRequest, {
      method,
      url,
      as,
      headers: headers.map((header) => header.split(': ')),
    })
    const explained = error ?? { status: 502, code: 'upstream_unreachable' }
    const { status, code } = explained
    return JSON.stringify({ status, code }) === JSON.stringify(happened)
      ? undefined
      : `${method} ${url} ${as} ${headers}: explained ${status} ${code}, happened ${happened.status} ${happened.code}`
  }
  const differences: string[] = []
  let compared = 0
  const all = async (methods: readonly string[], callers: readonly string[], lists = HEADERS) => {
    for (const method of methods)
      for (const url of URLS)
        for (const as of callers)
          for (const headers of lists) {
            const difference = await compare(method, url, as, headers)
            compared++
            if (difference) differences.push(difference)
          }
  }
  await all(['GET'], ['ada', 'bob', 'cyd', 'dan'])
  await all(['DELETE'], ['ada'])
  // A body is known by its Content-Type alone, and here there is none.
  for (const as of ['ada', 'cyd']) {
    for (const url of URLS.filter((one) => one.includes('bodied'))) {
      for (const headers of [...HEADERS, ['Content-Encoding: gzip']]) {
        if (headers[0]?.startsWith('Content-Type')) continue
        const difference = await compare('POST', url, as, headers)
        if (difference) differences.push(difference)
      }
    }
  }
  await all(['GET'], ['desk', 'ada'], FOR)
  await site.run(disableCredential, { id: own?.id })
  // In force within a second: until it is, Ada's own key still serves.
  const slot = ['X-Api-Key: {{$Auth.API_Key}}']
  const from = performance.now()
  while (
    (await compare('GET', 'http://api.localhost:1/v1/x', 'ada', slot)) &&
    performance.now() - from < 2_000
  ) {}
  await all(['GET'], ['ada'])
  t.same(differences, [])
  t.equal(compared, (6 * HEADERS.length + 2 * FOR.length) * URLS.length)
})
