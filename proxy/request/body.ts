import { LocumError } from '../../core/errors.ts'
import { wireError } from '../upstreams/faults.ts'
import type { BodySink, BodySource, Fields, WireError } from '../wire/message.ts'

/** Bytes of a request's body that is read whole, since something is put into it. A larger one is too_large. */
export const LARGEST_READ = 1024 * 1024

/** A body that was read to its end. */
export interface WholeBody {
  readonly bytes: Buffer
  readonly trailers: Fields | undefined
}

/** Reads a request's body whole; one of `then` and `failed` is called, unless it is cancelled. */
export class BodyReading implements BodySink {
  ondrain: (() => void) | undefined
  readonly #source: BodySource
  readonly #then: (body: WholeBody) => void
  readonly #failed: (error: LocumError) => void
  readonly #most: number | undefined
  #pieces: Buffer[] = []
  #length = 0
  #over = false

  /** `most`: bytes that are read to be signed; left out where something is put into the body. */
  constructor(
    source: BodySource,
    then: (body: WholeBody) => void,
    failed: (error: LocumError) => void,
    most?: number,
  ) {
    this.#source = source
    this.#then = then
    this.#failed = failed
    this.#most = most
  }

  #isTooLarge(length: number): boolean {
    return length > (this.#most ?? LARGEST_READ)
  }

  /** `length`: the body's, where it is known. Nothing is asked of a client whose body would be too large. */
  start(length: number | undefined): void {
    if (length !== undefined && this.#isTooLarge(length)) this.#failed(tooLarge(this.#most))
    else this.#source.start(this)
  }

  /** Lets go of what was read; the rest is drained. */
  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#pieces = []
    this.#source.discard()
  }

  write(chunk: Buffer): boolean {
    if (this.#over) return true
    this.#length += chunk.length
    if (this.#isTooLarge(this.#length)) {
      this.cancel()
      this.#failed(tooLarge(this.#most))
    } else this.#pieces.push(chunk)
    return true
  }

  end(trailers?: Fields): void {
    if (this.#over) return
    this.#over = true
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#then({ bytes, trailers })
  }

  abort(fault: WireError): void {
    if (this.#over) return
    this.#over = true
    this.#pieces = []
    this.#failed(wireError(fault))
  }
}

function tooLarge(signed: number | undefined): LocumError {
  if (signed !== undefined) {
    return new LocumError(
      'too_large',
      `The hash of the body is signed, and a body without one is ${signed / 1024 / 1024} MiB at most.`,
      { hint: 'Have the client say its hash: X-Amz-Content-Sha256.' },
    )
  }
  return new LocumError(
    'too_large',
    `The connection puts something into bodies of this type, which are ${LARGEST_READ / 1024} KiB at most then.`,
    { hint: 'Send the secret in a header, or through a connection without body slots and common body.' },
  )
}

/** A body that can be sent again, until it is let go. */
export class KeptBody implements BodySource {
  readonly empty = false
  #bytes: Buffer
  readonly #trailers: Fields | undefined

  constructor(bytes: Buffer, trailers: Fields | undefined) {
    this.#bytes = bytes
    this.#trailers = trailers
  }

  start(sink: BodySink): void {
    if (this.#bytes.length > 0) sink.write(this.#bytes)
    sink.end(this.#trailers)
  }

  discard(): void {}

  /** It was answered: whoever still holds it holds no bytes. */
  release(): void {
    this.#bytes = NOTHING
  }
}

const NOTHING = Buffer.alloc(0)
