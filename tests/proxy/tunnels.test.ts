import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import * as http2 from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { connectionTo, SECRET } from '../kit/echo-site.ts'
import { startParent } from '../kit/parent.ts'
import { openPassing, untouchedTo } from '../kit/passing.ts'
import { askBy, dial, eventually, keyLine, openTunnel, type RawClient } from '../kit/raw.ts'
import { type SiteOptions, startSite, type TestSite } from '../kit/site.ts'
import { startBytes, startUpstream, upstreamCa, upstreamLeaf } from '../kit/upstream.ts'

const PEOPLE = [
  { id: 'ada', kind: 'user', profile: 'sales' },
  { id: 'ben', kind: 'user' },
]

async function startLab(
  t: Test,
  upstream: Parameters<typeof untouchedTo>[0],
  more: Readonly<Record<string, unknown>> = {},
  options: SiteOptions = {},
): Promise<TestSite> {
  return startSite(t, { principals: PEOPLE, connections: [untouchedTo(upstream, more)] }, options)
}

/** CONNECT with header lines, and the answer. */
async function ask(
  t: Test,
  site: TestSite,
  authority: string,
  { as = 'ada', headers = [] }: { as?: string; headers?: readonly string[] } = {},
): Promise<{ status: number; reason: string; code: unknown; client: RawClient }> {
  const client = await dial(t, site.port)
  const lines = headers.map((line) => `${line}\r\n`).join('')
  client.send(
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}${keyLine(site, 'connect', as)}\r\n`,
  )
  await client.until((received) => received.includes('\r\n\r\n'))
  const [, status, reason] = /^HTTP\/1\.1 (\d+) ([^\r]*)/.exec(client.received) ?? []
  const passed = status === '200'
  const { body } = passed ? { body: '{}' } : await client.response()
  return { status: Number(status), reason: reason as string, code: JSON.parse(body).code, client }
}

t.test('with intercept: false the client speaks with the upstream itself', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startLab(t, upstream)
  const tunnel = await openPassing(t, site, upstream.authority)
  t.equal(tunnel.tls.getPeerCertificate().issuer.CN, 'Upstreams of the tests', 'no leaf of Locum')
  tunnel.send(
    `GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\nX-Api-Key: <<$Auth.API_Key>>\r\nConnection: close\r\n\r\n`,
  )
  const { status, body } = await tunnel.response()
  t.equal(status, 200)
  t.equal(JSON.parse(body).headers['x-api-key'], '<<$Auth.API_Key>>', 'nothing is replaced')
  await tunnel.gone()
  await eventually(() => site.running.room.live.size === 0, 'it has ended')
  const records = (await site.audit()).filter(({ event }) => event === 'use' || event === 'outcome')
  t.match(records, [
    {
      event: 'use',
      caller: 'ada',
      via: 'key',
      entrance: 'connect',
      connection: 'lab',
      destination: upstream.authority,
      method: 'CONNECT',
      path: '',
      slots: [],
      passes: 'untouched',
    },
    { event: 'outcome', request: records[0]?.request as string, status: 200 },
  ])
  t.equal(records.length, 2, 'one use, whatever is asked inside')
  t.ok((records[1]?.sent as number) > 200 && (records[1]?.received as number) > 500)
  t.strictSame(await site.verify(), [])
})

t.test('the other entrances of such a connection read what they carry', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startLab(t, upstream)
  for (const entrance of ['forward', 'gateway'] as const)
    t.equal((await askBy(t, site, entrance, { ...upstream, name: 'lab' })).status, 200, entrance)
})

t.test('HTTP/2, a WebSocket and what is no HTTP pass', async (t) => {
  const h2 = http2.createSecureServer(await upstreamLeaf(), (request, response) => {
    response.end(`${request.httpVersion} ${request.headers['x-asked']}`)
  })
  h2.listen(0, '127.0.0.1')
  await once(h2, 'listening')
  t.teardown(() => h2.close())
  const { port } = h2.address() as AddressInfo
  const { cert } = await upstreamCa()
  const upstream = await startUpstream(t)
  const banner = await startBytes(
    t,
    (socket) => {
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => socket.write(`250 ${chunk}`))
    },
    { tls: false },
  )
  const site = await startSite(t, {
    principals: PEOPLE,
    connections: [
      untouchedTo({ origin: `https://localhost:${port}`, ca: cert }, { name: 'h2' }),
      untouchedTo(upstream),
      untouchedTo(banner, { name: 'mail' }),
    ],
  })

  const carrier = await openPassing(t, site, `localhost:${port}`, { alpn: ['h2'] })
  carrier.tls.removeAllListeners('data')
  const session = http2.connect(`https://localhost:${port}`, { createConnection: () => carrier.tls })
  const stream = session.request({ ':path': '/', 'x-asked': 'yes' })
  let text = ''
  for await (const chunk of stream) text += chunk
  t.equal(text, '2.0 yes')
  session.destroy()

  const { tls } = await openPassing(t, site, upstream.authority)
  tls.removeAllListeners('data')
  const ws = new WebSocket(`ws://${upstream.authority}/ws`, { createConnection: () => tls })
  t.teardown(() => ws.terminate())
  const [hello] = await once(ws, 'message')
  t.equal(String(hello), 'hello ')
  ws.send('still here')
  t.equal(String((await once(ws, 'message'))[0]), 'still here')

  const { client } = await ask(t, site, banner.authority)
  await client.until((received) => received.endsWith('220 ready\r\n'))
  client.send('HELO')
  t.match(await client.until((received) => received.includes('250')), '250 HELO', 'a server may speak first')
})

t.test('a half-close goes on in either direction', async (t) => {
  const upstream = await startBytes(
    t,
    (socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('end', () => socket.end(`you said ${text}`))
      socket.allowHalfOpen = true
    },
    { tls: false },
  )
  const site = await startLab(t, upstream)
  const { client } = await ask(t, site, upstream.authority)
  client.received = ''
  client.socket.end('all of it')
  t.equal(await client.whole(), 'you said all of it')
  await eventually(() => site.running.room.live.size === 0 && upstream.open === 0, 'both sides are let go')
})

t.test('a slow upstream slows its client, and nothing is lost', async (t) => {
  const bytes = randomBytes(1 << 20)
  const count = 48
  let stalled: Socket | undefined
  const hash = createHash('sha256')
  let ended = false
  const upstream = await startBytes(
    t,
    (socket) => {
      stalled = socket
      socket.pause()
      socket.on('data', (chunk) => hash.update(chunk))
      socket.on('end', () => {
        ended = true
      })
      socket.pause()
    },
    { tls: false },
  )
  const site = await startLab(t, upstream)
  const { client } = await ask(t, site, upstream.authority)
  for (let i = 0; i < count; i++) client.socket.write(bytes)
  client.socket.end()
  let left = Number.POSITIVE_INFINITY
  for (let same = 0; same < 50; ) {
    await new Promise((resolve) => setImmediate(resolve))
    const { writableLength } = client.socket
    same = writableLength === left ? same + 1 : 0
    left = writableLength
  }
  t.ok(left > 0, 'it was not read without end')
  stalled?.resume()
  await eventually(() => ended, 'all of it came', 20_000)
  const expected = createHash('sha256')
  for (let i = 0; i < count; i++) expected.update(bytes)
  t.equal(hash.digest('hex'), expected.digest('hex'))
})

t.test('what cannot be dialled is said in the answer to CONNECT, and recorded', async (t) => {
  const site = await startSite(
    t,
    {
      principals: PEOPLE,
      connections: [
        untouchedTo({ origin: 'https://inside.test', ca: undefined }, { allowPrivateNetwork: false }),
        untouchedTo({ origin: 'https://localhost:1', ca: undefined }, { name: 'dead' }),
        untouchedTo(
          { origin: 'https://sales.test', ca: undefined },
          { name: 'sales', allow: { profiles: ['sales'] } },
        ),
      ],
    },
    { lookup: async () => [{ address: '127.0.0.1' }] },
  )
  t.match(await ask(t, site, 'inside.test:443'), { status: 403, code: 'destination_forbidden' })
  t.match(await ask(t, site, 'localhost:1'), {
    status: 502,
    reason: 'Bad Gateway (upstream_unreachable)',
    code: 'upstream_unreachable',
  })
  t.match(await ask(t, site, 'sales.test:443', { as: 'ben' }), { status: 403, code: 'not_allowed' })
  t.match(await ask(t, site, 'inside.test:8443'), { status: 403, code: 'connection_not_found' })
  t.match(await ask(t, site, 'inside.test:443', { as: 'nobody' }), { status: 407 })
  const records = (await site.audit()).filter(({ event }) => event !== 'start' && event !== 'change')
  t.match(
    records.filter(({ event }) => event === 'outcome'),
    [
      { status: 403, code: 'destination_forbidden', sent: 0, received: 0 },
      { status: 502, code: 'upstream_unreachable' },
    ],
  )
  t.equal(records.filter(({ event }) => event === 'refused').length, 3)
  t.equal(site.running.room.live.size, 0)
})

t.test('connections that do not agree are told apart by Locum-Connection alone', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startSite(t, {
    principals: PEOPLE,
    connections: [
      untouchedTo(upstream, { name: 'raw' }),
      untouchedTo(upstream, { name: 'sales', allow: { profiles: ['sales'] } }),
      connectionTo(upstream, { name: 'read', allow: { profiles: ['sales'] } }),
    ],
    credentials: [{ connection: 'read', for: 'shared', fields: { apiKey: SECRET } }],
  })
  const { authority } = upstream
  t.match(await ask(t, site, authority), { status: 400, code: 'connection_ambiguous' })
  t.match(await ask(t, site, authority, { as: 'ben' }), { status: 200 }, 'of one there is no choice')
  const naming = async (name: string, as = 'ada') =>
    (await ask(t, site, authority, { as, headers: [`Locum-Connection: ${name}`] })).status
  t.equal(await naming('raw'), 200)
  t.equal(await naming('sales', 'ben'), 403)
  t.equal(await naming('nobody'), 403)
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.same(
    uses.map(({ connection }) => connection),
    ['raw', 'raw'],
  )
  t.equal(await naming('read'), 200)
  t.equal((await site.audit()).filter(({ event }) => event === 'use').length, 2, 'that one is opened')
})

t.test('a use that cannot be recorded opens no tunnel', async (t) => {
  let full = false
  const upstream = await startUpstream(t)
  const site = await startLab(
    t,
    upstream,
    {},
    {
      faults: 'expected',
      audit: {
        write: (fd, bytes) => {
          if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
          return writeSync(fd, bytes)
        },
      },
    },
  )
  full = true
  t.match(await ask(t, site, upstream.authority), { status: 500, code: 'internal' })
  t.equal(site.running.room.upstreams.counts.sockets, 0, 'nothing was dialled')
  full = false
  t.match(await ask(t, site, upstream.authority), { status: 200 })
})

t.test('a revoked key, or a changed connection, ends a tunnel within a second', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startLab(t, upstream)
  const ada = await openPassing(t, site, upstream.authority)
  const ben = await openPassing(t, site, upstream.authority, { as: 'ben' })
  const from = performance.now()
  await site.revoke('ada')
  await ada.gone()
  t.ok(performance.now() - from < 1000)
  t.notOk(ben.ended, "another caller's goes on")
  const changed = performance.now()
  await site.apply({
    principals: PEOPLE,
    connections: [untouchedTo(upstream, { allow: { profiles: ['x'] } })],
  })
  await ben.gone()
  t.ok(performance.now() - changed < 1500)
  await eventually(() => upstream.open === 0, 'the upstream is let go')
  const outcomes = (await site.audit()).filter(({ event }) => event === 'outcome')
  t.match(outcomes, [{ code: 'caller_unauthenticated' }, { code: 'not_allowed' }])
})

t.test('a stop lets a tunnel go on for the grace, and none begin', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startLab(t, upstream)
  const open = await openPassing(t, site, upstream.authority)
  const waiting = await openTunnel(t, site, upstream.authority, { plain: true })
  const last = await openPassing(t, site, upstream.authority)
  const closing = site.close(1500)
  await waiting.gone()
  open.send(`GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\nConnection: close\r\n\r\n`)
  t.equal((await open.response()).status, 200)
  await Promise.all([open.gone(), last.gone(), closing])
  t.pass('the last one is cut')
})

t.test('everything that passes goes by the parent proxy too', async (t) => {
  const upstream = await startUpstream(t)
  const banner = await startBytes(t, (socket) => socket.end('220 ready\r\n'), { tls: false })
  for (const tls of [false, true]) {
    const parent = await startParent(t, { tls, credentials: 'locum:corp-Passw0rd' })
    const site = await startSite(t, {
      egress: { proxy: parent.url, username: 'locum', password: 'corp-Passw0rd', ca: parent.ca },
      principals: PEOPLE,
      connections: [untouchedTo(upstream), untouchedTo(banner, { name: 'mail' })],
    })
    const tunnel = await openPassing(t, site, upstream.authority)
    tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\n\r\n`)
    t.equal((await tunnel.response()).status, 200)
    const { client } = await ask(t, site, banner.authority)
    t.match(await client.whole(), '220 ready')
    t.equal((await askBy(t, site, 'forward', { ...upstream, name: 'lab' })).status, 200)
    t.same(parent.asked, [
      `127.0.0.1:${upstream.port}`,
      `127.0.0.1:${banner.port}`,
      `127.0.0.1:${upstream.port}`,
    ])
  }
})
