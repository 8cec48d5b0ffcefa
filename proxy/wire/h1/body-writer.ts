import type { Limits } from '../limits.ts'
import { type BodySink, type Fields, WireError } from '../message.ts'
import { CHUNKED, type Framing, LENGTH, NONE, writeTrailers } from './head-writer.ts'
import { flushSoon, type Joining } from './turn.ts'

/** The connection that a body is written to. */
export interface BodyChannel {
  readonly limits: Limits
  /** All of these say whether there is room for more. */
  sendText(latin1: string): boolean
  sendBytes(bytes: Buffer): boolean
  sendPiece(before: string, bytes: Buffer, after: string): boolean
  /** There is no room: `ondrain` will be called. */
  readonly full: boolean
  /** The message is on its way, as a whole. */
  bodyWritten(): void
  /** The message cannot become whole. */
  bodyBroken(fault: WireError): void
}

/**
 * Writes one message: a head that was held back, then the body in its framing. Small pieces of one
 * turn of the event loop leave in one write, with the head where it can be; large ones as they came.
 */
export class BodyWriter implements BodySink, Joining {
  ondrain: (() => void) | undefined
  readonly #channel: BodyChannel
  readonly #framing: Framing
  #remaining: number
  #text: string
  #open = true

  /** `length` counts where the framing is LENGTH. With NONE the bytes of a body are left out. */
  constructor(channel: BodyChannel, framing: Framing, length: number, head: string) {
    this.#channel = channel
    this.#framing = framing
    this.#remaining = length
    this.#text = ''
    if (head !== '') this.#join(head)
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
    if (this.#text.length + size <= channel.limits.joinBytes) {
      const piece = bytes.toString('latin1', 0, size)
      this.#join(chunked ? `${size.toString(16)}\r\n${piece}\r\n` : piece)
      return !channel.full
    }
    const before = this.#text
    this.#text = ''
    if (chunked) return channel.sendPiece(`${before}${size.toString(16)}\r\n`, bytes, '\r\n')
    return before === '' ? channel.sendBytes(bytes) : channel.sendPiece(before, bytes, '')
  }

  end(trailers?: Fields): void {
    if (!this.#open) return
    if (this.#framing === LENGTH && this.#remaining > 0) {
      this.abort(new WireError('overrun', 'fewer bytes than the head said', 'body'))
      return
    }
    if (this.#framing === CHUNKED) {
      try {
        this.#text += `0\r\n${trailers === undefined ? '' : writeTrailers(trailers)}\r\n`
      } catch (fault) {
        if (!(fault instanceof WireError)) throw fault
        this.abort(fault)
        return
      }
    }
    this.flush()
    this.#open = false
    this.#channel.bodyWritten()
  }

  abort(fault: WireError): void {
    if (!this.#open) return
    this.#open = false
    this.#channel.bodyBroken(fault)
  }

  /** Sends what was joined so far. */
  flush(): void {
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#channel.sendText(text)
  }

  /** From now on whatever is written goes nowhere. */
  shut(): void {
    this.#open = false
    this.#text = ''
    this.ondrain = undefined
  }

  /** The connection has room again. */
  drained(): void {
    const ondrain = this.ondrain
    this.ondrain = undefined
    ondrain?.()
  }

  #join(text: string): void {
    if (this.#text === '') flushSoon(this)
    this.#text += text
  }
}
