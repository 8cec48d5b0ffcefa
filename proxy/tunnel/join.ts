import type { Duplex } from 'node:stream'
import { type Tunnel, WireError } from '../wire/message.ts'

/** What bytes go through on their way. Both give what may go on now, and throw WireError where nothing may. */
export interface Through {
  push(chunk: Buffer): Buffer | undefined
  /** What was held back when the stream ended. */
  end(): Buffer | undefined
}

/** How long nothing may move between two of which one has ended its side: mostly it is gone altogether, ms. */
const HALF_CLOSED = 60_000

/**
 * Joins two connections by what goes `up` to the upstream and `down` from it. A half-close goes on; anything
 * else ends both, and so does silence behind a half-close. `ended` is called when both are closed.
 */
export function join(
  client: Tunnel,
  upstream: Tunnel,
  up: Through | undefined,
  down: Through | undefined,
  ended: () => void,
  halfClosed = HALF_CLOSED,
): { destroy(): void } {
  let open = 2
  let silence: NodeJS.Timeout | undefined
  const over = () => {
    clearTimeout(silence)
    if (--open === 0) ended()
  }
  const moved = () => silence?.refresh()
  const destroy = () => {
    client.socket.destroy()
    upstream.socket.destroy()
  }
  pump(client, upstream.socket, up)
  pump(upstream, client.socket, down)
  for (const { socket } of [client, upstream]) {
    socket.on('error', destroy)
    socket.on('data', moved)
    socket.once('end', () => {
      silence ??= setTimeout(destroy, halfClosed).unref()
    })
    socket.once('close', () => {
      destroy()
      over()
    })
  }
  if (client.socket.destroyed || upstream.socket.destroyed) destroy()
  return { destroy }
}

/** Carries bytes one way, through `through`; where that refuses them, the way ends. */
function pump(from: Tunnel, to: Duplex, through: Through | undefined): void {
  const { socket } = from
  const unlessRefused = (work: () => void): void => {
    try {
      work()
    } catch (fault) {
      if (!(fault instanceof WireError)) throw fault
      socket.destroy()
    }
  }
  const push = (chunk: Buffer): void =>
    unlessRefused(() => {
      const bytes = through ? through.push(chunk) : chunk
      if (bytes === undefined || to.write(bytes)) return
      socket.pause()
      to.once('drain', () => socket.resume())
    })
  const end = (): void =>
    unlessRefused(() => {
      const rest = through?.end()
      if (rest) to.end(rest)
      else to.end()
    })
  socket.on('data', push)
  socket.once('end', end)
  // Before what may pause it again.
  socket.resume()
  if (from.rest.length > 0) push(from.rest)
  // It may have ended while HTTP was still spoken on it.
  if (socket.readableEnded) end()
}
