import { type Needles, StreamMask } from '../core/redact.ts'
import type { BodySink, Fields, WireError } from './wire/message.ts'

/** Where a searched answer goes on to. */
export interface ReplyTarget extends BodySink {
  /** Tells how many echoes were masked in it. */
  found(echoes: number): void
}

/** The body of an answer on its way to the client, masked. */
export class MaskedReply implements BodySink {
  readonly #to: ReplyTarget
  readonly #mask: StreamMask

  constructor(needles: Needles, to: ReplyTarget) {
    this.#mask = new StreamMask(needles)
    this.#to = to
  }

  get ondrain(): (() => void) | undefined {
    return this.#to.ondrain
  }

  set ondrain(call: (() => void) | undefined) {
    this.#to.ondrain = call
  }

  write(chunk: Buffer): boolean {
    const before = this.#mask.hits
    const room = this.#mask.pass(chunk, this.#to)
    if (this.#mask.hits !== before) this.#to.found(this.#mask.hits - before)
    return room
  }

  end(trailers?: Fields): void {
    const before = this.#mask.hits
    const rest = this.#mask.end()
    if (this.#mask.hits !== before) this.#to.found(this.#mask.hits - before)
    if (rest) this.#to.write(rest)
    this.#to.end(trailers)
  }

  abort(fault: WireError): void {
    this.#to.abort(fault)
  }
}
