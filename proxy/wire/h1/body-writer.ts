import type { Limits } from '../limits.ts'
import { type BodySink, type Fields, WireError } from '../message.ts'
import { CHUNKED, type Framing, LENGTH, NONE, writeTrailers } from './head-writer.ts'

/** The connection that a body is written to. */
export interface BodyChannel {
  readonly limits: Limits
  /** All of these say whether there is room for more. */
  sendText(latin1: string): boolean
  sendBytes(bytes: Buffer): boolean
  sendPiece(before: string, bytes: Buffer, after: string): boolean
  /** The message is on its way, as a whole. */
  bodyWritten(): void
  /** The message cannot become whole. */
  bodyBroken(fault: WireError): void
}

/**
 * Writes one message: its head, then the body in its framing. Small pieces go as text, which the
 * channel joins; large ones as they came.
 */
export class BodyWriter implements BodySink {
  ondrain: (() => void) | undefined
  readonly #channel: BodyChannel
  readonly #framing: Framing
  #remaining: number
  #open = true

  /** `length` counts where the framing is LENGTH. With NONE the bytes of a body are left out. */
  constructor(channel: BodyChannel, framing: Framing, length: number, head: string) {
    this.#channel = channel
    this.#framing = framing
    this.#remaining = length
    if (head !== '') channel.sendText(head)
  }

  write(bytes: Buffer): boolean {
    const size = bytes.length
    if (!this.#open || size === 0 || this.#framing === NONE) return true
    if (this.#framing === LENGTH) {
      if (size > this.#remaining) {
        this.abort(new WireError('overrun', 'more bytes than the head said', 'body'))
        return true
      }
      this.#remaining -= size
    }
    const chunked = this.#framing === CHUNKED
    const channel = this.#channel
    if (size <= channel.limits.joinBytes) {
      const piece = bytes.toString('latin1', 0, size)
      return channel.sendText(chunked ? `${size.toString(16)}\r\n${piece}\r\n` : piece)
    }
    if (chunked) return channel.sendPiece(`${size.toString(16)}\r\n`, bytes, '\r\n')
    return channel.sendBytes(bytes)
  }

  end(trailers?: Fields): void {
    if (!this.#open) return
    if (this.#framing === LENGTH && this.#remaining > 0) {
      this.abort(new WireError('overrun', 'fewer bytes than the head said', 'body'))
      return
    }
    if (this.#framing === CHUNKED) {
      try {
        this.#channel.sendText(`0\r\n${trailers === undefined ? '' : writeTrailers(trailers)}\r\n`)
      } catch (fault) {
        if (!(fault instanceof WireError)) throw fault
        this.abort(fault)
        return
      }
    }
    this.#open = false
    this.#channel.bodyWritten()
  }

  abort(fault: WireError): void {
    if (!this.#open) return
    this.#open = false
    this.#channel.bodyBroken(fault)
  }

  /** From now on whatever is written goes nowhere. */
  shut(): void {
    this.#open = false
    this.ondrain = undefined
  }

  /** The connection has room again. */
  drained(): void {
    const ondrain = this.ondrain
    this.ondrain = undefined
    ondrain?.()
  }
}
