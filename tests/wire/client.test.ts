import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { limitsWith } from '../../proxy/wire/limits.ts'
import {
  type BodySink,
  type BodySource,
  type ClientConnection,
  type Fields,
  type RequestHead,
  type ResponseHandler,
  type ResponseHead,
  type Tunnel,
  WireError,
} from '../../proxy/wire/message.ts'
import { eventually, faultOf, plainHead, type RawPeer, startRaw } from './kit.ts'

const HEAD = plainHead()
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** What one request was told. */
class Told implements ResponseHandler, BodySink {
  ondrain: (() => void) | undefined
  heads: ResponseHead[] = []
  interims: number[] = []
  text = ''
  ended = false
  trailers: Fields | undefined
  aborted: WireError | undefined
  fault: WireError | undefined
  untouched: boolean | undefined
  tunnel: Tunnel | undefined
  body: BodySource | undefined
  lazy: boolean
  constructor(lazy = false) {
    this.lazy = lazy
  }
  informational(head: ResponseHead): void {
    this.interims.push(head.status)
  }
  response(head: ResponseHead, body: BodySource): void {
    this.heads.push(head)
    this.body = body
    if (!this.lazy) body.start(this)
  }
  upgraded(head: ResponseHead, tunnel: Tunnel): void {
    this.heads.push(head)
    this.tunnel = tunnel
  }
  failed(fault: WireError, untouched: boolean): void {
    this.fault = fault
    this.untouched = untouched
  }
  write(chunk: Buffer): boolean {
    this.text += chunk.toString('latin1')
    return true
  }
  end(trailers?: Fields): void {
    this.ended = true
    this.trailers = trailers
  }
  abort(fault: WireError): void {
    this.aborted = fault
  }
  get over(): boolean {
    return this.ended || this.aborted !== undefined || this.fault !== undefined || this.tunnel !== undefined
  }
}

interface Upstream {
  connection: ClientConnection
  peer: RawPeer
  idle: number
  closed: number
  ask(head?: Partial<RequestHead>, body?: BodySource, told?: Told): Promise<Told>
}

/** A connection to a peer that answers each head it gets with the next of the texts. */
async function connect(
  t: Parameters<typeof startRaw>[0],
  answers: (string | ((peer: RawPeer) => void))[],
  changes: Parameters<typeof limitsWith>[0] = {},
): Promise<Upstream> {
  const peers: RawPeer[] = []
  const port = await startRaw(t, async (peer) => {
    peers.push(peer)
    for (const text of answers) {
      await peer.until('\r\n\r\n')
      peer.take()
      if (typeof text === 'string') peer.send(text)
      else text(peer)
    }
  })
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const connection = connectH1(socket, { limits: limitsWith({ tickMs: 5, ...changes }) })
  t.teardown(() => connection.destroy())
  await eventually(() => peers.length === 1, 'the peer')
  const upstream: Upstream = {
    connection,
    peer: peers[0] as RawPeer,
    idle: 0,
    closed: 0,
    async ask(head = {}, body = undefined, told = new Told()) {
      connection.send({ ...HEAD, ...head }, body, told)
      await eventually(() => told.over || told.lazy, 'the request is over')
      return told
    },
  }
  connection.onidle = () => upstream.idle++
  connection.onclose = () => upstream.closed++
  return upstream
}

/** A body that is pushed by hand. */
class Source implements BodySource {
  empty = false
  sink: BodySink | undefined
  discarded = false
  start(sink: BodySink): void {
    this.sink = sink
  }
  discard(): void {
    this.discarded = true
  }
}

t.test('serves one request after another', async (t) => {
  const upstream = await connect(t, [OK, OK, 'HTTP/1.1 204 No\r\n\r\n', OK])
  for (let i = 1; i <= 4; i++) {
    const told = await upstream.ask()
    t.equal(told.text, i === 3 ? '' : 'ok')
    await eventually(() => upstream.idle === i, 'idle')
  }
  t.equal(upstream.closed, 0)
})

t.test('reads a response however it is cut', async (t) => {
  const text =
    'HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: 1\r\n\r\n'
  for (let cut = 1; cut < text.length; cut += 2) {
    const upstream = await connect(t, [
      (peer) => {
        peer.send(text.slice(0, cut))
        setImmediate(() => peer.send(text.slice(cut)))
      },
    ])
    const told = await upstream.ask()
    if (
      told.text !== 'ok' ||
      told.interims[0] !== 103 ||
      told.trailers?.get('x') !== '1' ||
      upstream.idle !== 1
    )
      t.fail(`cut at ${cut}`)
    upstream.connection.destroy()
  }
  t.pass('every other cut')
})

t.test('is not used again where anything was odd about the response', async (t) => {
  for (const text of [
    `${OK}x`,
    `${OK}${OK}`,
    OK.replace('Content', 'Connection: close\r\nContent'),
    OK.replace('1.1', '1.0'),
    'HTTP/1.1 204 No\r\n\r\nbody',
  ]) {
    const upstream = await connect(t, [text])
    const told = await upstream.ask()
    t.ok(told.ended)
    t.same([upstream.idle, upstream.closed], [0, 1], JSON.stringify(text))
    await upstream.peer.gone()
  }
  const upstream = await connect(t, ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nX'])
  t.ok((await upstream.ask({ method: 'HEAD' })).ended)
  t.same([upstream.idle, upstream.closed], [0, 1])
})

t.test('ends where bytes come while nothing was asked', async (t) => {
  const upstream = await connect(t, [OK])
  await upstream.ask()
  upstream.peer.send(OK)
  await eventually(() => upstream.closed === 1, 'closed')
  const told = await upstream.ask()
  t.match(told, { fault: { fault: 'malformed' }, untouched: true })
})

t.test('says whether a request may be sent again', async (t) => {
  const end = (peer: RawPeer) => peer.socket.end()
  const reset = (peer: RawPeer) => peer.socket.resetAndDestroy()
  for (const drop of [end, reset]) {
    const first = await connect(t, [drop])
    t.match(await first.ask(), { fault: {}, untouched: false }, 'not on a fresh connection')
    const stale = await connect(t, [OK, drop])
    await stale.ask()
    t.match(await stale.ask(), { fault: {}, untouched: true })
    const begun = await connect(t, [OK, (peer) => peer.send('H').socket.end()])
    await begun.ask()
    t.match(await begun.ask(), { fault: {}, untouched: false }, 'not behind a byte of an answer')
    const bodied = await connect(t, [OK, drop])
    await bodied.ask()
    t.match(await bodied.ask({ method: 'POST', chunked: true }, new Source()), { untouched: false })
    const waiting = await connect(t, [OK, drop])
    await waiting.ask()
    const source = new Source()
    t.match(await waiting.ask({ method: 'POST', chunked: true, expectContinue: true }, source), {
      untouched: true,
    })
    t.equal(source.discarded, false, 'the body is still the caller’s')
  }
  const slow = await connect(t, [OK, () => {}], { responseMs: 300 })
  await slow.ask()
  t.match(await slow.ask(), { fault: { fault: 'timeout', phase: 'response' }, untouched: false })
})

t.test('bounds the time to an answer, of its body, and of idling', async (t) => {
  const late = await connect(t, [(peer) => peer.send('HTTP/1.1 200 OK\r\nX')], { responseMs: 20 })
  t.match(await late.ask(), { fault: { fault: 'timeout', phase: 'response' } })
  const stalled = await connect(t, [OK.slice(0, -1)], { responseIdleMs: 20 })
  t.match(await stalled.ask(), { text: 'o', aborted: { fault: 'timeout', phase: 'body' } })
  const idle = await connect(t, [OK], { upstreamIdleMs: 200 })
  await idle.ask()
  await eventually(() => idle.closed === 1, 'closed')
  const hint = await connect(t, [OK.replace('Content', 'Keep-Alive: timeout=1\r\nContent')])
  await hint.ask()
  await eventually(() => hint.closed === 1, 'left before the server closes')
})

t.test('does not hurry a response whose body nobody takes yet', async (t) => {
  const upstream = await connect(t, [OK], { responseIdleMs: 50 })
  const told = await upstream.ask({}, undefined, new Told(true))
  await eventually(() => told.body !== undefined, 'a response')
  const other = await connect(t, [OK.slice(0, -1)], { responseIdleMs: 100 })
  t.match(await other.ask(), { aborted: { fault: 'timeout' } }, 'while another’s time runs out')
  told.body?.start(told)
  t.equal(told.text, 'ok')
  t.ok(told.ended)
})

t.test('refuses a flood of interim responses, and one with a body', async (t) => {
  const few = await connect(t, ['HTTP/1.1 102 x\r\n\r\n'.repeat(32) + OK])
  t.equal((await few.ask()).interims.length, 32)
  for (const text of [
    'HTTP/1.1 102 x\r\n\r\n'.repeat(33) + OK,
    'HTTP/1.1 100 x\r\n\r\n'.repeat(33) + OK,
    `HTTP/1.1 102 x\r\nContent-Length: 1\r\n\r\n${OK}`,
    `HTTP/1.1 102 x\r\nTransfer-Encoding: chunked\r\n\r\n${OK}`,
  ]) {
    const upstream = await connect(t, [text])
    t.match(await upstream.ask(), { fault: { fault: 'malformed' }, heads: [] })
  }
})

t.test('changes the protocol only to one that was asked for', async (t) => {
  const text = 'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nfirst'
  const asked = await connect(t, [text])
  const told = await asked.ask({ upgrade: 'h2c, websocket' })
  t.equal(told.heads[0]?.upgrade, 'WebSocket')
  t.equal(`${told.tunnel?.rest}`, 'first')
  t.same([asked.idle, asked.closed], [0, 1])
  asked.peer.socket.resetAndDestroy()
  await eventually(() => told.tunnel?.socket.destroyed === true, 'a reset is survived')
  for (const [upgrade, answer] of [
    [undefined, text],
    ['h2c', text],
    ['websocket', 'HTTP/1.1 101 Go\r\n\r\n'],
  ] as const) {
    const upstream = await connect(t, [answer])
    t.match(await upstream.ask({ upgrade }), { fault: { fault: 'malformed' } })
  }
  const early = await connect(t, [text])
  t.match(
    await early.ask({ method: 'POST', chunked: true, upgrade: 'websocket' }, new Source()),
    { fault: { fault: 'malformed' } },
    'not before the request is whole',
  )
})

t.test('opens a tunnel through a proxy', async (t) => {
  const upstream = await connect(t, ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes'])
  const told = await upstream.ask({ method: 'CONNECT', target: 'b:443', host: 'b:443' })
  t.equal(`${told.tunnel?.rest}`, 'bytes', 'a length means nothing there')
  told.tunnel?.socket.destroy()
  const refused = await connect(t, ['HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'])
  t.equal((await refused.ask({ method: 'CONNECT', target: 'b:443', host: 'b:443' })).text, 'no')
})

t.test('stops sending a body that was refused', async (t) => {
  const source = new Source()
  const upstream = await connect(t, [OK.replace('200', '413')])
  const told = await upstream.ask({ method: 'POST', chunked: true }, source)
  t.equal(told.text, 'ok')
  t.equal(source.discarded, true)
  t.same([upstream.idle, upstream.closed], [0, 1], 'and does not use the connection again')
})

t.test('stops sending it before the refusal itself is whole', async (t) => {
  const source = new Source()
  const upstream = await connect(t, [OK.replace('200', '413').slice(0, -1)])
  const told = new Told()
  upstream.connection.send({ ...HEAD, method: 'POST', chunked: true }, source, told)
  await eventually(() => told.text === 'o', 'half of the refusal')
  t.equal(source.discarded, true)
})

t.test('goes on sending a body beside a response that took it', async (t) => {
  const source = new Source()
  const upstream = await connect(t, ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'])
  const told = new Told()
  upstream.connection.send({ ...HEAD, method: 'POST', chunked: true }, source, told)
  await eventually(() => told.text === 'a', 'the beginning of the response')
  source.sink?.write(Buffer.from('more'))
  await upstream.peer.until('4\r\nmore\r\n')
  source.sink?.end()
  await upstream.peer.until('0\r\n\r\n')
  upstream.peer.send('0\r\n\r\n')
  await eventually(() => told.ended && upstream.idle === 1, 'used again')
})

t.test('breaks the request off where its body does', async (t) => {
  const fault = new WireError('closed', 'the client went', 'body')
  const source = new Source()
  const upstream = await connect(t, [])
  const told = new Told()
  upstream.connection.send({ ...HEAD, method: 'POST', chunked: true }, source, told)
  source.sink?.write(Buffer.from('part'))
  source.sink?.abort(fault)
  t.equal(told.fault, fault)
  t.equal(upstream.closed, 1)
  t.equal(await upstream.peer.gone(), '', 'and what had not left yet never does')
  const shorter = new Source()
  const second = await connect(t, [])
  const other = new Told()
  second.connection.send({ ...HEAD, method: 'POST', contentLength: 5 }, shorter, other)
  shorter.sink?.write(Buffer.from('1234'))
  shorter.sink?.end()
  t.match(other.fault, { fault: 'overrun' })
  t.notMatch(await second.peer.gone(), /1234.*\n/)
})

t.test('says nothing more after destroy', async (t) => {
  for (const text of [OK.slice(0, 10), OK.slice(0, -1)]) {
    const upstream = await connect(t, [text])
    const told = new Told()
    upstream.connection.send(HEAD, undefined, told)
    await upstream.peer.until('')
    await eventually(() => told.text === 'o' || text.length === 10, 'it began')
    upstream.connection.destroy()
    upstream.connection.destroy()
    await upstream.peer.gone()
    t.same([told.fault, told.aborted, told.ended, upstream.closed], [undefined, undefined, false, 1])
  }
})

t.test('sends nothing of a head that cannot be sent', async (t) => {
  const upstream = await connect(t, [OK])
  t.ok(faultOf(() => upstream.connection.send({ ...HEAD, target: '/a b' }, undefined, new Told())))
  t.ok(faultOf(() => upstream.connection.send({ ...HEAD, contentLength: 5 }, undefined, new Told())))
  t.ok(faultOf(() => upstream.connection.send(HEAD, new Source(), new Told())))
  t.equal((await upstream.ask()).text, 'ok', 'and serves on')
  const busy = new Told()
  upstream.connection.send(HEAD, undefined, busy)
  t.ok(faultOf(() => upstream.connection.send(HEAD, undefined, new Told())))
})

t.test('keeps what came before a proper end for a reader that takes its time', async (t) => {
  const body = 'x'.repeat(1000)
  const upstream = await connect(t, [(peer) => peer.socket.end(`HTTP/1.1 200 OK\r\n\r\n${body}`)])
  const told = await upstream.ask({}, undefined, new Told(true))
  await eventually(() => told.body !== undefined, 'a response')
  await upstream.peer.gone()
  t.equal(told.over, false)
  told.body?.start(told)
  await eventually(() => told.over, 'the end')
  t.equal(told.text.length, body.length)
  t.ok(told.ended)
  t.equal(upstream.closed, 1)
})

t.test('drains a response that nobody wants, and leaves one that is too long', async (t) => {
  const small = await connect(t, [OK])
  const told = await small.ask({}, undefined, new Told(true))
  await eventually(() => told.body !== undefined, 'a response')
  told.body?.discard()
  await eventually(() => small.idle === 1, 'used again')
  const large = await connect(t, [`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(400_000)}`])
  const other = await large.ask({}, undefined, new Told(true))
  await eventually(() => other.body !== undefined, 'a response')
  other.body?.discard()
  await eventually(() => large.closed === 1, 'left')
})
