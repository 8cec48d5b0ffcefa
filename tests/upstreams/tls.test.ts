import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import t, { type Test } from 'tap'
import type { Lookup } from '../../proxy/upstreams/addresses.ts'
import { type Issued, issue, makeCa, selfSigned } from '../kit/certificates.ts'
import { answer, makeUpstreams, type Outcome, type RawServer, send, serveRaw, specOf, until } from './kit.ts'

const ca = await makeCa()
const toLoopback: Lookup = async () => [{ address: '127.0.0.1' }]

async function serveTls(t: Test, leaf: Issued, options: TlsOptions = {}, port = 0): Promise<RawServer> {
  return serveRaw(
    t,
    (_, socket) => {
      const { servername, alpnProtocol } = socket as TLSSocket
      const reused = (socket as TLSSocket).isSessionReused()
      answer(socket, JSON.stringify({ servername, alpnProtocol, reused }))
    },
    '127.0.0.1',
    (listener) => createTlsServer({ cert: leaf.cert, key: leaf.key, ...options }, listener) as Server,
    port,
  )
}

function get(t: Test, text: string, extra: { ca?: string } = { ca: ca.cert }): Promise<Outcome> {
  const upstreams = makeUpstreams(t, {}, { lookup: toLoopback })
  return send(upstreams, specOf(text, extra)).outcome
}

t.test('verifies the certificate against the name, which is also the SNI', async (t) => {
  const { port } = await serveTls(t, await issue(ca, ['api.test']), { ALPNProtocols: ['h2', 'http/1.1'] })
  const outcome = await get(t, `https://api.test:${port}`)
  t.same(JSON.parse(outcome.body ?? '{}'), {
    servername: 'api.test',
    alpnProtocol: 'http/1.1',
    reused: false,
  })
  t.equal((await get(t, `https://other.test:${port}`)).code, 'upstream_tls')
})

t.test('verifies the certificate of an address against the address, without SNI', async (t) => {
  const { port } = await serveTls(t, await issue(ca, ['127.0.0.1']))
  const outcome = await get(t, `https://127.0.0.1:${port}`)
  t.same(JSON.parse(outcome.body ?? '{}'), { servername: false, alpnProtocol: false, reused: false })
  t.equal((await get(t, `https://name.test:${port}`)).code, 'upstream_tls', 'a name is not its address')
  const named = await serveTls(t, await issue(ca, ['name.test']))
  t.equal((await get(t, `https://127.0.0.1:${named.port}`)).code, 'upstream_tls', 'nor an address its name')
})

t.test('refuses certificates that do not hold, and says why', async (t) => {
  const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2020-01-08') }
  const future = { notBefore: new Date(Date.now() + 3_600_000) }
  const cases: [string, Issued, RegExp][] = [
    ['expired', await issue(ca, ['api.test'], past), /expired/],
    ['not yet valid', await issue(ca, ['api.test'], future), /not valid yet/],
    ['self-signed', await selfSigned(['api.test']), /vouches/],
    ['of another authority', await issue(await makeCa('Other CA'), ['api.test']), /vouches/],
    ['of an authority of the same name', await issue(await makeCa(), ['api.test']), /./],
    ['for clients', await issue(ca, ['api.test'], { forClient: true }), /not for servers/],
    ['for another name', await issue(ca, ['api.test.evil', 'evilapi.test']), /another name/],
  ]
  for (const [name, leaf, detail] of cases) {
    const { port, sockets } = await serveTls(t, leaf)
    const { error } = await get(t, `https://api.test:${port}`)
    t.equal(error?.code, 'upstream_tls', name)
    t.match(error?.detail, detail, name)
    await until(() => sockets.every((socket) => socket.destroyed))
  }
})

t.test('trusts a CA of an own only where it is named, and then no other', async (t) => {
  const { port } = await serveTls(t, await issue(ca, ['api.test']))
  const { error } = await get(t, `https://api.test:${port}`, {})
  t.equal(error?.code, 'upstream_tls')
  t.match(error?.hint, '`ca:`')
  t.equal((await get(t, `https://api.test:${port}`, { ca: (await makeCa('B')).cert })).code, 'upstream_tls')
  t.equal((await get(t, `https://api.test:${port}`, { ca: 'no certificate' })).code, 'upstream_tls')
  const both = `${(await makeCa('B')).cert}\n${ca.cert}`
  t.equal((await get(t, `https://api.test:${port}`, { ca: both })).status, 200)
})

t.test('the environment cannot turn verification off', async (t) => {
  t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  t.capture(process, 'emitWarning')
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  const { port } = await serveTls(t, await selfSigned(['api.test']))
  t.equal((await get(t, `https://api.test:${port}`)).code, 'upstream_tls')
})

t.test('resumes the session of its own key, and of no other', async (t) => {
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const { port } = await serveTls(t, await issue(ca, ['api.test']), { maxVersion })
    const upstreams = makeUpstreams(t, {}, { lookup: toLoopback })
    const ada = specOf(`https://api.test:${port}`, { key: 'ada', ca: ca.cert })
    const reused = async (spec: typeof ada) => {
      const outcome = await send(upstreams, spec).outcome
      await until(() => upstreams.counts.idle === 1)
      upstreams.closeIdle()
      await until(() => upstreams.counts.sockets === 0)
      return JSON.parse(outcome.body ?? '{}').reused
    }
    t.equal(await reused(ada), false)
    t.equal(await reused(ada), true)
    t.equal(await reused(ada), true)
    t.equal(await reused({ ...ada, key: 'bob' }), false)
    upstreams.forget((key) => key === 'ada')
    t.equal(await reused(ada), false)
  }
})

t.test('a session is not resumed under another name or another CA', async (t) => {
  const { port } = await serveTls(t, await issue(ca, ['api.test']))
  const upstreams = makeUpstreams(t, {}, { lookup: toLoopback })
  const right = specOf(`https://api.test:${port}`, { key: 'same', ca: ca.cert })
  const once = async (spec: typeof right) => {
    const outcome = await send(upstreams, spec).outcome
    upstreams.closeIdle()
    await until(() => upstreams.counts.sockets === 0)
    return outcome
  }
  t.equal((await once(right)).status, 200)
  t.equal(
    (await once(specOf(`https://other.test:${port}`, { key: 'same', ca: ca.cert }))).code,
    'upstream_tls',
  )
  t.equal((await once(right)).status, 200)
  t.equal((await once({ ...right, ca: (await makeCa('B')).cert })).code, 'upstream_tls')
})

/** Ends a server and what is open on it, so that another can have its port. */
async function stop({ server, sockets }: RawServer): Promise<void> {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
}

t.test('goes on with a server that knows none of its sessions any more', async (t) => {
  const leaf = await issue(ca, ['api.test'])
  const first = await serveTls(t, leaf)
  const upstreams = makeUpstreams(t, {}, { lookup: toLoopback })
  const spec = specOf(`https://api.test:${first.port}`, { ca: ca.cert })
  t.equal((await send(upstreams, spec).outcome).status, 200)
  await stop(first)
  await until(() => upstreams.counts.sockets === 0)
  await serveTls(t, leaf, {}, first.port)
  const outcome = await send(upstreams, spec).outcome
  t.equal(JSON.parse(outcome.body ?? '{}').reused, false)
})

t.test('gives a session up when a handshake with it failed', async (t) => {
  const leaf = await issue(ca, ['api.test'])
  const options = { ticketKeys: randomBytes(48) }
  const upstreams = makeUpstreams(t, {}, { lookup: toLoopback })
  const first = await serveTls(t, leaf, options)
  const spec = specOf(`https://api.test:${first.port}`, { ca: ca.cert })
  const reused = async () => JSON.parse((await send(upstreams, spec).outcome).body ?? '{}').reused
  t.equal(await reused(), false)
  await stop(first)
  await until(() => upstreams.counts.sockets === 0)
  const second = await serveTls(t, leaf, options, first.port)
  t.equal(await reused(), true, 'the keys of its tickets are the same')
  await stop(second)
  await until(() => upstreams.counts.sockets === 0)
  const breaks = (socket: Socket) => socket.once('data', () => socket.destroy())
  const broken = await serveRaw(
    t,
    () => {},
    '127.0.0.1',
    () => createServer(breaks),
    first.port,
  )
  t.equal((await send(upstreams, spec).outcome).code, 'upstream_tls')
  await stop(broken)
  await serveTls(t, leaf, options, first.port)
  t.equal(await reused(), false)
})

t.test('a handshake that does not end is a timeout, one that breaks off is a TLS failure', async (t) => {
  const silent = await serveRaw(t, () => {})
  const upstreams = makeUpstreams(t, { handshakeMs: 50 })
  const stalled = await send(upstreams, specOf(`https://127.0.0.1:${silent.port}`)).outcome
  t.equal(stalled.code, 'upstream_timeout')
  const wraps: ((socket: Socket) => unknown)[] = [
    (socket) => socket.once('data', () => socket.resetAndDestroy()),
    (socket) => socket.end(),
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ]
  for (const end of wraps) {
    const { port } = await serveRaw(
      t,
      () => {},
      '127.0.0.1',
      () => createServer(end),
    )
    t.equal((await get(t, `https://127.0.0.1:${port}`)).code, 'upstream_tls')
  }
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, dialling: 0 })
})

t.test('a client that goes during a handshake takes it along', async (t) => {
  const silent = await serveRaw(t, () => {})
  const upstreams = makeUpstreams(t, { handshakeMs: 600_000 })
  const sent = send(upstreams, specOf(`https://127.0.0.1:${silent.port}`))
  await until(() => silent.sockets.length === 1)
  sent.sending.abort()
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0 })
  t.equal(sent.calls, 0)
})
