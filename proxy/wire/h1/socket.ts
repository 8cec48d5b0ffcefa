import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Stays on every socket for good, so that one that breaks while nobody looks after it (between two
 * owners, or after its end) does not end the process. What broke is seen by its 'close'.
 */
export function outliveReset(): void {}

export function sendWithoutDelay(socket: Duplex): void {
  const { setNoDelay } = socket as Partial<Socket>
  setNoDelay?.call(socket, true)
}

/** Ends a message that is framed by its connection's end so that it cannot look whole. */
export function reset(socket: Duplex): void {
  const { resetAndDestroy, encrypted } = socket as Partial<Socket & { encrypted: boolean }>
  // Under TLS the missing close_notify tells (RFC 9112 §9.8), and there is no TCP handle to reset. A
  // socket that is ending already is past resetting, and Node was seen to spin where it was tried.
  if (encrypted || resetAndDestroy === undefined || socket.writableEnded) socket.destroy()
  else resetAndDestroy.call(socket)
}
