import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import t from 'tap'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { serveH1 } from '../../proxy/wire/h1/server.ts'
import type { ClientConnection, ServerExchange, WireError } from '../../proxy/wire/message.ts'
import { issue, makeCa } from '../kit/certificates.ts'
import { answer, eventually, listen, RawPeer } from './kit.ts'

const ca = await makeCa()
const leaf = await issue(ca, ['localhost'])

/** A proxy that opens the TLS of a CONNECT tunnel itself and speaks TLS to the origin. */
async function startInterceptor(t: Parameters<typeof listen>[0], origin: number) {
  const upstreams = new Set<ClientConnection>()
  const malformed = (fault: WireError) => ({ head: answer(400), body: fault.detail })
  const inner = (exchange: ServerExchange<null>): void => {
    const socket = tls.connect({ port: origin, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
    socket.on('secureConnect', () => {
      const connection = connectH1(socket)
      upstreams.add(connection)
      connection.onclose = () => upstreams.delete(connection)
      exchange.onabort = () => connection.destroy()
      connection.send(exchange.head, exchange.body, {
        informational: (head) => exchange.sendInformational(head),
        response: (head, body) => body.start(exchange.sendHead(head)),
        upgraded: () => exchange.breakOff(),
        failed: (fault) => exchange.sendWhole(answer(502), fault.fault),
      })
    })
    socket.on('error', () => exchange.sendWhole(answer(502), 'tls'))
  }
  const outer = (exchange: ServerExchange<null>): void => {
    const { socket, rest } = exchange.takeOver(answer(200))
    if (rest.length > 0) socket.unshift(rest)
    const opened = new tls.TLSSocket(socket, { isServer: true, cert: leaf.cert, key: leaf.key })
    opened.on('error', () => {})
    serveH1(opened, null, { request: inner, malformed })
  }
  const port = await listen(t, (socket) => serveH1(socket, null, { request: outer, malformed }))
  t.teardown(() => {
    for (const connection of upstreams) connection.destroy()
  })
  return { port, upstreams }
}

async function startOrigin(t: Parameters<typeof listen>[0], cut = false): Promise<number> {
  const server = https.createServer({ cert: leaf.cert, key: leaf.key }, (request, response) => {
    if (cut) response.write('part', () => setImmediate(() => request.socket.destroy()))
    else request.pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

/** Sends the CONNECT in one piece with the first bytes of what goes through the tunnel. */
function hurry(socket: net.Socket, head: string): Duplex {
  let sent = false
  let answered = ''
  const shim = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      socket.write(sent ? chunk : Buffer.concat([Buffer.from(head), chunk]), done)
      sent = true
    },
  })
  socket.on('data', (bytes) => {
    if (answered.includes('\r\n\r\n')) {
      shim.push(bytes)
      return
    }
    answered += bytes.toString('latin1')
    const end = answered.indexOf('\r\n\r\n')
    if (end >= 0 && answered.length > end + 4) shim.push(Buffer.from(answered.slice(end + 4), 'latin1'))
  })
  socket.on('close', () => shim.push(null))
  return shim
}

async function enter(t: Parameters<typeof listen>[0], port: number, early: boolean): Promise<RawPeer> {
  const socket = net.connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  const head = 'CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n'
  if (!early) {
    socket.write(head)
    await once(socket, 'data')
  }
  const inside = early ? hurry(socket, head) : socket
  const opened = tls.connect({ socket: inside, ca: ca.cert, servername: 'localhost' })
  const peer = new RawPeer(opened as unknown as net.Socket)
  await once(opened, 'secureConnect')
  return peer
}

const POST = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello'

for (const early of [false, true])
  t.test(`serves inside TLS in a tunnel${early ? ', begun with the CONNECT itself' : ''}`, async (t) => {
    const { port, upstreams } = await startInterceptor(t, await startOrigin(t))
    const client = await enter(t, port, early)
    const got = await client.send(POST + POST).until('0\r\n\r\n', 2)
    t.equal(got.match(/\r\n5\r\nhello\r\n0\r\n\r\n/g)?.length, 2)
    client.send(POST.replace('Host', 'Connection: close\r\nHost'))
    t.match(await client.whole(), /Connection: close/)
    await eventually(() => upstreams.size <= 3, 'the upstreams are known')
  })

t.test('passes no response as whole whose TLS connection broke', async (t) => {
  const { port, upstreams } = await startInterceptor(t, await startOrigin(t, true))
  const client = await enter(t, port, false)
  client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.notMatch(await client.whole(), /\r\n0\r\n\r\n$/)
  await eventually(() => upstreams.size === 0, 'the upstream is gone')
})

t.test('survives a reset inside TLS and below it', async (t) => {
  const { port } = await startInterceptor(t, await startOrigin(t))
  for (const text of ['', 'POST', POST.slice(0, -2)]) {
    const client = await enter(t, port, false)
    if (text !== '') client.send(text)
    await new Promise((resolve) => setImmediate(resolve))
    client.socket.destroy()
    await client.gone()
  }
  const client = await enter(t, port, false)
  t.match(await client.send(POST).until('0\r\n\r\n'), /200 OK/)
})
