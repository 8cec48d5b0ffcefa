import type { Limits } from '../limits.ts'
import { type BodySink, type BodySource, WireError } from '../message.ts'
import { ChunkReader } from './chunks.ts'
import { CHUNKED, CLOSE, type Framing } from './head-writer.ts'

/** The connection that a body is read from. */
export interface BodyOwner {
  /** The body is wanted now, or there is room again, or what is left of it is to be drained. */
  pump(): void
  /** Before the first byte is waited for. */
  bodyStarted(): void
  /** What was pushed last is the sink's for good: its memory must not be read into again. */
  chunkKept(): void
}

/** Where there is no body. */
export const NO_BODY: BodySource = {
  empty: true,
  start(sink: BodySink): void {
    sink.end()
  },
  discard(): void {},
}

/**
 * The body of one message, read off its connection: the connection feeds it, it undoes the framing
 * and pushes into the sink. The connection says when it ends or fails.
 */
export class BodyReader implements BodySource {
  readonly empty = false
  /** Every byte of the body was read. */
  done = false
  /** Nobody will have the rest of it. */
  discarded = false
  /** More was discarded than a connection is worth. */
  exhausted = false
  started = false
  /** The sink has no room. */
  stalled = false
  readonly #owner: BodyOwner
  readonly #limits: Limits
  readonly #framing: Framing
  #remaining: number
  #budget: number
  #chunks: ChunkReader | undefined
  #sink: BodySink | undefined
  #fault: WireError | undefined
  #room: (() => void) | undefined

  constructor(owner: BodyOwner, framing: Framing, length: number, limits: Limits) {
    this.#owner = owner
    this.#limits = limits
    this.#framing = framing
    this.#remaining = length
    this.#budget = limits.drainBytes
    this.#chunks = framing === CHUNKED ? new ChunkReader(limits) : undefined
  }

  /** Bytes are welcome: somebody takes them, or they are drained. */
  get flowing(): boolean {
    return (this.started || this.discarded) && !this.stalled
  }

  /** Somebody takes them. */
  get wanted(): boolean {
    return this.started && !this.discarded
  }

  /** Certainly more than would be drained. */
  get oversize(): boolean {
    return this.#remaining > this.#budget
  }

  get endsByClose(): boolean {
    return this.#framing === CLOSE
  }

  start(sink: BodySink): void {
    if (this.started || this.discarded) throw new WireError('cancelled', 'a body can be read once', 'body')
    this.started = true
    if (this.#fault !== undefined) {
      sink.abort(this.#fault)
      return
    }
    this.#sink = sink
    this.#owner.bodyStarted()
    this.#owner.pump()
  }

  discard(): void {
    if (this.discarded || this.done || this.#fault !== undefined) return
    this.discarded = true
    this.#sink = undefined
    this.stalled = false
    this.#owner.pump()
  }

  /** Takes bytes off the wire; returns those it did not take. Throws WireError malformed. */
  feed(bytes: Buffer): Buffer | undefined {
    if (this.#chunks !== undefined) return this.#feedChunks(bytes, this.#chunks)
    if (this.#framing === CLOSE) {
      this.#push(bytes)
      return undefined
    }
    const size = bytes.length
    if (size < this.#remaining) {
      this.#remaining -= size
      this.#push(bytes)
      return undefined
    }
    const whole = size === this.#remaining
    const last = whole ? bytes : bytes.subarray(0, this.#remaining)
    const rest = whole ? undefined : bytes.subarray(this.#remaining)
    this.#remaining = 0
    this.done = true
    this.#push(last)
    return rest
  }

  /** The connection says so when `done`, or at its end where the body is framed by that. */
  end(): void {
    this.done = true
    const sink = this.#sink
    this.#sink = undefined
    sink?.end(this.#chunks?.trailers)
  }

  /** Nothing more comes, and the body is not whole. */
  fail(fault: WireError): void {
    if (this.#fault !== undefined || this.done) return
    this.#fault = fault
    const sink = this.#sink
    this.#sink = undefined
    sink?.abort(fault)
  }

  #feedChunks(bytes: Buffer, chunks: ChunkReader): Buffer | undefined {
    const data = { from: 0, to: 0 }
    let at = 0
    while (at < bytes.length && !chunks.done && this.flowing) {
      at = chunks.next(bytes, at, data)
      if (data.to > data.from)
        this.#push(data.from === 0 && data.to === bytes.length ? bytes : bytes.subarray(data.from, data.to))
    }
    if (chunks.done) this.done = true
    return at === bytes.length ? undefined : bytes.subarray(at)
  }

  #push(bytes: Buffer): void {
    if (this.discarded) {
      this.#budget -= bytes.length
      if (this.#budget < 0) this.exhausted = true
      return
    }
    const sink = this.#sink
    if (sink === undefined || sink.write(bytes)) return
    if (bytes.length >= this.#limits.gatherBytes) this.#owner.chunkKept()
    if (this.done) return
    this.stalled = true
    sink.ondrain = this.#room ??= () => {
      if (!this.stalled) return
      this.stalled = false
      this.#owner.pump()
    }
  }
}
