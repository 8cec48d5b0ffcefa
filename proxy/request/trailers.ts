import type { LocumError } from '../../core/errors.ts'
import { fieldMayHoldPlaceholder, placeholderOutside } from '../../core/scan.ts'
import { isReadAsOne } from '../../core/slots.ts'
import type { StandIns } from '../../core/stand-ins.ts'
import { type BodySink, type BodySource, type Fields, WireError } from '../wire/message.ts'

/**
 * A request body whose trailers are looked at before they leave: one with a placeholder is `found`
 * instead. What speaks to Locum, and the names of what Locum has `set` in the head, are left out, since
 * some upstreams read trailers as headers.
 */
export function guardTrailers(
  body: BodySource,
  set: readonly string[],
  standIns: StandIns | undefined,
  found: (error: LocumError) => void,
): BodySource {
  return {
    empty: body.empty,
    start: (sink) => body.start(new TrailerGuard(sink, set, standIns, found)),
    discard: () => body.discard(),
  }
}

/** The error for a placeholder in trailers; undefined where there is none. */
function misplacedIn(trailers: Fields | undefined, standIns: StandIns | undefined): LocumError | undefined {
  const holds = trailers?.values.some((value) => fieldMayHoldPlaceholder(value, standIns))
  return holds ? placeholderOutside('the trailers') : undefined
}

/** Throws placeholder_not_allowed for a placeholder in trailers. */
export function checkTrailers(trailers: Fields | undefined, standIns: StandIns | undefined): void {
  const error = misplacedIn(trailers, standIns)
  if (error) throw error
}

/** Removes from trailers what speaks to Locum, and what Locum has set in the head. */
export function leaveOut(trailers: Fields, set: readonly string[]): void {
  for (let i = trailers.size - 1; i >= 0; i--) {
    const name = trailers.names[i] as string
    if (/^locum[-_]/.test(name) || isReadAsOne(name, set)) trailers.removeAt(i)
  }
}

class TrailerGuard implements BodySink {
  readonly #sink: BodySink
  readonly #set: readonly string[]
  readonly #standIns: StandIns | undefined
  readonly #found: (error: LocumError) => void

  constructor(
    sink: BodySink,
    set: readonly string[],
    standIns: StandIns | undefined,
    found: (error: LocumError) => void,
  ) {
    this.#sink = sink
    this.#set = set
    this.#standIns = standIns
    this.#found = found
  }

  get ondrain(): (() => void) | undefined {
    return this.#sink.ondrain
  }

  set ondrain(call: (() => void) | undefined) {
    this.#sink.ondrain = call
  }

  write(chunk: Buffer): boolean {
    return this.#sink.write(chunk)
  }

  end(trailers?: Fields): void {
    const error = misplacedIn(trailers, this.#standIns)
    if (error) {
      this.#found(error)
      this.#sink.abort(new WireError('cancelled', 'a placeholder stands in the trailers'))
      return
    }
    if (trailers) leaveOut(trailers, this.#set)
    this.#sink.end(trailers)
  }

  abort(fault: WireError): void {
    this.#sink.abort(fault)
  }
}
