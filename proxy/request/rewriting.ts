import type { BodyRewrite } from '../../core/auth-method.ts'
import { asLocumError, type LocumError } from '../../core/errors.ts'
import { type BodySink, type BodySource, type Fields, WireError } from '../wire/message.ts'

/** A request body as a method rewrites it on its way. What the rewriting throws is `found`, and the body ends there. */
export function rewritten(
  body: BodySource,
  rewrite: BodyRewrite,
  found: (error: LocumError) => void,
): BodySource {
  return {
    empty: body.empty,
    start: (sink) => body.start(new RewritingSink(sink, rewrite, found)),
    discard: () => body.discard(),
  }
}

class RewritingSink implements BodySink {
  readonly #sink: BodySink
  readonly #rewrite: BodyRewrite
  readonly #found: (error: LocumError) => void
  #over = false
  /** Bytes that came and have not gone: a head says how many there are, and none is made. */
  #owed = 0

  constructor(sink: BodySink, rewrite: BodyRewrite, found: (error: LocumError) => void) {
    this.#sink = sink
    this.#rewrite = rewrite
    this.#found = found
  }

  get ondrain(): (() => void) | undefined {
    return this.#sink.ondrain
  }

  set ondrain(drained: (() => void) | undefined) {
    this.#sink.ondrain = drained
  }

  write(chunk: Buffer): boolean {
    this.#owed += chunk.length
    const made = this.#make(() => this.#rewrite.write(chunk))
    return made === undefined || made.length === 0 || this.#sink.write(made)
  }

  end(trailers?: Fields): void {
    const made = this.#make(() => this.#rewrite.end(), 'all')
    if (made === undefined) return
    if (made.length > 0) this.#sink.write(made)
    this.#sink.end(trailers)
  }

  abort(fault: WireError): void {
    if (!this.#over) this.#sink.abort(fault)
    this.#over = true
  }

  /** Undefined where nothing more passes. */
  #make(work: () => Buffer, all?: 'all'): Buffer | undefined {
    if (this.#over) return undefined
    try {
      const made = work()
      this.#owed -= made.length
      if (this.#owed < 0 || (all && this.#owed > 0)) throw new Error('a rewritten body has another length')
      return made
    } catch (thrown) {
      this.#over = true
      this.#found(asLocumError(thrown))
      this.#sink.abort(new WireError('cancelled', 'the body could not be rewritten'))
      return undefined
    }
  }
}
