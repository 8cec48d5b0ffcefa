import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import t from 'tap'
import { systemClock } from '../../core/clock.ts'
import { openTls } from '../../listeners/tls.ts'
import { runCurl } from '../clients/running.ts'
import { issue } from '../kit/certificates.ts'
import { ASKS, connectionTo, REAL, SECRET } from '../kit/echo-site.ts'
import { dialPath, dialTls, listenerFiles, makeFolder, secure } from '../kit/listener.ts'
import { dial, eventually, resetSocket } from '../kit/raw.ts'
import { type SiteOptions, startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** A site with listeners as given, one connection that shares a key, and the caller `ada`. */
async function openSite(t: Teardown, listen: object, more: object = {}, options?: SiteOptions) {
  const upstream = await startUpstream(t)
  const site = await startSite(
    t,
    {
      listen,
      principals: [{ id: 'ada' }, { id: 'billing', kind: 'service' }],
      connections: [connectionTo(upstream)],
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
      ...more,
    },
    options,
  )
  const key = `Proxy-Authorization: Bearer ${site.keys.ada}`
  return { site, upstream, goal: { ...upstream, name: 'echo' }, key }
}

const statusOf = (url: string, port: number) =>
  `GET ${url} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`

t.test('a Unix socket has all three entrances, for its owner alone, and goes with its server', async (t) => {
  const path = join(makeFolder(t), 'proxy.sock')
  const { site, upstream, goal, key } = await openSite(t, { proxy: `unix:${path}` })
  t.equal(site.proxyUrl, `unix:${path}`)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const curl = async (...args: string[]) => {
    const { code, out, errors } = await runCurl(['--unix-socket', path, ...args])
    t.equal(code, 0, errors)
    return JSON.parse(out)
  }
  const url = `http://${goal.authority}/`
  await curl('--header', key, '--header', ASKS, '--request-target', url, url)
  await curl(
    '--header',
    `Locum-Authorization: Bearer ${site.keys.ada}`,
    '--header',
    ASKS,
    'http://localhost/c/echo/',
  )
  const client = await dialPath(t, path)
  client.send(`CONNECT ${goal.authority} HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}\r\n\r\n`)
  t.equal((await client.response(true)).status, 200)
  const inner = await secure(t, client, site.ca, 'localhost')
  inner.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n\r\n`)
  t.equal((await inner.response()).status, 200)
  t.strictSame(
    upstream.requests.map(({ headers }) => headers.authorization),
    [REAL, REAL, REAL],
  )
  inner.socket.destroy()
  await site.close()
  t.notOk(existsSync(path))
})

t.test('a Unix socket in a folder that passes its group on is for that group', async (t) => {
  const folder = makeFolder(t)
  chmodSync(folder, 0o2770)
  await openSite(t, { proxy: `unix:${folder}/proxy.sock` })
  t.equal(statSync(`${folder}/proxy.sock`).mode & 0o777, 0o660)
})

t.test('a sidecar’s callers need no key on a Unix socket', async (t) => {
  const path = join(makeFolder(t), 'proxy.sock')
  const { goal } = await openSite(t, { proxy: `unix:${path}` }, { identity: { default: 'billing' } })
  const ask = async (lines: string) =>
    (await (await dialPath(t, path)).send(`${lines}\r\n\r\n`).response()).status
  t.equal(await ask(`GET http://${goal.authority}/ HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}`), 200)
  t.equal(await ask(`GET /c/echo/ HTTP/1.1\r\nHost: localhost\r\n${ASKS}`), 200)
  t.equal(await ask(`GET /c/echo/ HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n${ASKS}`), 403)
})

t.test('a socket that a dead process left is replaced, one in use and any other file are not', async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'proxy.sock')
  const leave = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  t.throws(() => execFileSync(process.execPath, ['-e', leave]))
  t.ok(statSync(path).isSocket(), 'it was left')
  const { site } = await openSite(t, { proxy: `unix:${path}` })
  await t.rejects(openSite(t, { proxy: `unix:${path}` }), {
    code: 'bad_request',
    detail: /in use by another/,
  })
  const client = await dialPath(t, path)
  client.send('GET /c/nothing/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.equal((await client.response()).status, 401, 'the first one serves on')
  await site.close()
  writeFileSync(join(folder, 'file'), 'precious')
  symlinkSync(join(folder, 'file'), join(folder, 'link'))
  for (const name of ['file', 'link'])
    await t.rejects(openSite(t, { proxy: `unix:${folder}/${name}` }), /that is no socket/)
  t.equal(readFileSync(join(folder, 'file'), 'utf8'), 'precious')
  await t.rejects(openSite(t, { proxy: `unix:${folder}/none/x.sock` }), /a folder that is not there/)
})

t.test('the console answers on a Unix socket', async (t) => {
  const path = join(makeFolder(t), 'console.sock')
  const { site } = await openSite(t, { console: `unix:${path}` })
  t.equal(site.consoleUrl, `unix:${path}`)
  const { out } = await runCurl(['--unix-socket', path, 'http://localhost/readyz'])
  t.match(JSON.parse(out), { status: 'ready' })
})

t.test('a listener with TLS has all three entrances for a real client', async (t) => {
  const files = await listenerFiles(t)
  const { site, upstream, goal } = await openSite(t, { proxy: files.listener })
  t.match(site.proxyUrl, /^https:\/\/127\.0\.0\.1:\d+$/)
  const proxy = [
    '--proxy',
    site.proxyUrl,
    '--proxy-cacert',
    files.caFile,
    '--proxy-user',
    `ada:${site.keys.ada}`,
  ]
  for (const args of [
    [...proxy, `http://${goal.authority}/`],
    [...proxy, '--cacert', site.caFile, `https://${goal.authority}/`],
    [
      '--cacert',
      files.caFile,
      '--header',
      `Locum-Authorization: Bearer ${site.keys.ada}`,
      `${site.proxyUrl}/c/echo/`,
    ],
  ]) {
    const { code, errors } = await runCurl(['--fail', '--header', ASKS, ...args])
    t.equal(code, 0, errors)
    t.equal(upstream.requests.at(-1)?.headers.authorization, REAL)
  }
  t.equal(upstream.requests.length, 3)
  const { code, errors } = await runCurl(['--proxy', site.proxyUrl, `http://${goal.authority}/`])
  t.not(code, 0, 'who does not trust the certificate sends nothing')
  t.match(errors, /certificate/)
})

t.test(
  'TLS under 1.2, HTTP/2 alone, clear text and broken handshakes end, and nothing else does',
  async (t) => {
    const files = await listenerFiles(t)
    const { site } = await openSite(t, {
      proxy: files.listener,
      console: files.listener,
      gateway: files.listener,
    })
    const ports = [site.proxyUrl, site.consoleUrl, site.running.gatewayUrl as string].map((url) =>
      Number(new URL(url).port),
    )
    for (const port of ports) {
      const ca = files.ca.cert
      await t.rejects(
        dialTls(t, port, { ca, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
      )
      await t.rejects(dialTls(t, port, { ca, ALPNProtocols: ['h2'] }))
      for (const text of [
        statusOf('/', port),
        '\x16\x03\x01\x00',
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03nonsense',
      ]) {
        const client = await dial(t, port)
        client.send(text)
        resetSocket(client.socket)
        const patient = await dial(t, port)
        if (!text.startsWith('\x16')) await patient.send(text).whole()
      }
      const over = await dialTls(t, port, { ca, ALPNProtocols: ['h2', 'http/1.1'] })
      t.ok(over.socket instanceof TLSSocket && over.socket.alpnProtocol === 'http/1.1')
      over.send(statusOf('/c/nothing', port))
      t.match(await over.whole(), /^HTTP\/1\.1 40[14] /)
    }
  },
)

t.test('a handshake that does not come keeps no stop waiting', async (t) => {
  const files = await listenerFiles(t)
  const { site } = await openSite(t, { proxy: files.listener, console: files.listener })
  const waiting = []
  for (const url of [site.proxyUrl, site.consoleUrl]) {
    const client = await dial(t, Number(new URL(url).port))
    waiting.push(client.send('\x16\x03\x01').gone())
  }
  const probe = await dialTls(t, site.port, { ca: files.ca.cert })
  probe.socket.destroy()
  await site.close()
  await Promise.all(waiting)
})

t.test('a thousand slow handshakes keep no client out', async (t) => {
  const files = await listenerFiles(t)
  const { site } = await openSite(t, { proxy: files.listener })
  const slow: Socket[] = []
  // A hundred at a time: more of them than wait to be accepted would take seconds to be heard.
  for (let i = 0; i < 11; i++) {
    const some = Array.from({ length: 100 }, () => connect({ port: site.port, host: '127.0.0.1' }))
    for (const socket of some) {
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
    }
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    slow.push(...some)
  }
  await eventually(() => slow.filter(({ closed }) => closed).length >= 76, 'the oldest make room')
  const client = await dialTls(t, site.port, { ca: files.ca.cert })
  client.send(statusOf('/c/nothing', site.port))
  t.match(await client.whole(), /^HTTP\/1\.1 401 /)
})

t.test('a renewed certificate is shown without a restart, and one of no use is not', async (t) => {
  const { ca, listener, write } = await listenerFiles(t)
  const faults: unknown[] = []
  const x = {
    clients: 'named',
    clock: systemClock,
    reload: 5,
    onfault: (e: unknown) => faults.push(e),
  } as const
  const opened = await openTls(listener.tls, x)
  const server = createTlsServer(opened.options, (socket) => socket.destroy())
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.attend(server)
  const { port } = server.address() as { port: number }
  const shown = async () => {
    const { socket } = await dialTls(t, port, { ca: ca.cert })
    return (socket as TLSSocket).getPeerX509Certificate()?.serialNumber
  }
  const first = await shown()
  const other = await issue(ca, ['localhost'])
  write('listener.key', other.key)
  await eventually(() => faults.length > 0, 'half a renewal is told')
  t.match(String(faults[0]), /is not the key of the first certificate/)
  t.equal(await shown(), first, 'and not used')
  write('listener.pem', other.cert)
  let now = first
  for (const until = performance.now() + 5000; now === first && performance.now() < until; )
    now = await shown()
  t.not(now, first)
  t.equal(faults.length, 1, 'a fault is told once')
})

t.test('an address for the gateway alone has no other entrance, and takes none from the proxy', async (t) => {
  const { site, goal, key } = await openSite(t, { gateway: '127.0.0.1:0' })
  const port = Number(new URL(site.running.gatewayUrl as string).port)
  const ask = async (port: number, lines: string) =>
    (await dial(t, port)).send(`${lines}\r\nConnection: close\r\n\r\n`).response()
  const at = `Host: ${goal.authority}\r\n${key}\r\n${ASKS}`
  const forward = await ask(port, `GET http://${goal.authority}/ HTTP/1.1\r\n${at}`)
  t.match(forward, { status: 403, body: /for the gateway alone/ })
  t.match(await ask(port, `CONNECT ${goal.authority} HTTP/1.1\r\n${at}`), {
    status: 403,
    reason: /not_allowed/,
  })
  const gateway = `GET /c/echo/ HTTP/1.1\r\nHost: localhost\r\nLocum-Authorization: Bearer ${site.keys.ada}\r\n${ASKS}`
  t.equal((await ask(port, gateway)).status, 200)
  t.equal((await ask(site.port, gateway)).status, 200)
  t.equal((await ask(site.port, `GET http://${goal.authority}/ HTTP/1.1\r\n${at}`)).status, 200)
})

t.test('an address for the public has none of the console’s own pages', async (t) => {
  const { site } = await openSite(t, { public: '127.0.0.1:0' })
  const port = Number(new URL(site.running.publicUrl as string).port)
  const ask = async (path: string) => (await dial(t, port)).send(statusOf(path, port)).whole()
  t.match(await ask('/healthz'), /^HTTP\/1\.1 200 /)
  for (const path of ['/', '/readyz', '/ca.pem', '/metrics', '/api/v1/principals', '/c/echo/'])
    t.match(await ask(path), /^HTTP\/1\.1 404 .*application\/problem\+json/s, path)
})

t.test('no upstream is a listener of Locum itself, whichever it is', async (t) => {
  const files = await listenerFiles(t)
  const { site, upstream } = await openSite(t, {
    proxy: files.listener,
    gateway: '127.0.0.1:0',
    public: '127.0.0.1:0',
  })
  const { running } = site
  const own = [running.proxyUrl, running.gatewayUrl, running.consoleUrl, running.publicUrl] as string[]
  await site.apply({
    principals: [{ id: 'ada' }],
    connections: own.map((destination, i) =>
      connectionTo(upstream, { name: `own-${i}`, destinations: [destination], allowPlaintext: true }),
    ),
    credentials: own.map((_, i) => ({ connection: `own-${i}`, for: 'shared', fields: { apiKey: SECRET } })),
  })
  await site.settle()
  for (const url of own) {
    const client = await dialTls(t, site.port, { ca: files.ca.cert })
    client.send(
      `GET ${url}/ HTTP/1.1\r\nHost: ${new URL(url).host}\r\nProxy-Authorization: Bearer ${site.keys.ada}\r\n\r\n`,
    )
    const response = await client.response()
    t.equal(JSON.parse(response.body).code, 'destination_forbidden', url)
  }
})

t.test('a start that fails at any listener leaves none open', async (t) => {
  const folder = makeFolder(t)
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const taken = `127.0.0.1:${(other.address() as { port: number }).port}`
  const listeners = ['console', 'public', 'proxy', 'gateway'] as const
  const at = (name: string) => join(folder, `${name}.sock`)
  const all = Object.fromEntries(listeners.map((name) => [name, `unix:${at(name)}`]))
  for (const failing of listeners) {
    await t.rejects(openSite(t, { ...all, [failing]: taken }), { code: 'EADDRINUSE' }, failing)
    for (const name of listeners) t.notOk(existsSync(at(name)), `${failing} fails: ${name} is closed`)
  }
  const { site } = await openSite(t, all)
  for (const name of listeners) t.ok(existsSync(at(name)))
  await site.close()
})
