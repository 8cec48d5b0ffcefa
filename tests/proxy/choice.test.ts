import t from 'tap'
import { ASKS, connectionTo, SECRET, startEchoSite } from '../kit/echo-site.ts'
import {
  type Asked,
  askBy,
  dial,
  ENTRANCES,
  type Entrance,
  openTunnel,
  type RawResponse,
  sendBy,
} from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const code = (response: RawResponse): unknown => JSON.parse(response.body).code
const BY_HOST = ['forward', 'connect'] as const

t.test(
  'among connections to one destination, allow and the longest literal prefix of a path decide',
  async (t) => {
    const upstream = await startUpstream(t)
    const to = (name: string, value: string, allow?: object) =>
      connectionTo(upstream, {
        name,
        headers: { 'X-Which': value },
        ...(allow && { allow }),
        auth: { method: 'none' },
      })
    const site = await startSite(t, {
      principals: [
        { id: 'ada', profile: 'sales', projects: ['north'] },
        { id: 'ben', profile: 'support' },
      ],
      connections: [
        to('all', 'all', { profiles: ['sales'] }),
        to('api', 'api', { paths: ['/api/*'] }),
        to('admin', 'admin', { paths: ['/api/admin/*', '/x'], methods: ['GET'] }),
        to('north', 'north', { paths: ['/north/*'], projects: ['north'] }),
        to('twin-1', 'twin-1', { paths: ['/twin/*'] }),
        to('twin-2', 'twin-2', { paths: ['/twin/*'] }),
      ],
    })
    const goal = (name = 'all') => ({ ...upstream, name })
    const which = async (entrance: Entrance, asked: Asked): Promise<unknown> => {
      const response = await askBy(t, site, entrance, goal(), asked)
      return response.status === 200 ? JSON.parse(response.body).headers['x-which'] : code(response)
    }
    for (const entrance of BY_HOST) {
      const cases: [Asked, unknown][] = [
        [{ path: '/' }, 'all'],
        [{ path: '/api/x' }, 'api'],
        [{ path: '/api/admin/x' }, 'admin'],
        [{ path: '/api/admin/x?y=/north/' }, 'admin'],
        [{ path: '/api/admin/x', method: 'POST' }, 'api'],
        [{ path: '/x', method: 'POST' }, 'all'],
        [{ path: '/north/x' }, 'north'],
        [{ path: '/north/x', as: 'ben' }, 'not_allowed'],
        [{ path: '/', as: 'ben' }, 'not_allowed'],
        [{ path: '/api/x', as: 'ben' }, 'api'],
        [{ path: '/twin/x' }, 'connection_ambiguous'],
        [{ path: '/twin/x', headers: ['Locum-Connection: twin-2'] }, 'twin-2'],
        [{ path: '/api/x', headers: ['Locum-Connection: all'] }, 'all'],
        [{ path: '/api/x', headers: ['Locum-Connection: nobody'] }, 'connection_not_found'],
        [{ path: '/api/x', headers: ['Locum-Connection: north'] }, 'not_allowed'],
        [{ path: '/api/x', as: 'ben', headers: ['Locum-Connection: all'] }, 'not_allowed'],
      ]
      for (const [asked, expected] of cases)
        t.equal(await which(entrance, asked), expected, `${entrance}: ${JSON.stringify(asked)}`)
    }
    for (const [name, asked, status] of [
      ['api', { path: '/api/x' }, 200],
      ['api', { path: '/other' }, 403],
      ['admin', { path: '/api/admin/x', method: 'POST' }, 403],
      ['all', { path: '/api/x', as: 'ben' }, 403],
      ['north', { path: '/north/x', as: 'ben' }, 403],
      ['nobody', {}, 404],
      ['', {}, 404],
    ] as const)
      t.equal(
        (await askBy(t, site, 'gateway', goal(name), asked)).status,
        status,
        `gateway: ${name} ${JSON.stringify(asked)}`,
      )
    t.notOk(upstream.requests.some(({ headers }) => headers['locum-connection'] !== undefined))
  },
)

t.test('a tunnel to what no connection reaches, or none that the caller may use, is refused', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t, { connection: { allow: { profiles: ['sales'] } } })
  await t.rejects(openTunnel(t, site, `localhost:${upstream.port + 1}`), /403 .*connection_not_found/)
  await t.rejects(openTunnel(t, site, `other.localhost:${upstream.port}`), /403 .*connection_not_found/)
  await t.rejects(openTunnel(t, site, goal.authority), /403 .*not_allowed/)
  t.equal(upstream.bytes.length, 0)
})

t.test('plain http to a destination declared https goes there over TLS', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  const forward = await askBy(t, site, 'forward', goal, { headers: [ASKS] })
  t.equal(forward.status, 200)
  const tunnel = await openTunnel(t, site, goal.authority, { plain: true })
  tunnel.send(`GET /plain HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n\r\n`)
  t.equal((await tunnel.response()).status, 200)
  tunnel.send(`GET http://${goal.authority}/absolute HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n\r\n`)
  t.equal((await tunnel.response()).status, 200)
  t.equal(upstream.requests.length, 3)
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.ok(uses.every(({ destination }) => destination === upstream.origin))
})

t.test('what is declared http is reached so, and https of the same host is not', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t, { upstream: { tls: false } })
  for (const entrance of ENTRANCES)
    t.equal((await askBy(t, site, entrance, goal, { headers: [ASKS] })).status, 200, entrance)
  const tunnel = await openTunnel(t, site, goal.authority)
  const response = await tunnel.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n\r\n`).response()
  t.equal(code(response), 'connection_not_found')
  t.equal(upstream.requests.length, 3)
})

t.test('no secret goes over plain http without allowPlaintext', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t, {
    upstream: { tls: false },
    connection: { allowPlaintext: false },
  })
  for (const entrance of ENTRANCES) {
    const response = await askBy(t, site, entrance, goal, { headers: [ASKS] })
    t.equal(response.status, 403, entrance)
    t.equal(code(response), 'not_allowed')
  }
  t.equal(upstream.bytes.length, 0)
})

t.test('the gateway goes to the base, whose variables the credential may hold', async (t) => {
  const upstream = await startUpstream(t, { host: 'a.crm.localhost' })
  const tenant = (name: string, base: string, subdomain: string) => ({
    connection: connectionTo(upstream, {
      name,
      destinations: [`https://*.crm.localhost:${upstream.port}`],
      ownedWildcard: true,
      base: base.replace('PORT', String(upstream.port)),
      auth: { method: 'raw' },
      allow: { paths: ['/api/*'] },
      headers: { 'X-Token': '{{$Auth.token}}' },
    }),
    credential: { connection: name, for: 'shared', fields: { subdomain, token: SECRET } },
  })
  const entries = [
    tenant('fixed', 'https://a.crm.localhost:PORT/api/', ''),
    tenant('bare', 'https://a.crm.localhost:PORT/api', ''),
    tenant('held', 'https://{{$Auth.subdomain}}.crm.localhost:PORT/api/', 'a'),
    tenant('outside', 'https://{{$Auth.subdomain}}.crm.localhost:PORT/api/', 'a.b'),
    tenant('evil', 'https://{{$Auth.subdomain}}.crm.localhost:PORT/api/', 'evil.example/'),
    tenant('broken', 'https://{{$Auth.subdomain}}.crm.localhost:PORT/api/', 'b.localhost/?'),
    tenant('elsewhere', 'https://a.crm.localhost:PORT/other/', ''),
  ]
  const site = await startSite(t, {
    principals: [{ id: 'ada' }],
    connections: entries.map(({ connection }) => connection),
    credentials: entries.map(({ credential }) => ({
      ...credential,
      fields: {
        token: SECRET,
        ...(credential.fields.subdomain && { subdomain: credential.fields.subdomain }),
      },
    })),
  })
  const ask = (name: string, path: string) => askBy(t, site, 'gateway', { ...upstream, name }, { path })
  for (const name of ['fixed', 'bare', 'held']) {
    for (const [path, url] of [
      ['/x?y=1', '/api/x?y=1'],
      ['/', '/api/'],
      ['', '/api/'],
      ['?y=1', '/api/?y=1'],
      ['//x', '/api//x'],
    ] as const) {
      t.equal((await ask(name, path)).status, 200, `${name} ${path}`)
      t.equal(upstream.requests.at(-1)?.url, url, `${name} ${path}: one slash at the join`)
      t.equal(upstream.requests.at(-1)?.headers['x-token'], SECRET)
      t.equal(upstream.requests.at(-1)?.headers.host, upstream.authority)
    }
  }
  const seen = upstream.bytes.length
  t.equal(code(await ask('outside', '/x')), 'connection_not_found')
  t.equal(code(await ask('evil', '/x')), 'connection_not_found')
  t.equal(code(await ask('broken', '/x')), 'bad_request')
  t.equal(code(await ask('elsewhere', '/x')), 'not_allowed', 'allow judges the path that goes upstream')
  for (const path of ['/../x', '/%2e%2e/x', '/..%2fx', '/%252e%252e/x', '/a/./b'])
    t.equal((await ask('fixed', path)).status, 400, path)
  t.equal(upstream.bytes.length, seen)
})

t.test("a sidecar's callers are the default principal, and nobody else is", async (t) => {
  const upstream = await startUpstream(t)
  const site = await startSite(t, {
    identity: { default: 'billing' },
    principals: [{ id: 'billing', kind: 'service' }, { id: 'ada' }],
    connections: [connectionTo(upstream, { source: 'per-user', headers: { 'X-User': '{{$User.Id}}' } })],
    credentials: [
      { connection: 'echo', for: 'user:billing', fields: { apiKey: SECRET } },
      { connection: 'echo', for: 'user:ada', fields: { apiKey: 'the-key-of-ada-herself' } },
    ],
  })
  const goal = { ...upstream, name: 'echo' }
  for (const entrance of ENTRANCES) {
    t.equal((await askBy(t, site, entrance, goal, { as: '', headers: [ASKS] })).status, 200, entrance)
    t.equal(upstream.requests.at(-1)?.headers['x-user'], 'billing')
    t.equal((await askBy(t, site, entrance, goal, { as: 'ada', headers: [ASKS] })).status, 200)
    t.equal(upstream.requests.at(-1)?.headers['x-user'], 'ada')
    const seen = upstream.requests.length
    for (const header of [
      'Sec-Fetch-Site: none',
      'sec-fetch-dest: empty',
      'Sec-Fetch-User: ?1',
      'Sec-Fetch-Mode: navigate',
      'Sec-Fetch-Mode: no-cors',
      'Origin: http://localhost',
      'Origin: null',
    ]) {
      const { status } = await askBy(t, site, entrance, goal, { as: '', headers: [ASKS, header] })
      t.ok([401, 403, 407].includes(status), `${entrance}: a browser's request (${header}) has no default`)
    }
    t.equal(upstream.requests.length, seen)
    const headers = [ASKS, 'Sec-Fetch-Mode: cors']
    const { status } = await askBy(t, site, entrance, goal, { as: '', headers })
    t.equal(status, 200, `${entrance}: what Node's fetch sends is no browser's request`)
  }
  for (const wrong of ['x', 'lcm_0000000000000000000000000000000000000000000'])
    t.equal(
      (await askBy(t, site, 'forward', goal, { as: wrong })).status,
      407,
      'a wrong key is no reason for the default',
    )
  const ask = async (host: string) => {
    const client = await dial(t, site.port)
    client.send(`GET /c/echo/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    return (await client.response()).status
  }
  for (const host of ['localhost', 'locum.localhost:80', '127.0.0.1', '[::1]:8080'])
    t.equal(await ask(host), 200, host)
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', ''])
    t.equal(await ask(host), 401, `a page that was rebound to ${host} has no default`)
  const uses = (await site.audit()).filter(({ event, caller }) => event === 'use' && caller === 'billing')
  t.ok(uses.length > 0 && uses.every(({ via }) => via === 'default'))
})

t.test(
  'a credential that is disabled or was not approved for the destination serves nothing, and nothing steps in',
  async (t) => {
    const upstream = await startUpstream(t)
    const config = {
      principals: [{ id: 'ada', profile: 'sales' }],
      connections: [connectionTo(upstream, { source: 'per-user', fallback: ['profile', 'shared'] })],
      credentials: ['user:ada', 'profile:sales', 'shared'].map((scope) => ({
        connection: 'echo',
        for: scope,
        fields: { apiKey: `the key for ${scope}` },
      })),
    }
    const site = await startSite(t, config)
    const goal = { ...upstream, name: 'echo' }
    const { store, as } = site.context
    const own = (await store.bound(as, 'echo', ['user:ada']))?.credential
    await store.setCredentialDisabled(as, own?.id as string, true)
    await site.settle()
    for (const entrance of ENTRANCES) {
      const response = await askBy(t, site, entrance, goal, { headers: [ASKS] })
      t.equal(response.status, 424)
      t.equal(code(response), 'credential_missing')
    }
    await store.setCredentialDisabled(as, own?.id as string, false)
    const second = await startUpstream(t)
    const [connection] = config.connections
    await site.apply({
      principals: config.principals,
      connections: [{ ...connection, destinations: [upstream.origin, second.origin] }],
    })
    await site.settle()
    for (const entrance of BY_HOST) {
      const response = await askBy(t, site, entrance, { ...second, name: 'echo' }, { headers: [ASKS] })
      t.equal(response.status, 424)
      t.equal(code(response), 'credential_outside_audience', 'a destination that came later was not approved')
      t.equal(
        (await askBy(t, site, entrance, goal, { headers: [ASKS] })).status,
        200,
        'what was approved goes on',
      )
    }
    t.equal(second.bytes.length, 0)
    t.equal(upstream.requests.length, 2)
  },
)

t.test('the caller of a tunnel stands for all that passes in it', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t, {
    connection: { headers: { 'X-User': '{{$User.Id}}' } },
  })
  const client = await sendBy(t, site, 'connect', goal, { headers: ['Proxy-Authorization: Bearer nonsense'] })
  t.equal((await client.response()).status, 200)
  t.equal(upstream.requests.at(-1)?.headers['x-user'], 'ada')
  t.equal(upstream.requests.at(-1)?.headers['proxy-authorization'], undefined)
})
