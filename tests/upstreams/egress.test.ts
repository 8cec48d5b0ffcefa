import type { Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type Egress, parseDirectRule, parseEgressProxy, proxyAuthorization } from '../../core/egress.ts'
import type { Lookup } from '../../proxy/upstreams/addresses.ts'
import type { UpstreamLimits } from '../../proxy/upstreams/limits.ts'
import { issue, makeCa } from '../kit/certificates.ts'
import { type ParentProxy, startParent } from '../kit/parent.ts'
import {
  answer,
  headOf,
  makeUpstreams,
  noLookup,
  type RawServer,
  send,
  serveRaw,
  specOf,
  until,
} from './kit.ts'

const ca = await makeCa()
const PASSWORD = 'corp-Passw0rd'

function egressTo({ url, ca }: Pick<ParentProxy, 'url' | 'ca'>, more: Partial<Egress> = {}): Egress {
  return { ...parseEgressProxy(url), ca, direct: [], ...more }
}

function throughParent(
  t: Test,
  parent: Pick<ParentProxy, 'url' | 'ca'>,
  x: { lookup?: Lookup; limits?: Partial<UpstreamLimits>; egress?: Partial<Egress> } = {},
) {
  const egress = egressTo(parent, x.egress)
  return makeUpstreams(t, x.limits, { egress, lookup: x.lookup ?? noLookup })
}

async function serveTls(t: Test, names: readonly string[]): Promise<RawServer> {
  const { cert, key } = await issue(ca, names)
  return serveRaw(
    t,
    (_, socket) => {
      const { servername } = socket as TLSSocket
      answer(socket, `${servername} ${(socket as TLSSocket).isSessionReused()}`)
    },
    '127.0.0.1',
    (listener) => createTlsServer({ cert, key }, listener as (socket: TLSSocket) => void),
  )
}

t.test('asks the parent for the judged address, over TCP and TLS, and for http upstreams too', async (t) => {
  for (const tls of [false, true]) {
    const parent = await startParent(t, { tls, credentials: `ada:${PASSWORD}` })
    const plain = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
    const secure = await serveTls(t, ['api.test'])
    const upstreams = throughParent(t, parent, {
      lookup: async () => [{ address: '127.0.0.1' }],
      egress: { authorization: proxyAuthorization('ada', PASSWORD) },
    })
    t.equal((await send(upstreams, specOf(`http://plain.test:${plain.port}`)).outcome).body, '1')
    const spec = specOf(`https://api.test:${secure.port}`, { ca: ca.cert })
    t.equal((await send(upstreams, spec).outcome).body, 'api.test false')
    t.same(parent.asked, [`127.0.0.1:${plain.port}`, `127.0.0.1:${secure.port}`], 'by address')
    t.notMatch(parent.heads.join(), /\.test/, 'and it is told no name')
    await until(() => upstreams.counts.idle === 2)
    t.equal((await send(upstreams, spec).outcome).body, 'api.test false', 'the connection is kept')
    await until(() => upstreams.counts.idle === 2)
    upstreams.closeIdle()
    await until(() => upstreams.counts.sockets === 0)
    t.equal((await send(upstreams, spec).outcome).body, 'api.test true', 'and else its session')
    t.equal(parent.asked.length, 3)
  }
})

t.test('the certificate is verified against the name, whoever carries the bytes', async (t) => {
  const parent = await startParent(t)
  const { port } = await serveTls(t, ['other.test', '127.0.0.1'])
  const upstreams = throughParent(t, parent, { lookup: async () => [{ address: '127.0.0.1' }] })
  const { error } = await send(upstreams, specOf(`https://api.test:${port}`, { ca: ca.cert })).outcome
  t.equal(error?.code, 'upstream_tls')
  await until(() => upstreams.counts.sockets === 0)
  t.equal(
    (await send(upstreams, specOf(`https://127.0.0.1:${port}`, { ca: ca.cert })).outcome).status,
    200,
    'an address against the address',
  )
})

t.test('what noProxy names is dialled from here', async (t) => {
  const parent = await startParent(t)
  const { port } = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
  const upstreams = throughParent(t, parent, {
    lookup: async () => [{ address: '127.0.0.1' }],
    egress: { direct: [parseDirectRule('.internal'), parseDirectRule('127.0.0.0/8')] },
  })
  for (const host of ['api.internal', 'internal', '127.0.0.1'])
    t.equal((await send(upstreams, specOf(`http://${host}:${port}`)).outcome).status, 200, host)
  t.same(parent.asked, [])
  for (const host of ['notinternal', 'localhost'])
    t.equal((await send(upstreams, specOf(`http://${host}:${port}`)).outcome).status, 200, host)
  t.equal(parent.asked.length, 2, 'a name is not its address')
})

t.test('what may not be dialled is not asked of the parent either', async (t) => {
  const parent = await startParent(t)
  const upstreams = makeUpstreams(
    t,
    {},
    {
      egress: egressTo(parent),
      lookup: async () => [{ address: '8.8.8.8' }, { address: '169.254.169.254' }],
      ownListeners: () => [{ address: '127.0.0.1', port: 8080 }],
    },
  )
  for (const [text, extra] of [
    ['http://metadata.test', { allowPrivateNetwork: false }],
    ['http://169.254.169.254', { allowPrivateNetwork: false }],
    ['http://10.1.2.3', { allowPrivateNetwork: false }],
    ['http://localhost:9000', { allowPrivateNetwork: false }],
    ['http://224.0.0.1', {}],
    ['http://127.0.0.1:8080', {}],
    ['http://localhost:8080', {}],
  ] as const) {
    t.equal((await send(upstreams, specOf(text, extra)).outcome).code, 'destination_forbidden', text)
  }
  t.same(parent.asked, [])
  t.equal(upstreams.counts.sockets, 0)
})

t.test('a name is looked up once, and what it says then changes nothing', async (t) => {
  const parent = await startParent(t, { to: () => good.port })
  const good = await serveRaw(t, (_, socket) => answer(socket, 'good'))
  let asked = 0
  const lookup: Lookup = async () => [{ address: asked++ === 0 ? '93.184.216.34' : '127.0.0.1' }]
  const upstreams = throughParent(t, parent, { lookup })
  const spec = specOf('http://rebind.test', { allowPrivateNetwork: false })
  t.equal((await send(upstreams, spec).outcome).body, 'good')
  t.same(parent.asked, ['93.184.216.34:80'])
  await until(() => upstreams.counts.idle === 1)
  upstreams.closeIdle()
  t.equal((await send(upstreams, spec).outcome).code, 'destination_forbidden', 'each dial is judged anew')
  t.equal(parent.asked.length, 1)
})

t.test('the parent is tried with one address after the other', async (t) => {
  const { port } = await serveRaw(t, (_, socket) => answer(socket, 'second'))
  const parent = await startParent(t, {
    to: (authority) => (authority.startsWith('[') ? 'HTTP/1.1 503 No\r\n\r\n' : port),
  })
  const addresses = [{ address: '2606:4700::1111' }, { address: '1.1.1.1' }]
  const upstreams = throughParent(t, parent, { lookup: async () => addresses })
  t.equal((await send(upstreams, specOf('http://two.test')).outcome).body, 'second')
  t.same(parent.asked, ['[2606:4700::1111]:80', '1.1.1.1:80'])
  await until(() => upstreams.counts.sockets === 1)
})

t.test('a refusal of the parent says which hop it was, and nothing of what the parent said', async (t) => {
  const body = 'HTTP/1.1 %\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\nparent-was-here'
  const cases: [string, string | ((socket: Socket) => void), RegExp, RegExp?][] = [
    ['407', body.replace('%', '407 parent-was-here'), /does not take the credentials/, /egress: \{ username/],
    ['403', body.replace('%', '403 parent-was-here'), /does not allow this destination \(403\)/, /port 443/],
    ['502', body.replace('%', '502 parent-was-here'), /no way to the upstream \(502\)/],
    ['a redirect', body.replace('%', '302 parent-was-here'), /\(302\)/],
    ['garbage', 'parent-was-here\r\n\r\n', /not valid HTTP/],
    ['another protocol', 'SSH-2.0-parent-was-here\r\n', /closed|not valid HTTP/],
    ['a switch of protocols', body.replace('%', '101 parent-was-here'), /not valid HTTP/],
    ['more than its answer', 'HTTP/1.1 200 OK\r\n\r\nparent-was-here', /more than its answer/],
    ['nothing', (socket) => socket.end(), /closed the connection before it answered/],
    ['a reset', (socket) => socket.resetAndDestroy(), /closed the connection before it answered/],
  ]
  for (const [name, instead, detail, hint] of cases) {
    const parent = await startParent(t, { to: () => instead })
    const authorization = proxyAuthorization('ada', PASSWORD)
    const upstreams = throughParent(t, parent, { egress: { authorization } })
    const { error } = await send(upstreams, specOf('http://1.1.1.1')).outcome
    t.equal(error?.code, 'upstream_unreachable', name)
    t.match(error?.detail, /egress proxy/i, name)
    t.match(error?.detail, detail, name)
    if (hint) t.match(error?.hint, hint, name)
    const told = `${error?.detail} ${error?.hint} ${error?.stack} ${error?.cause}`
    t.notMatch(told, /parent-was-here/, name)
    t.notMatch(told, new RegExp(`${PASSWORD}|${authorization.reveal().slice(6)}`), name)
    await until(() => upstreams.counts.sockets === 0)
    t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0 })
  }
})

t.test('a parent that hangs or floods is given up within its bounds', async (t) => {
  const line = `X-Flood: ${'x'.repeat(1000)}\r\n`
  const flood = (text: string) => (socket: Socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    const more = () => {
      while (!socket.destroyed && socket.write(text));
    }
    socket.on('drain', more)
    more()
  }
  const cases: [string, (socket: Socket) => void, RegExp][] = [
    ['hangs', () => {}, /no way to the upstream within 0\.1 s/],
    ['drips', (socket) => socket.write('HTTP/1.1 200'), /within 0\.1 s/],
    ['floods with fields', flood(line), /not valid HTTP/],
    ['floods with interim answers', flood('\r\nHTTP/1.1 102 Wait\r\n'), /not valid HTTP|more than/],
  ]
  for (const [name, instead, detail] of cases) {
    const parent = await startParent(t, { to: () => instead })
    const limits = name.startsWith('floods') ? {} : { parentMs: 100 }
    const upstreams = throughParent(t, parent, { limits })
    const { error } = await send(upstreams, specOf('https://1.1.1.1')).outcome
    t.equal(error?.code, 'upstream_unreachable', name)
    t.match(error?.detail, detail, name)
    await until(() => parent.open === 0 && upstreams.counts.sockets === 0)
  }
})

t.test('a parent that cannot be reached or trusted is told from the upstream', async (t) => {
  const secure = await startParent(t, { tls: true })
  const plain = await startParent(t)
  const cases: [string, Partial<Egress>, Lookup | undefined, RegExp][] = [
    ['nobody listens', { ...parseEgressProxy('http://127.0.0.1:1') }, undefined, /The egress proxy refused/],
    [
      'no such name',
      parseEgressProxy('http://corp.test:3128'),
      async () => {
        throw Object.assign(new Error('no'), { code: 'ENOTFOUND' })
      },
      /The name of the egress proxy has no address/,
    ],
    [
      'nobody vouches for it',
      { ...parseEgressProxy(secure.url) },
      undefined,
      /certificate of the egress proxy/,
    ],
    [
      'it does not speak TLS',
      { ...parseEgressProxy(plain.url.replace('http', 'https')) },
      undefined,
      /TLS handshake with the egress proxy/,
    ],
    ['it is none', parseEgressProxy('http://224.0.0.1:3128'), undefined, /never dialled/],
  ]
  for (const [name, egress, lookup, detail] of cases) {
    const upstreams = throughParent(t, { url: plain.url, ca: undefined }, { egress, lookup })
    const { error } = await send(upstreams, specOf('https://1.1.1.1')).outcome
    t.equal(error?.code, 'upstream_unreachable', name)
    t.match(error?.detail, detail, name)
  }
  const upstreams = makeUpstreams(
    t,
    {},
    { egress: egressTo(plain), ownListeners: () => [{ address: '0.0.0.0', port: plain.port }] },
  )
  const { error } = await send(upstreams, specOf('https://1.1.1.1')).outcome
  t.equal(error?.code, 'upstream_unreachable', 'Locum itself')
  t.match(error?.detail, /listener of Locum itself/)
  t.equal(plain.asked.length, 0)
})

t.test('a name that only the parent knows is refused with a reason', async (t) => {
  const parent = await startParent(t)
  const lookup: Lookup = async () => {
    throw Object.assign(new Error('no'), { code: 'ENOTFOUND' })
  }
  const { error } = await send(throughParent(t, parent, { lookup }), specOf('https://only.corp')).outcome
  t.equal(error?.code, 'upstream_unreachable')
  t.match(error?.hint, /Locum looks names up itself/)
  t.same(parent.asked, [])
})

t.test('a client that goes while the parent is asked leaves nothing open', async (t) => {
  const parent = await startParent(t, { to: () => () => {} })
  const upstreams = throughParent(t, parent)
  const sent = send(upstreams, specOf('https://1.1.1.1'))
  await until(() => parent.asked.length === 1)
  sent.sending.abort()
  await until(() => parent.open === 0)
  t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0, sockets: 0 })
  t.equal(sent.calls, 0)
})

t.test('an upgrade goes through the parent', async (t) => {
  const parent = await startParent(t)
  const { port } = await serveRaw(t, (_, socket) => {
    socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  const upstreams = throughParent(t, parent)
  const spec = specOf(`http://127.0.0.1:${port}`)
  const { tunnel } = await send(upstreams, spec, headOf('GET', '/', { upgrade: 'echo' })).outcome
  t.ok(tunnel)
  let got = ''
  tunnel?.socket.on('data', (chunk) => {
    got += chunk
  })
  tunnel?.socket.resume()
  tunnel?.socket.write('through and through')
  await until(() => got === 'through and through')
})
