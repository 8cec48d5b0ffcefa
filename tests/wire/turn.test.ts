import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { serveH1 } from '../../proxy/wire/h1/server.ts'
import { Fields, type ServerExchange } from '../../proxy/wire/message.ts'

/** A socket that keeps each write by itself. */
class Socket extends Duplex {
  readonly writes: string[] = []
  override _read(): void {}
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.writes.push(chunk.toString('latin1'))
    done()
  }
  override _writev(chunks: readonly { chunk: Buffer }[], done: () => void): void {
    this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)).toString('latin1'))
    done()
  }
}

function answer(exchange: ServerExchange<null>, body: Buffer): void {
  const fields = Fields.from([['X-Target', exchange.head.target]])
  const sink = exchange.sendHead({ status: 200, reason: 'OK', fields, contentLength: body.length })
  sink.write(body)
  sink.end()
}

function serve(t: { teardown(work: () => unknown): void }, onrequest: (x: ServerExchange<null>) => void) {
  const socket = new Socket()
  const handler = {
    request: onrequest,
    malformed: () => {
      throw new Error('The request was valid.')
    },
  }
  const connection = serveH1(socket, null, handler)
  t.teardown(() => connection.destroy())
  return socket
}

const ask = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
const said = (target: string, body: string) =>
  `HTTP/1.1 200 OK\r\nX-Target: ${target}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

t.test('what a turn answers to a pipeline leaves at its end, in one write', async (t) => {
  const socket = serve(t, (x) => answer(x, Buffer.from('small')))
  socket.push(ask('/1') + ask('/2'))
  await new Promise((resolve) => process.nextTick(resolve))
  t.same(socket.writes, [])
  await turn()
  await turn()
  t.same(socket.writes, [said('/1', 'small') + said('/2', 'small')])
})

t.test('a large piece takes along what waits before it', async (t) => {
  const large = 'x'.repeat(20_000)
  const socket = serve(t, (x) => answer(x, Buffer.from(large)))
  socket.push(ask('/1'))
  await turn()
  await turn()
  t.same(socket.writes, [said('/1', large)])
})

t.test('what waits is written before a connection is broken off or handed over', async (t) => {
  const broken = serve(t, (x) => {
    const head = { status: 200, reason: 'OK', fields: new Fields(), contentLength: 9 }
    x.sendHead(head).write(Buffer.from('some'))
    x.breakOff()
  })
  broken.push(ask('/1'))
  await turn()
  t.same(broken.writes, ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome'])
  t.ok(broken.destroyed)
  const taken = serve(t, (x) => {
    const head = {
      status: 200,
      reason: 'Connection Established',
      fields: new Fields(),
      contentLength: undefined,
    }
    x.takeOver(head).socket.write('behind it')
  })
  taken.push('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')
  await turn()
  t.equal(taken.writes.join(''), 'HTTP/1.1 200 Connection Established\r\n\r\nbehind it')
})

t.test('a request that its sender gives up in the same turn never leaves', async (t) => {
  const socket = new Socket()
  const connection = connectH1(socket)
  const fields = new Fields()
  const handler = {
    informational: () => {},
    response: () => t.fail(),
    upgraded: () => t.fail(),
    failed: () => t.fail(),
  }
  connection.send(
    {
      method: 'GET',
      target: '/',
      minor: 1,
      host: 'a',
      fields,
      contentLength: undefined,
      chunked: false,
      upgrade: undefined,
      expectContinue: false,
    },
    undefined,
    handler,
  )
  connection.destroy()
  await turn()
  t.same(socket.writes, [])
})
