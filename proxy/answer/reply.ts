import { LocumError } from '../../core/errors.ts'
import { type Needles, StreamMask } from '../../core/redact.ts'
import type { BodySink, Fields, ResponseHead, WireError } from '../wire/message.ts'
import { ownTrailers } from './head.ts'

/** Where a searched answer goes on to. */
export interface ReplyTarget extends BodySink {
  /** Sends the head, before anything is written. */
  begin(head: ResponseHead): void
  /** Tells how many echoes were masked in it. */
  found(echoes: number): void
  /** Ends it: with a refusal where no head was sent, else broken off. */
  fail(error: LocumError): void
}

/** What a connection that blocks says of an echo. */
export function echoed(): LocumError {
  return new LocumError('upstream_echoed_secret', 'The answer holds the secret that the request carried.', {
    hint: 'Nothing of it was passed on that holds the secret.',
  })
}

/** An answer that broke before its head was sent. */
export function brokenReply({ fault }: WireError): LocumError {
  return fault === 'timeout'
    ? new LocumError('upstream_timeout', 'The upstream did not finish its answer in time.')
    : new LocumError('upstream_invalid', 'The upstream broke its answer off.')
}

/** A body on its way to the client, masked. */
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
    return this.#mask.pass(chunk, this.#to)
  }

  end(trailers?: Fields): void {
    const rest = this.#mask.end()
    if (rest) this.#to.write(rest)
    this.#tell()
    this.#to.end(trailers)
  }

  abort(fault: WireError): void {
    this.#tell()
    this.#to.abort(fault)
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.#tell()
  }

  #tell(): void {
    this.#to.found(this.#mask.hits)
    this.#mask.hits = 0
  }
}

/** A body on its way to the client, ended at the first echo. Its head waits for what is searched first. */
export class BlockedReply implements BodySink {
  readonly #to: ReplyTarget
  readonly #needles: Needles
  readonly #mask: StreamMask
  /** Until it is sent. */
  #head: ResponseHead | undefined
  #over = false

  constructor(needles: Needles, head: ResponseHead, to: ReplyTarget) {
    this.#needles = needles
    this.#mask = new StreamMask(needles)
    this.#head = head
    this.#to = to
  }

  get ondrain(): (() => void) | undefined {
    return this.#to.ondrain
  }

  set ondrain(call: (() => void) | undefined) {
    this.#to.ondrain = call
  }

  write(chunk: Buffer): boolean {
    return this.#over || this.#mask.pass(chunk, this.#searched)
  }

  end(trailers?: Fields): void {
    if (this.#over) return
    const rest = this.#mask.end()
    if (this.#mask.hits > 0 || (trailers && ownTrailers(trailers, this.#needles) > 0)) return this.#block()
    this.#begin()
    if (rest) this.#to.write(rest)
    this.#to.end(trailers)
  }

  abort(fault: WireError): void {
    if (this.#over) return
    if (this.#head) this.#to.fail(brokenReply(fault))
    else this.#to.abort(fault)
  }

  stop(): void {
    this.#over = true
  }

  #searched = {
    write: (bytes: Buffer): boolean => {
      if (this.#over) return true
      if (this.#mask.hits > 0) {
        this.#block()
        return true
      }
      this.#begin()
      return this.#to.write(bytes)
    },
  }

  #begin(): void {
    if (this.#head) this.#to.begin(this.#head)
    this.#head = undefined
  }

  #block(): void {
    this.#over = true
    this.#to.found(this.#mask.hits)
    this.#to.fail(echoed())
  }
}
