import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes } from '../kit/upstream.ts'

/** The lines that say where the next answer leads. */
let lines = ''
let status = 307
const upstream = await startBytes(
  t,
  replying(() => `HTTP/1.1 ${status} Elsewhere\r\n${lines}Content-Length: 0\r\n\r\n`),
)
const site = await startSite(t, {
  principals: [{ id: 'ada', kind: 'user' }],
  connections: [connectionTo(upstream, { base: `${upstream.origin}/v1/` })],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})
const gateway = `http://127.0.0.1:${site.port}`

/** Where a client is sent that follows the answer from `/c/echo/a/b`. */
async function followed(location: string, header = 'Location'): Promise<string | undefined> {
  lines = `${header}: ${location}\r\n`
  const { headers } = await askBy(
    t,
    site,
    'gateway',
    { ...upstream, name: 'echo' },
    { path: '/a/b', headers: [ASKS] },
  )
  const given = headers[header.toLowerCase()] ?? headers['locum-location']
  return given === undefined ? undefined : new URL(given, `${gateway}/c/echo/a/b`).href
}

t.test('the upstream of one connection cannot send a client to another connection', async (t) => {
  const { origin, port } = upstream
  for (const location of [
    '/c/other/x',
    '../../../c/other/x',
    '/v1/../c/other/x',
    '/v1/%2e%2e/c/other/x',
    '/v1/.%2E/c/other/x',
    '\\c\\other\\x',
    '/\\/c/other/x',
    '/v1/a/..\\..\\..\\c/other/x',
    `//localhost:${port}/v1/../c/other/x`,
    `${origin}/v1/../c/other/x`,
    `${gateway}/c/other/x`,
    `http://LOCALHOST:${site.port}/c/other/x`,
    `https://[::1]:${site.port}/c/other/x`,
    '?x#/c/other/x',
  ]) {
    for (const header of ['Location', 'Content-Location']) {
      const to = await followed(location, header)
      const inside = to?.startsWith(`${gateway}/c/echo/`)
      t.ok(to === undefined || inside || !to.startsWith(gateway), `${header}: ${location}`)
    }
  }
  lines = `Location: /v1/fine\r\nLocation: /c/other/x\r\n`
  const { lines: given } = await askBy(t, site, 'gateway', { ...upstream, name: 'echo' }, { headers: [ASKS] })
  t.notOk(given.includes('Location: /c/other/x'), 'nor by a second field')
})

t.test('a client that follows redirects takes its key to no host that the upstream names', async (t) => {
  let asked = 0
  const thief = await startBytes(
    t,
    replying(() => {
      asked++
      return 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
    }),
  )
  for (const location of [`${thief.origin}/x`, `//${thief.authority}/x`]) {
    lines = `Location: ${location}\r\n`
    const headers = { 'Locum-Authorization': `Bearer ${site.keys.ada}` }
    const answer = await fetch(`${gateway}/c/echo/a`, { headers })
    t.equal(answer.status, 307)
    t.match(answer.headers.get('locum-location'), thief.authority)
  }
  t.equal(asked, 0)
})

t.test(
  'no status is an invitation to poll or upload elsewhere with a key; what was created has its name',
  async (t) => {
    const ask = () =>
      askBy(t, site, 'gateway', { ...upstream, name: 'echo' }, { path: '/a', headers: [ASKS] })
    t.teardown(() => {
      status = 307
    })
    for (status of [200, 201, 202, 300, 303, 304, 308, 401, 503]) {
      lines = 'Location: https://evil.example/x\r\n'
      const { headers } = await ask()
      const created = status === 201
      t.equal(headers.location, created ? 'https://evil.example/x' : undefined, String(status))
      t.equal(headers['locum-location'], created ? undefined : 'https://evil.example/x', String(status))
      lines = 'Location: /v1/x\r\n'
      t.equal((await ask()).headers.location, '/c/echo/x')
    }
  },
)

t.test('a location within the connection stays within it, and any other is one in full', async (t) => {
  const { origin } = upstream
  t.equal(await followed('/v1/x?y=1#z'), `${gateway}/c/echo/x?y=1#z`)
  t.equal(await followed(`${origin}/v1`), `${gateway}/c/echo/`)
  t.equal(await followed('c'), `${gateway}/c/echo/a/c`)
  t.equal(await followed('../c'), `${gateway}/c/echo/c`)
  t.equal(await followed('/v1/caf\xc3\xa9'), `${gateway}/c/echo/caf%C3%A9`)
  t.equal(await followed('/v10/x'), `${origin}/v10/x`)
  t.equal(await followed('https://elsewhere.example/x'), 'https://elsewhere.example/x')
})
