import net from 'node:net'
import { startRaw, startRelay } from './kit.ts'

const PIECE = Buffer.alloc(1 << 16, 'x')

export interface Bulk {
  seconds: number
  /** CPU seconds of this process, client and origin included. */
  cpu: number
  /** Megabytes a second. */
  rate: number
  /** The largest resident size while it ran, in bytes. */
  peak: number
}

/** Sends so many bytes through a relay, down or up, in one process, and counts them at the other end. */
export async function passBulk(
  t: Parameters<typeof startRaw>[0],
  bytes: number,
  direction: 'down' | 'up',
  chunked: boolean,
): Promise<Bulk> {
  let counted = 0
  let whole = (): void => {}
  const counting = new Promise<void>((resolve) => {
    whole = resolve
  })
  const count = (socket: net.Socket): void => {
    socket.removeAllListeners('data')
    socket.on('data', (piece) => {
      counted += piece.length
      if (counted >= bytes) whole()
    })
  }
  const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`
  const origin = await startRaw(t, async (peer) => {
    await peer.until('\r\n\r\n')
    if (direction === 'up') {
      counted = peer.received.length
      count(peer.socket)
      return
    }
    peer.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`)
    pour(peer.socket, bytes, chunked)
  })
  const relay = await startRelay(t, origin)
  const client = net.connect(relay.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 20)
  const start = performance.now()
  const cpuBefore = process.cpuUsage()
  if (direction === 'down') {
    count(client)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  } else {
    client.write(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`)
    pour(client, bytes, chunked)
  }
  await counting
  clearInterval(watch)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  const cpu = (user + system) / 1e6
  return { seconds, cpu, rate: bytes / 1e6 / seconds, peak }
}

function pour(socket: net.Socket, bytes: number, chunked: boolean): void {
  let left = bytes
  const more = (): void => {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE
      left -= piece.length
      let room: boolean
      if (chunked) {
        socket.cork()
        socket.write(`${piece.length.toString(16)}\r\n`)
        socket.write(piece)
        room = socket.write(left === 0 ? '\r\n0\r\n\r\n' : '\r\n')
        socket.uncork()
      } else room = socket.write(piece)
      if (!room) {
        socket.once('drain', more)
        return
      }
    }
  }
  more()
}
