import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { Intake } from '../../proxy/wire/h1/intake.ts'
import { LIMITS } from '../../proxy/wire/limits.ts'
import type { BodySink, ClientConnection, Tunnel } from '../../proxy/wire/message.ts'
import { listen, plainHead, startRelay } from './kit.ts'

/** Bytes that tell which body they are of, and where in it they stand. */
function bodyOf(id: number, size: number): Buffer {
  const words = new Uint32Array(size >> 2)
  for (let i = 0; i < words.length; i++) words[i] = (id << 24) | i
  return Buffer.from(words.buffer)
}

/** An origin that answers `/ID/SIZE/PIECE` with that body, written in pieces, chunked for an odd ID. */
function startPieces(t: { teardown(work: () => unknown): void }): Promise<number> {
  return listen(t, (socket) => {
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const [id, size, piece] = (/ \/(\d+)\/(\d+)\/(\d+) /.exec(text) as RegExpExecArray)
          .slice(1)
          .map(Number) as [number, number, number]
        text = text.slice(end + 4)
        const body = bodyOf(id, size)
        const chunked = id % 2 === 1
        socket.write(
          `HTTP/1.1 200 OK\r\n${chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`}\r\n\r\n`,
        )
        for (let at = 0; at < size; at += piece) {
          const part = body.subarray(at, at + piece)
          if (chunked) socket.write(`${part.length.toString(16)}\r\n`)
          socket.write(part)
          if (chunked) socket.write('\r\n')
        }
        if (chunked) socket.write('0\r\n\r\n')
      }
    })
  })
}

/** Takes the chunked coding off. */
function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (size === 0) break
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 4 + size
  }
  return Buffer.concat(parts)
}

/** Asks on one connection, and reads what comes in fits and starts. */
async function readSlowly(
  t: { teardown(work: () => unknown): void },
  port: number,
  asked: readonly { id: number; size: number; piece: number }[],
): Promise<boolean[]> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  let parts: Buffer[] = []
  let received = 0
  let came = (): void => {}
  socket.on('data', (chunk: Buffer) => {
    parts.push(chunk)
    received += chunk.length
    came()
  })
  const right: boolean[] = []
  for (const { id, size, piece } of asked) {
    socket.write(`GET /${id}/${size}/${piece} HTTP/1.1\r\nHost: a\r\n\r\n`)
    let body: Buffer | undefined
    while (body === undefined) {
      // For some turns nothing is taken, so that everything between is full.
      socket.pause()
      for (let i = 0; i < id % 7; i++) await new Promise((resolve) => setImmediate(resolve))
      const more = new Promise<void>((resolve) => {
        came = resolve
      })
      socket.resume()
      await more
      if (received >= size) body = bodyIn(Buffer.concat(parts), id, size)
    }
    right.push(body.equals(bodyOf(id, size)))
    parts = []
    received = 0
  }
  return right
}

/** The body of a whole response; undefined where it is not whole. */
function bodyIn(bytes: Buffer, id: number, size: number): Buffer | undefined {
  const head = bytes.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const rest = bytes.subarray(head + 4)
  if (id % 2 === 0) return rest.length >= size ? rest : undefined
  return rest.subarray(-5).toString() === '0\r\n\r\n' ? unchunked(rest) : undefined
}

t.test('memory that is read into again changes no byte that is still to be written', async (t) => {
  const relay = await startRelay(t, await startPieces(t))
  const sizes = [4, 8_000, 16_384, 16_388, 65_536, 131_072, 131_076, 700_000, 3_000_000]
  const pieces = [1_400, 16_384, 65_536, 200_000, 3_000_000]
  const clients = Array.from({ length: 8 }, (_, client) =>
    readSlowly(
      t,
      relay.port,
      sizes.map((size, i) => ({
        id: 1 + client * sizes.length + i,
        size,
        piece: pieces[(client + i) % pieces.length] as number,
      })),
    ),
  )
  for (const right of await Promise.all(clients))
    t.same(
      right,
      sizes.map(() => true),
    )
  t.same(relay.faults, [])
})

/** A connection whose socket has an intake. */
async function connect(t: { teardown(work: () => unknown): void }, port: number): Promise<ClientConnection> {
  const intake = new Intake()
  const socket = intake.serve(net.connect({ port, host: '127.0.0.1', onread: intake.onread }))
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return connectH1(socket)
}

/** Pushes what is asked for into the sink; resolves at its end. */
function ask(connection: ClientConnection, target: string, sink: BodySink): Promise<void> {
  const head = plainHead({ target })
  return new Promise((resolve, reject) => {
    const { end } = sink
    sink.end = (trailers) => {
      end.call(sink, trailers)
      resolve()
    }
    sink.abort = reject
    const unexpected = () => reject(new Error('unexpected'))
    connection.send(head, undefined, {
      informational: unexpected,
      response: (_, body) => body.start(sink),
      upgraded: unexpected,
      failed: reject,
    })
  })
}

t.test('a large piece that a sink kept is not read into again', async (t) => {
  const connection = await connect(t, await startPieces(t))
  const kept: { chunk: Buffer; copy: Buffer }[] = []
  for (let id = 0; id < 12; id++) {
    const sink: BodySink = {
      ondrain: undefined,
      write(chunk) {
        if (chunk.length < LIMITS.gatherBytes) return true
        kept.push({ chunk, copy: Buffer.from(chunk) })
        setImmediate(() => sink.ondrain?.())
        return false
      },
      end() {},
      abort() {},
    }
    await ask(connection, `/${id}/1000000/1000000`, sink)
  }
  t.ok(kept.length > 20, 'much was kept')
  t.ok(kept.every(({ chunk, copy }) => chunk.equals(copy)))
})

t.test('memory is read into again where nobody kept it', async (t) => {
  const connection = await connect(t, await startPieces(t))
  const seen = new Set<ArrayBufferLike>()
  let reads = 0
  for (let id = 0; id < 4; id++) {
    const sink: BodySink = {
      ondrain: undefined,
      write(chunk) {
        seen.add(chunk.buffer)
        reads++
        return true
      },
      end() {},
      abort() {},
    }
    await ask(connection, `/${id * 2}/4000000/4000000`, sink)
  }
  t.ok(reads > 40, `${reads} pieces`)
  t.ok(seen.size <= 4, `${seen.size} pieces of memory for ${reads} reads`)
})

t.test('a socket that is let go of is a stream like any other', async (t) => {
  const port = await listen(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nrest')
      socket.on('data', (bytes) => socket.write(bytes))
    })
  })
  const connection = await connect(t, port)
  const tunnel = await new Promise<Tunnel>((resolve, reject) => {
    connection.send(plainHead({ upgrade: 'x' }), undefined, {
      informational: reject,
      response: reject,
      upgraded: (_, opened) => resolve(opened),
      failed: reject,
    })
  })
  const { socket, rest } = tunnel
  const sent = bodyOf(3, 2_000_000)
  const parts = [rest]
  let size = rest.length
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk)
      size += chunk.length
      socket.pause()
      setImmediate(() => socket.resume())
      if (size === sent.length + 4) resolve()
    })
  })
  socket.resume()
  socket.write(sent)
  await whole
  t.ok(Buffer.concat(parts).equals(Buffer.concat([Buffer.from('rest'), sent])))
})
