import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { listConnections } from '../../operations/connections.ts'
import { explainRequest } from '../../operations/explain.ts'
import { showSite } from '../../operations/site.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { startParent } from '../kit/parent.ts'
import { untouchedTo } from '../kit/passing.ts'
import { askBy, dial, ENTRANCES, keyLine } from '../kit/raw.ts'
import { startSite, type TestSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const PASSWORD = 'corp-Passw0rd-4711'
const ENCODED = Buffer.from(`locum:${PASSWORD}`).toString('base64')

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

t.test('a parent that refuses speaks to Locum alone, and its password stays inside', async (t) => {
  const upstream = await startUpstream(t)
  const says = [
    'HTTP/1.1 407 parent-was-here\r\nProxy-Authenticate: Basic realm="parent-was-here"\r\nProxy-Status: locum; parent-was-here\r\nContent-Length: 15\r\n\r\nparent-was-here',
    'HTTP/1.1 403 parent-was-here\r\nSet-Cookie: parent-was-here\r\nContent-Length: 15\r\n\r\nparent-was-here',
    'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nparent-was-here',
    'HTTP/1.1 101 parent-was-here\r\nConnection: upgrade\r\nUpgrade: parent-was-here\r\n\r\n',
    `HTTP/1.1 502 ${PASSWORD}\r\n\r\n`,
  ]
  let answering = ''
  const parent = await startParent(t, { to: () => answering })
  const site = await startSite(t, {
    egress: { proxy: parent.url, username: 'locum', password: PASSWORD },
    principals: [{ id: 'ada' }],
    connections: [connectionTo(upstream), untouchedTo({ origin: 'https://localhost:9', ca: undefined })],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
  })
  const told: string[] = []
  for (const text of says) {
    answering = text
    for (const entrance of ENTRANCES) {
      const answer = await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: [ASKS] })
      t.equal(answer.status, 502, entrance)
      t.match(JSON.parse(answer.body), { code: 'upstream_unreachable', detail: /egress proxy/i })
      t.notOk(answer.headers['proxy-authenticate'])
      told.push(JSON.stringify(answer))
    }
    if (text.startsWith('HTTP/1.1 200')) continue
    const client = await dial(t, site.port)
    client.send(`CONNECT localhost:9 HTTP/1.1\r\nHost: localhost:9\r\n${keyLine(site, 'connect', 'ada')}\r\n`)
    const answer = await client.response()
    t.equal(answer.status, 502)
    told.push(JSON.stringify(answer))
  }
  const shown = await Promise.all([
    site.run(showSite, {}),
    site.run(listConnections, {}),
    site.run(explainRequest, { method: 'GET', url: `${upstream.origin}/`, as: 'ada' }),
    site.audit(),
  ])
  told.push(JSON.stringify(shown), JSON.stringify(site.log))
  await site.close()
  // The test's own file names its variable and not its value.
  for (const file of filesUnder(site.data)) told.push(readFileSync(file, 'latin1'))
  for (const text of told) {
    t.notMatch(text, 'parent-was-here')
    t.notOk(text.includes(PASSWORD) || text.includes(ENCODED))
  }
  t.ok(parent.heads.length >= says.length * 4 - 1)
  for (const head of parent.heads) t.match(head, `Proxy-Authorization: Basic ${ENCODED}`)
  t.equal(upstream.bytes, '')
})

t.test('the secret, its host’s name and the caller’s key are nothing that the parent sees', async (t) => {
  const upstream = await startUpstream(t)
  const parent = await startParent(t)
  const site = await startSite(t, {
    egress: { proxy: parent.url },
    principals: [{ id: 'ada' }],
    connections: [connectionTo(upstream)],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
  })
  for (const entrance of ENTRANCES)
    t.equal((await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: [ASKS] })).status, 200)
  t.equal(parent.asked.length, 1, 'one connection served them all')
  const seen = parent.heads.join() + parent.carried
  for (const secret of [SECRET, site.keys.ada as string, 'Bearer']) t.notOk(seen.includes(secret))
})

t.test('no way through the parent leads to Locum itself or to what is forbidden', async (t) => {
  const parent = await startParent(t)
  const people = { principals: [{ id: 'ada' }], egress: { proxy: parent.url } }
  const site: TestSite = await startSite(t, { ...people, unmatched: 'tunnel' })
  await site.apply({
    ...people,
    connections: [
      untouchedTo({ origin: `http://127.0.0.1:${site.port}`, ca: undefined }, { name: 'round' }),
      untouchedTo({ origin: `http://locum.localhost:${site.port}`, ca: undefined }, { name: 'about' }),
      untouchedTo(
        { origin: 'http://meta.localhost', ca: undefined },
        { name: 'meta', allowPrivateNetwork: true },
      ),
    ],
  })
  await site.settle()
  for (const authority of [
    `127.0.0.1:${site.port}`,
    `locum.localhost:${site.port}`,
    '169.254.169.254:443',
    '[::ffff:169.254.169.254]:443',
  ]) {
    const client = await dial(t, site.port)
    client.send(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${keyLine(site, 'connect', 'ada')}\r\n`,
    )
    t.equal(JSON.parse((await client.response()).body).code, 'destination_forbidden', authority)
  }
  for (const name of ['round', 'about']) {
    const goal = { origin: '', authority: `127.0.0.1:${site.port}`, name }
    const answer = await askBy(t, site, 'gateway', goal)
    t.equal(JSON.parse(answer.body).code, 'destination_forbidden', name)
  }
  t.same(parent.asked, [])
})
