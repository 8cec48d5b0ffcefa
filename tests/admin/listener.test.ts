import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { type ConsoleOptions, serveConsole } from '../../admin/listener.ts'
import { systemClock } from '../../core/clock.ts'
import { LocumError } from '../../core/errors.ts'
import { parseListenAddress } from '../../core/listen.ts'

const CA = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

const at = (text: string): Pick<ConsoleOptions, 'at' | 'clock' | 'onfault'> => ({
  at: { address: parseListenAddress(text, 'listen.console') },
  clock: systemClock,
  onfault: (error) => t.error(error),
})

async function openConsole(t: Test, options: Partial<ConsoleOptions> = {}) {
  const listener = await serveConsole({ ...at('127.0.0.1:0'), checks: {}, caPem: CA, ...options })
  t.teardown(() => listener.close())
  const { port, host } = new URL(listener.url)
  /** Sends the bytes and gives all that comes back until the other side ends. */
  const raw = async (text: string): Promise<string> => {
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.write(text)
    await once(socket, 'close')
    return answer
  }
  const get = (path: string, ...fields: readonly string[]) =>
    raw([`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...fields, '', ''].join('\r\n'))
  return { ...listener, raw, get, host, port }
}

t.test('is alive, and hands out the CA, under strict headers', async (t) => {
  const { get } = await openConsole(t)
  t.match(await get('/healthz'), /^HTTP\/1.1 200 .*\r\n\r\nok\n$/s)
  const answer = await get('/ca.pem?x')
  t.ok(answer.endsWith(`\r\n\r\n${CA}`))
  for (const field of [
    'Content-Type: application/x-pem-file',
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy: no-referrer',
  ]) {
    t.match(answer, `\r\n${field}\r\n`)
  }
  t.match(await get('/'), /^HTTP\/1.1 404 .*application\/problem\+json.*"status":404/s)
})

t.test('says which check fails, by its code and no more', async (t) => {
  const checks = {
    store: () => Promise.reject(new LocumError('store_unavailable', 'secret detail')),
    keys: () => {},
    other: () => {
      throw new Error('secret cause')
    },
  }
  const { get } = await openConsole(t, { checks })
  const answer = await get('/readyz')
  t.match(answer, /^HTTP\/1.1 503 /)
  t.same(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), {
    status: 'not ready',
    checks: { store: 'store_unavailable', keys: 'ok', other: 'internal' },
  })
})

t.test('is ready where every check holds', async (t) => {
  const { get } = await openConsole(t, { checks: { store: async () => {} } })
  t.match(await get('/readyz'), /^HTTP\/1.1 200 .*\{"status":"ready","checks":\{"store":"ok"\}\}/s)
})

t.test('refuses what came through a proxy', async (t) => {
  const { get, raw, host } = await openConsole(t)
  for (const field of [
    'Via: 1.1 locum',
    'Proxy-Authorization: x',
    'proxy-connection: close',
    'Locum-For: user:ada',
  ]) {
    t.match(await get('/healthz', field), /^HTTP\/1.1 403 .*"code":"not_allowed"/s, field)
  }
  const end = `Host: ${host}\r\nConnection: close\r\n\r\n`
  t.match(await raw(`GET http://${host}/ca.pem HTTP/1.1\r\n${end}`), /^HTTP\/1.1 403 /)
  t.match(await raw(`OPTIONS * HTTP/1.1\r\n${end}`), /^HTTP\/1.1 403 /)
  t.match(await raw(`CONNECT ${host} HTTP/1.1\r\n${end}`), /^HTTP\/1.1 400 /)
  t.match(
    await raw(`GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: ${host}\r\n\r\n`),
    /^HTTP\/1.1 400 /,
  )
})

t.test('answers to its own names alone, but for health', async (t) => {
  const { raw, port } = await openConsole(t, { siteUrl: 'https://locum.example.com' })
  const ask = (path: string, host: string) =>
    raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  const own = [
    `127.0.0.1:${port}`,
    '127.0.0.1',
    'localhost',
    `LOCALHOST:${port}`,
    '[::1]',
    'locum.example.com',
    '127.9.9.9',
  ]
  for (const host of own) t.match(await ask('/ca.pem', host), /^HTTP\/1.1 200 /, host)
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    'x.locum.example.com',
    '127.0.0.1.evil.example',
    '192.0.2.1',
    '',
    '2130706433',
    '0x7f.1',
  ]) {
    t.match(await ask('/ca.pem', host), /^HTTP\/1.1 421 .*"code":"authority_mismatch"/s, host)
    t.match(await ask('/healthz', host), /^HTTP\/1.1 200 /, host)
    t.match(await ask('/readyz', host), /^HTTP\/1.1 200 /, host)
  }
  const twice = 'GET /ca.pem HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n'
  t.match(await raw(twice), /^HTTP\/1.1 400 /)
  t.match(await raw('GET /ca.pem HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 400 /)
})

t.test('only reads', async (t) => {
  const { raw, host } = await openConsole(t)
  const end = `Host: ${host}\r\nConnection: close\r\n\r\n`
  t.match(
    await raw(`POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n${end}`),
    /^HTTP\/1.1 405 .*\r\nAllow: GET, HEAD\r\n/s,
  )
  t.match(await raw(`HEAD /ca.pem HTTP/1.1\r\n${end}`), /^HTTP\/1.1 200 .*\r\n\r\n$/s)
})

t.test('what cannot be read, and a reset at any moment, leave it up', async (t) => {
  const { raw, get, port } = await openConsole(t)
  t.match(await raw('nonsense\r\n\r\n'), /^HTTP\/1.1 400 /)
  t.match(await raw(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 400 /)
  for (const text of [
    '',
    'GET /healthz HT',
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'nonsense\r\n\r\n',
  ]) {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    if (text !== '') await new Promise((resolve) => socket.write(text, resolve))
    socket.resetAndDestroy()
    await once(socket, 'close')
  }
  t.match(await get('/healthz'), /^HTTP\/1.1 200 /)
})

t.test('a taken address is the socket’s own error', async (t) => {
  const { host } = await openConsole(t)
  await t.rejects(serveConsole({ ...at(host), checks: {}, caPem: CA }), { code: 'EADDRINUSE' })
})

t.test('closing ends idle connections', async (t) => {
  const { close, port } = await openConsole(t)
  const idle = connect(Number(port), '127.0.0.1')
  idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(idle, 'data')
  await Promise.all([once(idle, 'close'), close()])
})

t.test('closing waits for the answer that is under way, and for nobody who asks by halves', async (t) => {
  const checking = Promise.withResolvers<void>()
  const ready = Promise.withResolvers<void>()
  const store = () => {
    checking.resolve()
    return ready.promise
  }
  const { get, close, port } = await openConsole(t, { checks: { store } })
  const half = connect(Number(port), '127.0.0.1')
  await new Promise((resolve) => half.write('GET /healthz HTTP/1.1\r\nHost: local', resolve))
  const gone = once(half, 'close')
  const answer = get('/readyz')
  await checking.promise
  const from = performance.now()
  const closed = close()
  ready.resolve()
  t.match(await answer, /^HTTP\/1.1 200 /)
  await Promise.all([gone, closed])
  t.ok(performance.now() - from < 5000)
})

t.test('IPv6 is written in brackets', async (t) => {
  const listener = await serveConsole({ ...at('[::1]:0'), checks: {}, caPem: CA })
  t.teardown(() => listener.close())
  t.match(listener.url, /^http:\/\/\[::1\]:\d+$/)
})
