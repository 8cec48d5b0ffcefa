import { type ConnectionOptions, TLSSocket } from 'node:tls'
import t from 'tap'
import {
  addPrincipal,
  disablePrincipal,
  enablePrincipal,
  revokePrincipal,
} from '../../operations/principals.ts'
import { runCurl } from '../clients/running.ts'
import { type IssueOptions, issue, makeCa, selfSigned } from '../kit/certificates.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { clientCertificate, dialTls, listenerFiles, secure } from '../kit/listener.ts'
import { eventually, type RawClient } from '../kit/raw.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const URN = 'urn:locum:principal:'

/** A site whose proxy asks clients for a certificate of a CA of theirs. */
async function openSite(t: Teardown, more: { identity?: object; now?: () => number } = {}) {
  const files = await listenerFiles(t)
  const clients = await makeCa('Client CA')
  const tls = { ...files.listener.tls, clientCa: files.write('clients.pem', clients.cert) }
  const upstream = await startUpstream(t)
  const site = await startSite(
    t,
    {
      listen: { proxy: { ...files.listener, tls } },
      identity: more.identity,
      principals: [
        { id: 'ada' },
        { id: 'ben@example.com' },
        { id: 'desk', kind: 'service', mayActFor: ['user:*'] },
      ],
      connections: [connectionTo(upstream, { headers: { 'X-User': '{{$User.Id}}' } })],
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
    },
    { clock: { now: more.now ?? Date.now } },
  )
  const { authority } = upstream
  const open = (options: ConnectionOptions) => dialTls(t, site.port, { ca: files.ca.cert, ...options })
  const ask = async (client: RawClient, ...lines: string[]) => {
    const head = [`GET http://${authority}/ HTTP/1.1`, `Host: ${authority}`, ASKS, ...lines, '', '']
    return client.send(head.join('\r\n')).response()
  }
  /** Status of one request on a connection of its own. */
  const statusWith = async (options: ConnectionOptions, ...lines: string[]) =>
    (await ask(await open(options), ...lines)).status
  const made = (id: string, options?: IssueOptions) => clientCertificate(clients, id, options)
  const seen = () => upstream.requests.at(-1)?.headers['x-user']
  return { site, upstream, authority, files, clients, open, ask, statusWith, made, seen }
}

const keyOf = (id: string, keys: Readonly<Record<string, string>>) =>
  `Proxy-Authorization: Bearer ${keys[id]}`

t.test(
  'a certificate says who calls: a name of Locum’s own, else its e-mail address, else its subject',
  async (t) => {
    const { site, statusWith, made, seen } = await openSite(t)
    for (const [id, certificate] of [
      ['ada', await made('ada')],
      ['ada', await made('somebody', { uris: [`${URN}ada`], emails: ['ben@example.com'] })],
      ['ben@example.com', await made('ada', { emails: ['ben@example.com'] })],
      ['ada', await made('ada', { uris: ['spiffe://example.com/ada'] })],
      ['ada', await made('', { subject: 'O=Example, CN=ada, OU=x' })],
    ] as const) {
      t.equal(await statusWith(certificate), 200)
      t.equal(seen(), id)
    }
    const uses = (await site.audit()).filter(({ event }) => event === 'use')
    t.strictSame(new Set(uses.map(({ via }) => via)), new Set(['certificate']))
  },
)

t.test('a certificate of an intermediate CA holds where the client shows the chain', async (t) => {
  const { clients, statusWith } = await openSite(t)
  const middle = await makeCa('Middle CA', clients)
  const { cert, key } = await clientCertificate(middle, 'ada')
  t.equal(await statusWith({ cert: `${cert}\n${middle.cert}`, key }), 200)
  t.equal(await statusWith({ cert, key }), 407)
  const under = await issue(await makeCa('Middle CA'), [], { subject: 'CN=ada', forClient: true })
  t.equal(await statusWith({ cert: `${under.cert}\n${middle.cert}`, key: under.key }), 407, 'another’s chain')
})

t.test('a certificate that names two, nobody, or in another spelling serves nothing', async (t) => {
  const { upstream, statusWith, made } = await openSite(t)
  for (const [what, certificate] of [
    ['nobody that is known', await made('eve')],
    ['two common names', await made('', { subject: 'CN=ada, CN=desk' })],
    ['two addresses', await made('ada', { emails: ['ben@example.com', 'ada@example.com'] })],
    ['two names', await made('ada', { uris: [`${URN}ada`, `${URN}desk`] })],
    ['an empty name', await made('ada', { uris: [URN] })],
    ['a name with more', await made('ada', { uris: [`${URN}ada/x`] })],
    ['another case', await made('ADA')],
    ['a subject without a name', await made('', { subject: 'O=ada' })],
    ['what looks like two lines', await made('', { subject: 'O=x\\0ACN=ada' })],
  ] as const)
    t.equal(await statusWith(certificate), 407, what)
  t.equal(upstream.bytes.length, 0)
})

t.test('a certificate that does not hold serves nothing, not even beside a key', async (t) => {
  const { site, upstream, clients, files, statusWith, made } = await openSite(t, {
    identity: { default: 'desk' },
  })
  const other = await makeCa('Client CA')
  const hour = 3_600_000
  for (const [what, certificate] of [
    ['of another CA of the same name', await clientCertificate(other, 'ada')],
    ['of the CA of the listener', await clientCertificate(files.ca, 'ada')],
    ['signed by itself', await selfSigned([], { subject: 'CN=ada', forClient: true })],
    ['for a server', await issue(clients, ['localhost'], { subject: 'CN=ada' })],
    [
      'ended',
      await made('ada', {
        notBefore: new Date(Date.now() - 2 * hour),
        notAfter: new Date(Date.now() - hour),
      }),
    ],
    ['not begun', await made('ada', { notBefore: new Date(Date.now() + hour) })],
  ] as const) {
    t.equal(await statusWith(certificate), 407, what)
    t.equal(await statusWith(certificate, keyOf('ada', site.keys)), 407, `${what}, beside the key`)
  }
  t.equal(upstream.bytes.length, 0)
})

t.test('a key works without a certificate, and beside one that names the same', async (t) => {
  const { site, statusWith, made, seen } = await openSite(t)
  const ada = await made('ada')
  t.equal(await statusWith({}, keyOf('ada', site.keys)), 200)
  t.equal(await statusWith(ada, keyOf('ada', site.keys)), 200)
  t.equal(await statusWith(ada, keyOf('desk', site.keys)), 407, 'they disagree')
  t.equal(await statusWith(await made('eve'), keyOf('ada', site.keys)), 407)
  t.equal(
    await statusWith(ada, 'Proxy-Authorization: Bearer nonsense'),
    407,
    'a wrong key is no reason for it',
  )
  t.equal(await statusWith({}), 407)
  t.equal(seen(), 'ada')
})

t.test('curl shows its certificate to the proxy, at each entrance', async (t) => {
  const { site, authority, files, made, seen } = await openSite(t)
  const { cert, key } = await made('ada')
  const own = { cert: files.write('ada.pem', cert), key: files.write('ada.key', key) }
  const proxy = ['--proxy', site.proxyUrl, '--proxy-cacert', files.caFile]
  const shown = ['--proxy-cert', own.cert, '--proxy-key', own.key]
  for (const args of [
    [...proxy, ...shown, `http://${authority}/`],
    [...proxy, ...shown, '--cacert', site.caFile, `https://${authority}/`],
    ['--cacert', files.caFile, '--cert', own.cert, '--key', own.key, `${site.proxyUrl}/c/echo/`],
  ]) {
    const { code, errors } = await runCurl(['--fail', '--header', ASKS, ...args])
    t.equal(code, 0, errors)
    t.equal(seen(), 'ada')
  }
})

t.test('a caller by certificate acts for users as one by key does', async (t) => {
  const { site, statusWith, made, seen } = await openSite(t)
  t.equal(await statusWith(await made('desk'), 'Locum-For: user:ada'), 200)
  t.equal(seen(), 'ada')
  t.equal(await statusWith(await made('ada'), 'Locum-For: user:ada'), 403)
  const [use] = (await site.audit()).filter(({ event }) => event === 'use')
  t.match(use, { caller: 'desk', for: 'ada', via: 'certificate' })
})

t.test('a page in a browser that shows its certificate by itself is served nothing', async (t) => {
  const { site, upstream, open, ask, made, authority } = await openSite(t)
  const ada = await made('ada')
  for (const line of [
    'Sec-Fetch-Site: cross-site',
    'Sec-Fetch-Mode: no-cors',
    'Origin: https://evil.example',
  ]) {
    t.equal((await ask(await open(ada), line)).status, 407, line)
    const tunnel = await openTunnel(t, await open(ada), authority, site.ca)
    t.equal(
      (await tunnel.send(`GET / HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\n${line}\r\n\r\n`).response())
        .status,
      407,
    )
    if (line.startsWith('Origin')) continue
    const gateway = await open(ada)
    gateway.send(`GET /c/echo/ HTTP/1.1\r\nHost: localhost\r\n${ASKS}\r\n${line}\r\n\r\n`)
    t.equal((await gateway.response()).status, 401)
  }
  t.equal(upstream.bytes.length, 0)
  t.equal(
    (await ask(await open(ada), 'Sec-Fetch-Site: none', keyOf('ada', site.keys))).status,
    200,
    'with a key it is',
  )
})

t.test(
  'what runs by a certificate ends within a second when its principal is disabled or revoked',
  async (t) => {
    for (const { run, name } of [disablePrincipal, revokePrincipal]) {
      const { site, authority, open, ask, made } = await openSite(t)
      const ada = await made('ada')
      const tunnel = await openTunnel(t, await open(ada), authority, site.ca)
      const events = await open(ada)
      events.send(`GET http://${authority}/sse HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\n\r\n`)
      await events.until((received) => received.includes('data: hello'))
      const kept = await open(ada)
      t.equal((await ask(kept)).status, 200)
      const from = performance.now()
      await run(site.context, { id: 'ada' })
      await Promise.all([tunnel.gone(), events.gone(), kept.gone()])
      t.ok(performance.now() - from < 1000, `${name} in time`)
      t.equal((await ask(await open(ada))).status, 407, 'and another is served nothing')
      await site.close()
    }
  },
)

t.test('after a revocation only a certificate that was issued later proves anything', async (t) => {
  // Revoked a moment ago, so that a certificate can be issued since then and be valid already.
  let behind = 0
  const { site, statusWith, made } = await openSite(t, { now: () => Date.now() - behind })
  behind = 60_000
  await site.run(revokePrincipal, { id: 'ada' })
  behind = 0
  await site.settle()
  t.equal(await statusWith(await made('ada')), 407, 'issued before')
  const later = await made('ada', { notBefore: new Date(Date.now() - 30_000) })
  t.equal(await statusWith(later), 200)
  await site.run(disablePrincipal, { id: 'ada' })
  await site.settle()
  t.equal(await statusWith(later), 407)
  await site.run(enablePrincipal, { id: 'ada' })
  await site.settle()
  t.equal(await statusWith(later), 200)
  t.equal(await statusWith(await made('ada')), 407, 'and taking the principal back brings no old one back')
})

t.test('no session is resumed that has shown a certificate: each connection shows its own', async (t) => {
  const { open, ask, made } = await openSite(t)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const ada = await made('ada')
    const first = await open({ ...ada, maxVersion })
    const sessions: Buffer[] = []
    first.socket.on('session', (session: Buffer) => sessions.push(session))
    const { socket } = first
    t.equal((await ask(first)).status, 200)
    if (socket instanceof TLSSocket) sessions.push(socket.getSession() as Buffer)
    for (const session of sessions) {
      const again = await open({ session, maxVersion })
      t.ok(again.socket instanceof TLSSocket && !again.socket.isSessionReused())
      t.equal((await ask(again)).status, 407, 'nothing is left of what the first had shown')
    }
  }
})

t.test('a principal that is added later may call with the certificate it has', async (t) => {
  const { site, statusWith, made } = await openSite(t)
  const cyd = await made('cyd')
  t.equal(await statusWith(cyd), 407)
  await site.run(addPrincipal, { id: 'cyd' })
  await site.settle()
  t.equal(await statusWith(cyd), 200)
})

t.test('a tunnel ends with the certificate that opened it', async (t) => {
  let ahead = 0
  const { site, authority, open, made } = await openSite(t, { now: () => Date.now() + ahead })
  const soon = await made('ada', { notAfter: new Date(Date.now() + 20_000) })
  const tunnel = await openTunnel(t, await open(soon), authority, site.ca)
  const before = await open(soon)
  ahead = 25_000
  await eventually(() => tunnel.closed, 'the tunnel ends')
  before.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\n\r\n`)
  t.equal((await before.response()).status, 407)
})

t.test('a change that judges callers anew lends no tunnel the end of another certificate', async (t) => {
  let ahead = 0
  const { site, authority, open, made } = await openSite(t, { now: () => Date.now() + ahead })
  const notBefore = new Date(Date.now() - 60_000)
  const long = await openTunnel(t, await open(await made('ada', { notBefore })), authority, site.ca)
  const soon = await made('ada', { notBefore, notAfter: new Date(Date.now() + 20_000) })
  const short = await openTunnel(t, await open(soon), authority, site.ca)
  await site.run(addPrincipal, { id: 'somebody' })
  await site.settle()
  ahead = 25_000
  await eventually(() => short.closed, 'it ends with its own')
  t.notOk(long.ended)
})

t.test('a console that asks for certificates lets nobody else in', async (t) => {
  const files = await listenerFiles(t)
  const clients = await makeCa('Client CA')
  const tls = { ...files.listener.tls, clientCa: files.write('clients.pem', clients.cert) }
  const site = await startSite(t, { listen: { console: { ...files.listener, tls } } })
  const ask = async (options: ConnectionOptions) => {
    const client = await dialTls(t, Number(new URL(site.consoleUrl).port), { ca: files.ca.cert, ...options })
    return client.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n').whole()
  }
  t.match(await ask(await clientCertificate(clients, 'anybody')), /^HTTP\/1\.1 200 /)
  const lets = async (options: ConnectionOptions) =>
    ask(options).then(
      (answer) => answer !== '',
      () => false,
    )
  t.notOk(await lets({}))
  t.notOk(await lets(await clientCertificate(files.ca, 'anybody')))
})

/** CONNECT on a connection that showed a certificate, then TLS inside. */
async function openTunnel(t: Teardown, client: RawClient, authority: string, ca: string): Promise<RawClient> {
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  const { status } = await client.response(true)
  if (status !== 200) throw new Error(`CONNECT: ${status}`)
  return secure(t, client, ca, 'localhost')
}
