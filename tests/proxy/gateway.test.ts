import t from 'tap'
import { ASKS, MASKED, startEchoSite } from '../kit/echo-site.ts'
import { askBy, dial, type RawResponse } from '../kit/raw.ts'

const APP = 'https://app.example.com'
const { site, upstream, goal } = await startEchoSite(t, {
  connection: { cors: { origins: [APP, 'https://other.example.com:8443'] } },
})

const cors = (response: RawResponse): string[] =>
  Object.keys(response.headers).filter((name) => name.startsWith('access-control-'))

/** With a listed origin, and as a page sends it. */
const fromApp = (...headers: string[]): string[] => [
  `Origin: ${APP}`,
  'Sec-Fetch-Mode: cors',
  'Sec-Fetch-Site: cross-site',
  ...headers,
]

t.test('a preflight from a listed origin needs no key and reaches no upstream', async (t) => {
  const before = upstream.connections
  const response = await askBy(t, site, 'gateway', goal, {
    as: '',
    method: 'OPTIONS',
    headers: fromApp(
      'Access-Control-Request-Method: PUT',
      'Access-Control-Request-Headers: locum-authorization, x-a',
    ),
  })
  t.equal(response.status, 204)
  t.equal(response.headers['access-control-allow-origin'], APP)
  t.match(response.headers['access-control-allow-methods'], 'PUT')
  t.equal(response.headers['access-control-allow-headers'], 'locum-authorization, x-a')
  t.equal(
    response.headers['access-control-allow-credentials'],
    undefined,
    'there are no cookies at the gateway',
  )
  t.match(response.headers.vary, 'Origin')
  t.equal(upstream.connections, before)
})

t.test('an origin that is not listed gets 403 without CORS headers, a preflight too', async (t) => {
  const before = upstream.connections
  for (const origin of [
    'https://evil.example.com',
    'null',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://APP.example.com',
    'https://other.example.com',
    '*',
    '',
  ]) {
    for (const preflight of [true, false]) {
      const response = await askBy(t, site, 'gateway', goal, {
        method: preflight ? 'OPTIONS' : 'GET',
        headers: [`Origin: ${origin}`, ...(preflight ? ['Access-Control-Request-Method: GET'] : [ASKS])],
      })
      t.equal(response.status, 403, origin)
      t.equal(JSON.parse(response.body).code, 'not_allowed')
      t.strictSame(cors(response), [], origin)
    }
  }
  t.equal(upstream.connections, before)
})

t.test('`null` cannot be listed, nor a wildcard', async (t) => {
  const destinations = ['https://api.example.com']
  for (const origin of ['null', '*', 'https://app.example.com/', 'app.example.com'])
    await t.rejects(
      site.apply({
        connections: [{ name: 'x', destinations, auth: { method: 'none' }, cors: { origins: [origin] } }],
      }),
      { code: 'bad_request' },
      origin,
    )
})

t.test("a listed origin's page reads the answer, and refusals too", async (t) => {
  const answer = await askBy(t, site, 'gateway', goal, { headers: fromApp(ASKS) })
  t.equal(answer.status, 200)
  t.equal(answer.headers['access-control-allow-origin'], APP)
  t.equal(answer.headers['x-echo'], MASKED)
  for (const [asked, status] of [
    [{ as: '' }, 401],
    [{ as: 'lcm_wrong' }, 401],
    [{ headers: ['X-No-Slot: {{$Auth.API_Key}}'] }, 400],
    [{ path: '/%2e%2e/' }, 400],
    [{ path: '/reset' }, 502],
  ] as const) {
    const response = await askBy(t, site, 'gateway', goal, {
      ...asked,
      headers: fromApp(...('headers' in asked ? asked.headers : [])),
    })
    t.equal(response.status, status)
    t.equal(response.headers['access-control-allow-origin'], APP, `${status} is readable`)
    t.equal(response.headers['content-type'], 'application/problem+json')
  }
})

t.test('a navigation is refused, listed origin or not', async (t) => {
  const before = upstream.connections
  for (const headers of [
    ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
    [`Origin: ${APP}`, 'Sec-Fetch-Mode: navigate'],
  ]) {
    const response = await askBy(t, site, 'gateway', goal, { headers })
    t.equal(response.status, 403)
    t.equal(JSON.parse(response.body).code, 'not_allowed')
  }
  t.equal(upstream.connections, before)
})

t.test("what is a browser's, and no business of the upstream, does not go on", async (t) => {
  await askBy(t, site, 'gateway', goal, {
    headers: fromApp(
      ASKS,
      'Cookie: locum=1',
      'Referer: https://app.example.com/secret-page',
      'Sec-Fetch-Dest: empty',
      'X-Keep: 1',
    ),
  })
  const names = Object.keys(upstream.requests.at(-1)?.headers ?? {}).sort()
  t.strictSame(names, ['authorization', 'host', 'x-keep'])
})

t.test("what an upstream must not tell a browser about Locum's origin is removed", async (t) => {
  const query = new URLSearchParams([
    ['Set-Cookie', 'a=1; Path=/'],
    ['Set-Cookie', 'b=2; Domain=localhost'],
    ['Alt-Svc', 'h3=":443"'],
    ['Clear-Site-Data', '"*"'],
    ['Service-Worker-Allowed', '/'],
    ['Strict-Transport-Security', 'max-age=1'],
    ['Refresh', '0; url=https://evil.example'],
    ['Use-As-Dictionary', 'match="/c/*"'],
    ['Secure-Session-Registration', '(ES256);path="/"'],
    ['Set-Login', 'logged-in'],
    ['Attribution-Reporting-Register-Source', '{}'],
    ['Access-Control-Allow-Origin', '*'],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Access-Control-Allow-Private-Network', 'true'],
    ['Content-Security-Policy', 'default-src *'],
    ['X-Content-Type-Options', 'none'],
    ['X-Keep', 'kept'],
  ])
  const plain = await askBy(t, site, 'gateway', goal, { path: `/headers?${query}`, headers: [ASKS] })
  t.strictSame(cors(plain), [])
  for (const name of [
    'set-cookie',
    'alt-svc',
    'clear-site-data',
    'service-worker-allowed',
    'strict-transport-security',
    'refresh',
    'use-as-dictionary',
    'secure-session-registration',
    'set-login',
    'attribution-reporting-register-source',
  ])
    t.equal(plain.headers[name], undefined, name)
  t.equal(plain.headers['content-security-policy'], 'sandbox')
  t.equal(plain.headers['x-content-type-options'], 'nosniff')
  t.equal(plain.headers['x-keep'], 'kept')
  const page = await askBy(t, site, 'gateway', goal, { path: `/headers?${query}`, headers: fromApp(ASKS) })
  t.equal(page.headers['access-control-allow-origin'], APP)
  t.equal(page.headers['access-control-allow-credentials'], undefined)
  const forward = await askBy(t, site, 'forward', goal, { path: `/headers?${query}`, headers: [ASKS] })
  t.match(forward.headers['set-cookie'], 'a=1', 'elsewhere they are the client’s own business')
  t.equal(forward.headers['content-security-policy'], 'default-src *')
})

t.test(
  'a Location within the connection becomes one of the gateway, and no other is followed with a key',
  async (t) => {
    const cases: [string, string][] = [
      [`${upstream.origin}/x?y=1#z`, '/c/echo/x?y=1#z'],
      [upstream.origin, '/c/echo/'],
      [`//${upstream.authority}/x`, '/c/echo/x'],
      ['/x', '/c/echo/x'],
      ['x/y', '/c/echo/x/y'],
      ['https://elsewhere.example/x', 'https://elsewhere.example/x'],
      [`https://localhost:${upstream.port}1/x`, `https://localhost:${upstream.port}1/x`],
      [`http://${upstream.authority}/x`, `http://${upstream.authority}/x`],
      ['//evil.example/x', 'https://evil.example/x'],
    ]
    for (const [to, expected] of cases) {
      const path = `/redirect?to=${encodeURIComponent(to)}`
      const response = await askBy(t, site, 'gateway', goal, { path, headers: [ASKS] })
      t.equal(response.status, 302)
      const inside = expected.startsWith('/c/')
      t.equal(response.headers.location, inside ? expected : undefined, to)
      t.equal(response.headers['locum-location'], inside ? undefined : expected, to)
    }
    const forward = await askBy(t, site, 'forward', goal, { path: '/redirect?to=/x', headers: [ASKS] })
    t.equal(forward.headers.location, '/x')
  },
)

t.test('a Location outside the base is told, and followed by nobody', async (t) => {
  const based = await startEchoSite(t)
  await based.site.apply({
    principals: [{ id: 'ada' }],
    connections: [
      {
        name: 'echo',
        destinations: [based.upstream.origin],
        base: `${based.upstream.origin}/api/`,
        ca: based.upstream.ca,
        allowPrivateNetwork: true,
        auth: { method: 'none' },
      },
    ],
  })
  await based.site.settle()
  for (const [to, expected] of [
    ['/api/x', '/c/echo/x'],
    ['/api', '/c/echo/'],
    ['/apix', `${based.upstream.origin}/apix`],
    ['/other', `${based.upstream.origin}/other`],
    [`${based.upstream.origin}/api/x`, '/c/echo/x'],
    [`${based.upstream.origin}/other`, `${based.upstream.origin}/other`],
  ] as const) {
    const response = await askBy(t, based.site, 'gateway', based.goal, {
      path: `/redirect?to=${encodeURIComponent(to)}`,
    })
    const inside = expected.startsWith('/c/')
    t.equal(response.headers.location, inside ? expected : undefined, to)
    t.equal(response.headers['locum-location'], inside ? undefined : expected, to)
  }
})

t.test('a path outside /c/ is nobody’s, and no way to the console', async (t) => {
  for (const path of [
    '/',
    '/c',
    '/c/',
    '/healthz',
    '/ca.pem',
    '/api/v1/openapi.json',
    '/c/ech%6f/x',
    '/C/echo/x',
  ]) {
    const client = await dial(t, site.port)
    client.send(`GET ${path} HTTP/1.1\r\nHost: locum\r\nLocum-Authorization: Bearer ${site.keys.ada}\r\n\r\n`)
    t.equal((await client.response()).status, 404, path)
  }
})
