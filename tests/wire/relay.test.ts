import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import WebSocket, { WebSocketServer } from 'ws'
import { limitsWith } from '../../proxy/wire/limits.ts'
import { ask, dial, eventually, type RawPeer, startOrigin, startRaw, startRelay } from './kit.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

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

t.test('passes chunks and trailers both ways, without trailers that route or permit', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    response.setHeader('trailer', 'x-sum')
    response.setHeader('x-coding', request.headers['transfer-encoding'] ?? 'none')
    request.on('data', (piece) => response.write(piece))
    request.on('end', () => {
      const { 'x-mine': mine, authorization } = request.trailers
      response.addTrailers({ 'x-sum': `${mine} ${authorization}`, 'set-cookie': 'no=1' })
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
  t.same(answer.trailers, { 'x-sum': '7 undefined' })
})

t.test('passes a body that the connection’s end delimits, as chunks', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\n\r\nuntil the ')
    setImmediate(() => peer.socket.end('end'))
  })
  const relay = await startRelay(t, origin)
  const client = await dial(t, relay.port)
  const got = await client.send(GET).until('\r\n0\r\n\r\n')
  t.match(got, /^HTTP\/1\.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n/)
  t.equal(
    got
      .replace(/^.*?\r\n\r\n/s, '')
      .replace(/\b[0-9a-f]+\r\n([^\r]*)\r\n/g, '$1')
      .trimEnd(),
    'until the end',
  )
  t.equal(client.ended, false, 'the client’s connection stays')
})

t.test('gives an HTTP/1.0 client such a body by closing', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n')
  })
  const relay = await startRelay(t, origin)
  const client = await dial(t, relay.port)
  client.send('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
  t.equal(await client.whole(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello')
})

t.test('resets an HTTP/1.0 client whose body is not whole', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    setImmediate(() => peer.socket.destroy())
  })
  const relay = await startRelay(t, origin)
  const client = await dial(t, relay.port)
  const error = once(client.socket, 'error')
  client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  t.match(await error, [{ code: 'ECONNRESET' }])
})

t.test('keeps an HTTP/1.0 client’s connection where it asked and the length is known', async (t) => {
  const { port } = await startOrigin(t, (_, response) => response.setHeader('content-length', 2).end('ok'))
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  const head = 'GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n'
  await client.send(head).until('ok')
  t.match(await client.send(head).until('ok', 2), /Connection: keep-alive/)
})

t.test('takes no body where there is none: HEAD, 204, 304', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    if (request.method === 'HEAD') response.setHeader('content-length', 1234)
    else response.statusCode = request.url === '/204' ? 204 : 304
    response.end()
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send(
    'HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n',
  )
  const got = await client.until('\r\n\r\n', 3)
  t.match(got, /^HTTP\/1\.1 200 OK\r\n.*Content-Length: 1234\r\n.*HTTP\/1\.1 204 .*HTTP\/1\.1 304 /s)
  t.equal(got.match(/Content-Length|Transfer-Encoding/g)?.length, 1)
  t.equal(relay.dialled, 1, 'one upstream connection served all three')
})

t.test('says a length of 0 for a POST without a body, and none for a GET', async (t) => {
  const { port } = await startOrigin(t, (request, response) =>
    response.end(JSON.stringify(request.rawHeaders)),
  )
  const relay = await startRelay(t, port)
  const post = await ask(relay.port, { method: 'POST', headers: { 'content-length': 0 } })
  t.match(post.text, /"Content-Length","0"/)
  t.notMatch((await ask(relay.port)).text, /Content-Length/)
  const client = await dial(t, relay.port)
  t.match(await client.send('POST / HTTP/1.1\r\nHost: a\r\n\r\n').until(']'), /"Content-Length","0"/)
})

t.test('frames a body whatever the method', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    request.pipe(response)
  })
  const relay = await startRelay(t, port)
  for (const method of ['GET', 'DELETE', 'OPTIONS']) {
    const client = await dial(t, relay.port)
    const head = `${method} / HTTP/1.1\r\nHost: a\r\n`
    client.send(`${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`)
    t.match(await client.until('0\r\n\r\n'), /\r\n3\r\nabc\r\n0\r\n\r\n$/)
    client.take()
    client.send(`${head}Content-Length: 3\r\n\r\nabc`)
    t.match(await client.until('0\r\n\r\n'), /\r\n3\r\nabc\r\n0\r\n\r\n$/)
  }
})

t.test('asks for a body that waits when the origin has asked for it', async (t) => {
  const { port, server } = await startOrigin(t, (_, response) => response.end())
  let asked = false
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    asked = true
    response.writeContinue()
    request.pipe(response)
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n')
  t.equal(await client.until('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n')
  t.ok(asked)
  client.take()
  t.match(await client.send('body').until('0\r\n\r\n'), /^HTTP\/1\.1 200 OK.*4\r\nbody\r\n/s)
})

t.test('never asks for a body that the origin refused, and closes', async (t) => {
  const { port, server } = await startOrigin(t, (_, response) => response.end())
  server.on('checkContinue', (_: http.IncomingMessage, response: http.ServerResponse) => {
    response.writeHead(417, { 'content-length': 2 }).end('no')
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
  const got = await client.whole()
  t.match(got, /^HTTP\/1\.1 417 .*Connection: close\r\n\r\nno$/s)
  t.notMatch(got, /100 Continue/)
})

t.test('asks for a body that waits when the origin says nothing for a while', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('body')
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const relay = await startRelay(t, origin, limitsWith({ continueMs: 20, tickMs: 5 }))
  const client = await dial(t, relay.port)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
  await client.until('100 Continue')
  t.match(await client.send('body').until('200 OK'), /200 OK/)
})

t.test('passes interim responses, and drops them for HTTP/1.0', async (t) => {
  const { port } = await startOrigin(t, (_, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end('done'))
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  const got = await client.send(GET).until('done')
  t.match(got, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  const old = await dial(t, relay.port)
  t.match(await old.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n').whole(), /^HTTP\/1\.1 200 OK\r\n/)
})

t.test('answers pipelined requests in their order, the next not before the last is whole', async (t) => {
  const seen: string[] = []
  const held: http.ServerResponse[] = []
  const { port } = await startOrigin(t, (request, response) => {
    seen.push(request.url as string)
    if (request.url === '/0') held.push(response)
    else response.end(`<${request.url}>`)
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  const count = 50
  for (let i = 0; i < count; i++) client.send(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await eventually(() => held.length === 1, 'the first request')
  t.same(seen, ['/0'])
  held[0]?.end('</0>')
  const got = await client.until(`</${count - 1}>`)
  t.same(
    [...got.matchAll(/<(\/\d+)>/g)].map((match) => match[1]),
    Array.from({ length: count }, (_, i) => `/${i}`),
  )
})

t.test('uses connections again on both sides', async (t) => {
  const sockets = new Set<unknown>()
  const { port } = await startOrigin(t, (request, response) => {
    sockets.add(request.socket)
    response.end('x')
  })
  const relay = await startRelay(t, port)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < 20; i++) t.equal((await ask(relay.port, { agent })).text, 'x')
  agent.destroy()
  t.equal(sockets.size, 1)
  t.equal(relay.dialled, 1)
})

t.test('closes where the client asks, and keeps the upstream’s connection', async (t) => {
  const { port } = await startOrigin(t, (_, response) => response.end('x'))
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(await client.whole(), /Connection: close\r\n\r\n/)
  t.equal(relay.idle.length, 1)
})

t.test('passes a WebSocket, with what was said before the other side was there', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.teardown(() => server.close())
  server.on('connection', (socket) => {
    socket.send('welcome')
    socket.on('message', (data) => socket.send(`echo ${data}`))
  })
  const relay = await startRelay(t, (server.address() as AddressInfo).port)
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/`, 'chat')
  const heard: string[] = []
  socket.on('message', (data) => {
    heard.push(`${data}`)
    if (heard.length === 1) socket.send('hello')
    else socket.close()
  })
  await once(socket, 'close')
  t.same(heard, ['welcome', 'echo hello'])
  t.equal(relay.upstreams.size, 0, 'the pool no longer has the connection')
})

t.test('answers a client that ended its side behind its request', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    request.resume().on('end', () => setImmediate(() => response.end('answer')))
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody').socket.end()
  t.match(await client.whole(), /answer/)
  const two = await dial(t, relay.port)
  two.send(GET + GET).socket.end()
  t.equal((await two.whole()).match(/answer/g)?.length, 2, 'pipelined ones too')
  await eventually(() => relay.handles.size === 0, 'both connections closed')
})

t.test('tells the upstream of a client that went away, at any moment', async (t) => {
  const lost: string[] = []
  const { port } = await startOrigin(t, (request, response) => {
    response.on('error', () => {})
    request.on('error', () => {})
    request.socket.once('close', () => lost.push(request.url as string))
    if (request.url === '/response') response.write('some')
    request.resume()
  })
  const relay = await startRelay(t, port)
  const requests = {
    head: GET.replace('/', '/head'),
    body: 'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf',
    response: GET.replace('/', '/response'),
  }
  for (const [moment, text] of Object.entries(requests)) {
    const client = await dial(t, relay.port)
    const before = relay.dialled
    client.send(text)
    await eventually(() => relay.upstreams.size === 1 && relay.dialled > before, 'the upstream was dialled')
    if (moment === 'response') await client.until('some')
    client.socket.resetAndDestroy()
    await eventually(() => lost.includes(`/${moment}`), `the origin lost /${moment}`)
    t.equal(relay.upstreams.size, 0, moment)
  }
})

t.test('passes no response as whole that is not', async (t) => {
  const cuts = {
    length: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    chunk: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf',
    last: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n',
    garbage: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n',
  }
  for (const [cut, text] of Object.entries(cuts)) {
    const origin = await startRaw(t, async (peer) => {
      await peer.until('\r\n\r\n')
      peer.send(text)
      if (cut !== 'garbage') setImmediate(() => peer.socket.end())
    })
    const relay = await startRelay(t, origin)
    await t.rejects(ask(relay.port), { code: 'ECONNRESET' }, cut)
  }
})

t.test('answers for an upstream that goes before its head is whole', async (t) => {
  for (const [text, fault] of [
    ['', 'closed'],
    ['HTTP/1.1 200 OK\r\nContent-', 'closed'],
    ['HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'malformed'],
    ['SSH-2.0-OpenSSH_9.2\r\n\r\n', 'malformed'],
    ['HTTP/2.0 200 OK\r\n\r\n', 'version'],
  ] as const) {
    const origin = await startRaw(t, async (peer) => {
      await peer.until('\r\n\r\n')
      peer.send(text).socket.end()
    })
    const relay = await startRelay(t, origin)
    t.match(await ask(relay.port), { text: fault }, fault)
    t.equal(relay.upstreams.size, 0)
  }
})

t.test('gives a response that came before the request was whole, and survives the rest', async (t) => {
  const { port } = await startOrigin(t, (_, response) => {
    response.writeHead(413, { connection: 'close' }).end('too large')
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n').send(Buffer.alloc(1000))
  await client.until('too large')
  client.send(Buffer.alloc(100_000))
  t.match(await client.whole(), /^HTTP\/1\.1 413 /)
})

t.test('keeps a client’s connection whose refused body was small', async (t) => {
  const { port } = await startOrigin(t, (request, response) => {
    if (request.url === '/no') response.writeHead(403, { 'content-length': 2 }).end('no')
    else response.end('yes')
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.send('POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n').send(Buffer.alloc(10))
  await client.until('no')
  client.send(Buffer.alloc(99_990)).send(GET)
  t.match(await client.until('yes'), /yes/)
})

t.test('holds a fast origin back for a client that does not read', async (t) => {
  let written = 0
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${1 << 30}\r\n\r\n`)
    const piece = Buffer.alloc(1 << 16)
    const more = (): void => {
      while (written < 1 << 30 && peer.socket.write(piece)) written += piece.length
    }
    peer.socket.on('drain', more)
    more()
  })
  const relay = await startRelay(t, origin)
  const client = await dial(t, relay.port)
  client.socket.pause()
  client.send(GET)
  let before = -1
  while (written !== before) {
    before = written
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(before < 40 << 20, `it stopped at ${before >> 20} MiB, which the kernel’s buffers hold`)
  t.ok(process.memoryUsage().arrayBuffers < 64 << 20)
})

t.test('holds a fast client back for an origin that does not read', async (t) => {
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    peer.socket.pause()
  })
  const relay = await startRelay(t, origin)
  const client = await dial(t, relay.port)
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${1 << 30}\r\n\r\n`)
  const piece = Buffer.alloc(1 << 16)
  let written = 0
  const more = (): void => {
    while (written < 1 << 30 && client.socket.write(piece)) written += piece.length
  }
  client.socket.on('drain', more)
  more()
  let before = -1
  while (written !== before) {
    before = written
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(before < 40 << 20, `it stopped at ${before >> 20} MiB, which the kernel’s buffers hold`)
})

t.test('does not answer more pipelined requests than the client reads answers', async (t) => {
  const body = 'x'.repeat(60_000)
  let served = 0
  const { port } = await startOrigin(t, (_, response) => {
    served++
    response.end(body)
  })
  const relay = await startRelay(t, port)
  const client = await dial(t, relay.port)
  client.socket.pause()
  client.send(GET.repeat(2000))
  let before = -1
  while (served !== before) {
    before = served
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(before < 600, `${before} answers`)
})

t.test('sends nothing upstream of a request that is refused', async (t) => {
  const got: RawPeer[] = []
  const origin = await startRaw(t, async (peer) => {
    got.push(peer)
  })
  const relay = await startRelay(t, origin)
  for (const text of [
    'GET / HTTP/1.1\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n',
  ]) {
    const client = await dial(t, relay.port)
    t.match(await client.send(text).whole(), /^HTTP\/1\.1 400 /)
  }
  t.same(
    got.map((peer) => peer.received),
    got.map(() => ''),
  )
})
