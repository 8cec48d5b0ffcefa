import { once } from 'node:events'
import http from 'node:http'
import t from 'tap'
import WebSocket, { WebSocketServer } from 'ws'
import { limitsWith } from '../../proxy/wire/limits.ts'
import { ask, dial, eventually, listen, RawPeer, startOrigin, startRelay } from './kit.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** An origin that speaks in bytes: each connection is handed to the script. */
async function startRaw(test: Parameters<typeof listen>[0], script: (peer: RawPeer) => Promise<unknown>) {
  const peers: RawPeer[] = []
  const faults: unknown[] = []
  const port = await listen(test, (socket) => {
    const peer = new RawPeer(socket)
    peers.push(peer)
    script(peer).catch((fault) => faults.push(fault))
  })
  return { port, peers, faults }
}

t.test('passes a body of known length both ways', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces)
      response.setHeader('content-length', body.length)
      response.setHeader('x-length', request.headers['content-length'] ?? 'none')
      response.end(body)
    })
  })
  const relay = await startRelay(t, port)
  const body = 'x'.repeat(300_000)
  const answer = await ask(
    relay.port,
    { method: 'POST', headers: { 'content-length': body.length } },
    (request) => request.end(body),
  )
  t.equal(answer.headers['x-length'], '300000')
  t.equal(answer.headers['content-length'], '300000')
  t.equal(answer.text, body)
})

t.test('passes chunks and trailers both ways', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    response.setHeader('trailer', 'x-sum')
    response.setHeader('x-coding', request.headers['transfer-encoding'] ?? 'none')
    request.on('data', (piece) => response.write(piece))
    request.on('end', () => {
      response.addTrailers({ 'x-sum': `${request.trailers['x-mine']}`, 'set-cookie': 'no=1' })
      response.end()
    })
  })
  const relay = await startRelay(t, port)
  const answer = await ask(
    relay.port,
    { method: 'POST', headers: { trailer: 'x-mine', 'transfer-encoding': 'chunked' } },
    (request) => {
      request.write('one,')
      request.addTrailers({ 'x-mine': '7', authorization: 'no' })
      setImmediate(() => request.end('two'))
    },
  )
  t.equal(answer.text, 'one,two')
  t.equal(answer.headers['x-coding'], 'chunked')
  t.equal(answer.headers['transfer-encoding'], 'chunked')
  t.same(answer.trailers, { 'x-sum': '7' }, 'a trailer that routes or permits is dropped')
})

t.test('passes a body that the connection’s end delimits, as chunks', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\n\r\nuntil the ').socket.end('end')
  })
  const relay = await startRelay(t, origin.port)
  const client = await dial(t, relay.port)
  const got = await client.send(GET).until('0\r\n\r\n')
  t.match(got, /^HTTP\/1\.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n/)
  t.equal(got.replace(/^.*?\r\n\r\n/s, '').replace(/[0-9a-f]+\r\n|\r\n/g, ''), 'until the end')
  t.equal((await client.take(), client.ended), false, 'the client’s connection stays')
})

t.test('gives an HTTP/1.0 client a body by closing, and a reset where it is not whole', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    const head = await peer.until('\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    if (head.includes('/whole')) peer.send('0\r\n\r\n')
    else setImmediate(() => peer.socket.destroy())
  })
  const relay = await startRelay(t, origin.port)
  const whole = await dial(t, relay.port)
  t.equal(
    await whole.send('GET /whole HTTP/1.0\r\n\r\nHost: a').gone(),
    '',
    'a request after the answer’s end was never asked for',
  ).valueOf
  const second = await dial(t, relay.port)
  second.send('GET /whole HTTP/1.0\r\nHost: a\r\n\r\n')
  t.equal(await second.whole(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello')
  const broken = await dial(t, relay.port)
  const error = once(broken.socket, 'error')
  broken.send('GET /broken HTTP/1.0\r\nHost: a\r\n\r\n')
  const [fault] = (await error) as [NodeJS.ErrnoException]
  t.equal(fault.code, 'ECONNRESET')
})
