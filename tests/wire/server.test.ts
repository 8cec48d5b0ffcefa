import type net from 'node:net'
import { duplexPair } from 'node:stream'
import t from 'tap'
import { type ServerConnectionHandle, serveH1 } from '../../proxy/wire/h1/server.ts'
import { limitsWith } from '../../proxy/wire/limits.ts'
import {
  type BodySink,
  Fields,
  type ServerExchange,
  type Tunnel,
  type WireError,
} from '../../proxy/wire/message.ts'
import { answer, dial, eventually, faultOf, listen, type RawPeer } from './kit.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n'

interface Server {
  handles: ServerConnectionHandle<string>[]
  exchanges: ServerExchange<string>[]
  faults: WireError[]
  closed: number
  client(): Promise<RawPeer>
}

/** Serves with the handler; what the wire refuses is answered with the name of the fault. */
async function serve(
  t: Parameters<typeof listen>[0],
  request: (exchange: ServerExchange<string>) => void,
  changes: Parameters<typeof limitsWith>[0] = {},
  rest?: Buffer,
): Promise<Server> {
  const limits = limitsWith({ tickMs: 5, ...changes })
  const server: Server = { handles: [], exchanges: [], faults: [], closed: 0, client: () => dial(t, port) }
  const handler = {
    request(exchange: ServerExchange<string>) {
      server.exchanges.push(exchange)
      request(exchange)
    },
    malformed(fault: WireError) {
      server.faults.push(fault)
      return { head: answer(400), body: fault.fault }
    },
  }
  const port = await listen(t, (socket) => {
    const handle = serveH1(socket, 'session', handler, { limits, rest })
    handle.onclose = () => server.closed++
    server.handles.push(handle)
  })
  return server
}

class Sink implements BodySink {
  ondrain: (() => void) | undefined
  text = ''
  ended = false
  fault: WireError | undefined
  readonly #done: (() => void) | undefined
  constructor(done?: () => void) {
    this.#done = done
  }
  write(chunk: Buffer): boolean {
    this.text += chunk
    return true
  }
  end(): void {
    this.ended = true
    this.#done?.()
  }
  abort(fault: WireError): void {
    this.fault = fault
    this.#done?.()
  }
}

const ok = (exchange: ServerExchange<string>) => exchange.sendWhole(answer(200), 'ok')

t.test('answers in one piece, at once and later', async (t) => {
  const server = await serve(t, (exchange) => {
    t.equal(exchange.session, 'session')
    t.ok(exchange.body.empty)
    if (exchange.head.target === '/') ok(exchange)
    else setImmediate(() => exchange.sendWhole(answer(200), 'später'))
  })
  const client = await server.client()
  await client.send(GET + GET.replace('/', '/later')).until('ter')
  t.equal(
    client.take(),
    'HTTP/1.1 200 Because\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Because\r\nContent-Length: 7\r\n\r\nsp\xc3\xa4ter',
  )
  client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.equal(await client.until('\r\n\r\n'), 'HTTP/1.1 200 Because\r\nContent-Length: 2\r\n\r\n')
})

t.test('takes the bytes that were read before it', async (t) => {
  const server = await serve(t, ok, {}, Buffer.from(GET.slice(0, 20)))
  const client = await server.client()
  t.match(await client.send(GET.slice(20)).until('ok'), /200/)
})

t.test('reads a head however it is cut, and survives one empty line before it', async (t) => {
  const server = await serve(t, ok)
  const client = await server.client()
  for (const byte of `\r\n${GET}`) {
    client.send(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await client.until('ok')
  client.take()
  client.send('\r\n')
  await new Promise((resolve) => setImmediate(resolve))
  t.match(await client.send(GET).until('ok'), /200/)
  client.take()
  t.match(await client.send(`\r\n${GET}`).until('ok'), /200/)
  client.take()
  t.same(
    server.exchanges.map(({ head }) => head.method),
    ['GET', 'GET', 'GET'],
    'and takes nothing of the head with it',
  )
  t.match(await client.send(`\r\n\r\n${GET}`).whole(), /400/)
})

t.test('refuses, says why, and closes without a reset', async (t) => {
  const server = await serve(t, ok, { headBytes: 1024, targetBytes: 100 })
  for (const [text, fault] of [
    ['nonsense\r\n\r\n', 'malformed'],
    [`X\n${GET}`, 'malformed'],
    [`\r${GET}`, 'malformed'],
    [`\n${GET}`, 'malformed'],
    ['GET / HTTP/1.1\nHost: a\n\n', 'malformed'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'version'],
    [`GET /${'x'.repeat(2000)}`, 'target_too_long'],
    [`GET / HTTP/1.1\r\nX: ${'x'.repeat(2000)}`, 'head_too_large'],
    [`GET / HTTP/1.1\r\nX: ${'x'.repeat(2000)}\r\n\r\n`, 'head_too_large'],
  ] as const) {
    const client = await server.client()
    let failed = false
    client.socket.on('error', () => {
      failed = true
    })
    client.send(text)
    t.match(
      await client.whole(),
      new RegExp(`^HTTP/1.1 400 Because\r\nContent-Length: \\d+\r\nConnection: close\r\n\r\n${fault}$`),
    )
    client.send('more, which is read away').socket.end()
    await client.gone()
    t.equal(failed, false)
  }
  await eventually(() => server.closed === 9, 'all closed')
  t.equal(server.exchanges.length, 0)
})

t.test('says so where a client ends in the middle of a head, and nothing between two requests', async (t) => {
  const server = await serve(t, ok)
  const client = await server.client()
  client.send('GET / HTTP').socket.end()
  t.match(await client.whole(), /closed$/)
  const idle = await server.client()
  idle.socket.end()
  t.equal(await idle.gone(), '')
})

t.test('gives a slow head its time and no more', async (t) => {
  const server = await serve(t, ok, { headMs: 60 })
  const client = await server.client()
  const timer = setInterval(() => client.send('x'), 10)
  t.teardown(() => clearInterval(timer))
  client.send('GET /')
  t.match(await client.whole(), /timeout$/)
  t.match(server.faults, [{ fault: 'timeout', phase: 'head' }])
})

t.test('ends an idle connection without a word', async (t) => {
  const server = await serve(t, ok, { idleMs: 300, lingerMs: 20 })
  const client = await server.client()
  await client.send(GET).until('ok')
  client.take()
  t.equal(await client.whole(), '')
  await eventually(() => server.closed === 1, 'closed though the client does not')
})

t.test('tells whoever reads a body that it does not come', async (t) => {
  const sink = new Sink()
  const server = await serve(
    t,
    (exchange) => {
      exchange.body.start(sink)
    },
    { bodyIdleMs: 30 },
  )
  const client = await server.client()
  client.send(`${POST}ab`)
  await eventually(() => sink.fault !== undefined, 'aborted')
  t.match(sink.fault, { fault: 'timeout', phase: 'body' })
  server.exchanges[0]?.sendWhole(answer(408), 'slow')
  t.match(await client.whole(), /408 .*Connection: close/s)
})

t.test('does not hurry a client whose body nobody waits for', async (t) => {
  const server = await serve(t, () => {}, { bodyIdleMs: 400, idleMs: 1200, headMs: 1200 })
  const client = await server.client()
  client.send(POST)
  await eventually(() => server.exchanges.length === 1, 'a request')
  const other = await server.client()
  t.equal(await other.whole(), '', 'while an idle one’s time runs out')
  const sink = new Sink()
  server.exchanges[0]?.body.start(sink)
  client.send('body')
  await eventually(() => sink.ended, 'the body')
  t.equal(sink.text, 'body')
})

t.test('breaks off with a client that does not read', async (t) => {
  const aborts: WireError[] = []
  const server = await serve(
    t,
    (exchange) => {
      exchange.onabort = (fault) => aborts.push(fault)
      const sink = exchange.sendHead(answer(200))
      const more = (): void => {
        while (sink.write(Buffer.alloc(1 << 16)));
        sink.ondrain = more
      }
      more()
    },
    { writeStallMs: 50 },
  )
  const client = await server.client()
  client.socket.pause()
  client.send(GET)
  await eventually(() => aborts.length === 1, 'aborted')
  t.match(aborts, [{ fault: 'timeout', phase: 'write' }])
  t.equal(server.closed, 1)
})

t.test('passes a body cut off by its client as not whole', async (t) => {
  for (const end of ['end', 'resetAndDestroy'] as const) {
    const sink = new Sink()
    const aborts: WireError[] = []
    const server = await serve(t, (exchange) => {
      exchange.onabort = (fault) => aborts.push(fault)
      exchange.body.start(sink)
    })
    const client = await server.client()
    client.send(`${POST}ab`)
    await eventually(() => sink.text === 'ab', 'half')
    client.socket[end]()
    await eventually(() => sink.fault !== undefined, 'aborted')
    t.equal(sink.ended, false)
    t.equal(sink.fault?.fault, end === 'end' ? 'closed' : 'reset')
    t.equal(aborts.length, end === 'end' ? 0 : 1, 'a half-closed client still reads an answer')
  }
})

t.test('keeps the connection where a small unwanted body is behind the answer', async (t) => {
  const server = await serve(t, ok)
  const client = await server.client()
  client.send(`${POST}body${GET}`)
  t.notMatch(await client.until('ok', 2), /close/)
})

t.test('closes where a large unwanted body would be, so that the answer arrives', async (t) => {
  const server = await serve(t, ok, { lingerMs: 100 })
  const client = await server.client()
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n').send(Buffer.alloc(200_000))
  t.match(await client.whole(), /Connection: close\r\n\r\nok$/)
})

t.test('lets go of a client whose unwanted body goes on and on behind its answer', async (t) => {
  const server = await serve(t, ok, { drainBytes: 1000, drainMs: 60_000, lingerMs: 20 })
  const client = await server.client()
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n')
  await client.until('ok')
  client.send(Buffer.alloc(5000))
  t.match(await client.whole(), /ok$/)
  await eventually(() => server.closed === 1, 'closed')
})

t.test('does not wait for an unwanted body that does not come', async (t) => {
  const server = await serve(t, ok, { drainMs: 30, lingerMs: 20 })
  const client = await server.client()
  client.send(POST)
  await client.until('ok')
  t.match(await client.whole(), /ok$/)
  await eventually(() => server.closed === 1, 'closed')
})

t.test('asks for a body that waits only when it is wanted, and not where it is there', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.head.target === '/no') ok(exchange)
    else exchange.body.start(new Sink(() => ok(exchange)))
  })
  const head = POST.replace('Content', 'Expect: 100-continue\r\nContent')
  const client = await server.client()
  await client.send(head).until('100 Continue\r\n\r\n')
  t.match(await client.send('body').until('ok'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
  client.take()
  t.match(await client.send(`${head}body`).until('ok'), /^HTTP\/1\.1 200 /)
  client.take()
  t.match(await client.send(head.replace('/', '/no')).whole(), /^HTTP\/1\.1 200 .*Connection: close/s)
})

t.test('answers the request under way, then ends: a graceful stop', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.head.target === '/') ok(exchange)
  })
  const [busy, idle, between] = [await server.client(), await server.client(), await server.client()]
  busy.send(GET.replace('/', '/slow') + GET)
  await between.send(GET).until('ok')
  await eventually(() => server.exchanges.length === 2, 'both requests')
  for (const handle of server.handles) handle.closeWhenIdle()
  t.equal(await idle.whole(), '')
  t.match(await between.whole(), /ok$/)
  server.exchanges.find((exchange) => exchange.head.target === '/slow')?.sendWhole(answer(200), 'slow')
  t.match(await busy.whole(), /Connection: close\r\n\r\nslow$/)
  t.equal(server.exchanges.length, 2, 'nothing more is begun')
  for (const client of [busy, idle, between]) client.socket.end()
  await eventually(() => server.closed === 3, 'all closed')
})

t.test('ends behind an answer that was begun before the stop, or before its client ended', async (t) => {
  const sinks: BodySink[] = []
  const server = await serve(t, (exchange) => {
    sinks.push(exchange.sendHead({ ...answer(200), contentLength: 2 }))
    sinks.at(-1)?.write(Buffer.from('o'))
  })
  const [stopped, ended] = [await server.client(), await server.client()]
  await stopped.send(GET).until('\r\n\r\no')
  await ended.send(GET).until('\r\n\r\no')
  server.handles[0]?.closeWhenIdle()
  ended.socket.end()
  for (const sink of sinks) {
    sink.write(Buffer.from('k'))
    sink.end()
  }
  for (const client of [stopped, ended]) t.match(await client.whole(), /^HTTP\/1\.1 200 .*\r\n\r\nok$/s)
  stopped.socket.end()
  await eventually(() => server.closed === 2, 'both closed')
})

t.test('asks for no body behind an answer that was begun', async (t) => {
  const server = await serve(t, (exchange) => {
    const sink = exchange.sendHead({ ...answer(200), contentLength: 2 })
    sink.write(Buffer.from('ok'))
    exchange.body.start(new Sink(() => sink.end()))
  })
  const client = await server.client()
  await client.send(POST.replace('Content', 'Expect: 100-continue\r\nContent')).until('ok')
  client.send('body')
  t.notMatch(client.received, '100 Continue')
  t.match(client.received, /^HTTP\/1\.1 200 .*\r\n\r\nok$/s)
})

t.test('what was read in pieces of one memory, with others between, is joined as it came', async (t) => {
  const memory = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab--cdef')
  const head = memory.length - 8
  const [near] = duplexPair()
  const got: string[] = []
  const begin: (() => void)[] = []
  const sink = new Sink(() => got.push(sink.text))
  serveH1(near, 'session', {
    request: (exchange) => begin.push(() => exchange.body.start(sink)),
    malformed: () => ({ head: answer(400), body: '' }),
  })
  near.emit('data', memory.subarray(0, head + 2))
  near.emit('data', memory.subarray(head + 4, head + 6))
  near.emit('data', memory.subarray(head + 6))
  begin[0]?.()
  await eventually(() => sink.ended, 'the body')
  t.same(got, ['abcdef'])
  near.destroy()
})

t.test('ends now, whatever is under way', async (t) => {
  const aborts: WireError[] = []
  const server = await serve(t, (exchange) => {
    exchange.onabort = (fault) => aborts.push(fault)
  })
  const client = await server.client()
  client.send(GET)
  await eventually(() => server.exchanges.length === 1, 'a request')
  server.handles[0]?.destroy()
  server.handles[0]?.destroy()
  await client.gone()
  t.match(aborts, [{ fault: 'cancelled' }])
  t.equal(server.closed, 1)
})

t.test('hands the connection over, with the bytes behind the head', async (t) => {
  let tunnel: Tunnel | undefined
  const server = await serve(t, (exchange) => {
    tunnel = exchange.takeOver(answer(200))
  })
  const client = await server.client()
  client.send('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nearly')
  t.equal(await client.until('\r\n\r\n'), 'HTTP/1.1 200 Because\r\n\r\n')
  const { socket, rest } = tunnel as Tunnel
  t.equal(`${rest}`, 'early')
  t.equal(server.closed, 1, 'the listener no longer has it')
  const heard: Buffer[] = []
  client.send('later')
  await new Promise((resolve) => setImmediate(resolve))
  socket.on('data', (bytes) => heard.push(bytes))
  socket.resume()
  await eventually(() => Buffer.concat(heard).toString() === 'later', 'what came while nobody listened')
  client.socket.resetAndDestroy()
  await eventually(() => socket.destroyed, 'a reset is survived')
})

t.test('answers once, and says so where it is tried again', async (t) => {
  const server = await serve(t, () => {})
  const client = await server.client()
  client.send(GET)
  await eventually(() => server.exchanges.length === 1, 'a request')
  const [exchange] = server.exchanges as [ServerExchange<string>]
  t.ok(faultOf(() => exchange.sendWhole({ ...answer(200), fields: Fields.from([['X', 'a\r\nb']]) }, '')))
  t.ok(faultOf(() => exchange.sendHead({ ...answer(200), reason: 'a\nb' })))
  exchange.sendInformational(answer(103))
  const sink = exchange.sendHead(answer(200))
  t.ok(faultOf(() => exchange.sendHead(answer(200))))
  t.ok(faultOf(() => exchange.takeOver(answer(101))))
  sink.end()
  exchange.sendWhole(answer(500), 'never')
  exchange.sendHead(answer(500)).write(Buffer.from('never'))
  exchange.breakOff()
  exchange.sendInformational(answer(103))
  t.equal(
    await client.until('0\r\n\r\n'),
    'HTTP/1.1 103 Because\r\n\r\nHTTP/1.1 200 Because\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  )
  t.match(await client.send(GET).until('0\r\n\r\n'), /200/, 'the connection serves on')
  t.ok(faultOf(() => exchange.takeOver(answer(101))))
})

t.test('sends no answer that the client would take for something else', async (t) => {
  const server = await serve(t, () => {})
  const [plain, tunnel] = [await server.client(), await server.client()]
  plain.send(GET)
  tunnel.send('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n')
  await eventually(() => server.exchanges.length === 2, 'both requests')
  for (const exchange of server.exchanges) {
    const connect = exchange.head.method === 'CONNECT'
    t.equal(
      faultOf(() => exchange.sendWhole(answer(connect ? 200 : 101), 'x')),
      'cancelled',
    )
    t.equal(
      faultOf(() => exchange.sendHead(answer(connect ? 204 : 100))),
      'cancelled',
    )
    t.equal(
      faultOf(() => exchange.takeOver(answer(connect ? 403 : 200))),
      'cancelled',
    )
    t.equal(
      faultOf(() => exchange.sendInformational(answer(connect ? 101 : 200))),
      'cancelled',
    )
    exchange.sendWhole(answer(403), 'no')
  }
  for (const client of [plain, tunnel]) t.match(await client.until('no'), /^HTTP\/1\.1 403 /)
})

t.test('breaks a body off that is not what its head said', async (t) => {
  const server = await serve(t, (exchange) => {
    const sink = exchange.sendHead(answer(200, 5))
    sink.write(Buffer.from('abc'))
    if (exchange.head.target === '/more') sink.write(Buffer.from('defg'))
    else sink.end()
  })
  for (const target of ['/more', '/less']) {
    const client = await server.client()
    client.send(GET.replace('/', target) + GET)
    t.match(await client.gone(), /Content-Length: 5\r\n\r\nabc$/)
  }
  t.equal(server.exchanges.length, 2)
})

t.test('survives a reset at any moment', async (t) => {
  const exchanges: ServerExchange<string>[] = []
  const server = await serve(t, (exchange) => exchanges.push(exchange))
  for (const text of ['', 'GET', GET, `${POST}a`, 'bad\r\n\r\n', GET + GET]) {
    const client = await server.client()
    const before = server.handles.length
    if (text !== '') client.send(text)
    await new Promise((resolve) => setImmediate(resolve))
    client.socket.resetAndDestroy()
    await eventually(() => server.closed === before, `closed behind ${JSON.stringify(text)}`)
  }
  for (const exchange of exchanges) {
    exchange.sendInformational(answer(103))
    const sink = exchange.sendHead(answer(200))
    t.equal(sink.write(Buffer.from('late')), true)
    sink.end()
    exchange.body.discard()
  }
})

t.test('leaves no timer that would keep the process', async (t) => {
  const sockets: net.Socket[] = []
  const port = await listen(t, (socket) => {
    sockets.push(socket)
    serveH1(socket, null, { request() {}, malformed: () => ({ head: answer(400), body: '' }) })
  })
  await dial(t, port)
  await eventually(() => sockets.length === 1, 'a connection')
  t.equal(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length, 0)
})
