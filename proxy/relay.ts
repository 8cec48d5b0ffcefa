import type { Duplex } from 'node:stream'
import type { LocumError } from '../core/errors.ts'
import { type Needles, StreamMask } from '../core/redact.ts'
import { fieldMayHoldPlaceholder, placeholderOutside } from '../core/scan.ts'
import { isReadAsOne } from '../core/slots.ts'
import type { StandIns } from '../core/stand-ins.ts'
import { FrameMask } from './websocket.ts'
import { type BodySink, type BodySource, type Fields, type Tunnel, WireError } from './wire/message.ts'

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

/** What bytes go through on their way. Both give what may go on now, and throw WireError where nothing may. */
export interface Through {
  push(chunk: Buffer): Buffer | undefined
  /** What was held back when the stream ended. */
  end(): Buffer | undefined
}

/**
 * Joins two connections that stopped speaking HTTP. What comes from the upstream is masked (the
 * length stays, so frames stay whole), or ends both where it must `block`. A half-close goes on; anything
 * else ends both. `protocol`: what the upstream switched to.
 */
export function joinTunnels(
  client: Tunnel,
  upstream: Tunnel,
  { needles, block }: { needles: Needles | undefined; block: boolean },
  protocol: string | undefined,
  ended: (masked: number, blocked: boolean) => void,
): { destroy(): void } {
  const mask = needles && (isWebSocket(protocol) ? new FrameMask(needles) : new StreamMask(needles))
  const down = mask && block ? new Barrier(mask) : mask
  return join(client, upstream, undefined, down, () => {
    const hits = mask?.hits ?? 0
    ended(hits, block && hits > 0)
  })
}

/** Lets nothing through from where a mask has something to mask. */
class Barrier implements Through {
  readonly #mask: StreamMask | FrameMask

  constructor(mask: StreamMask | FrameMask) {
    this.#mask = mask
  }

  push(chunk: Buffer): Buffer | undefined {
    return this.#pass(this.#mask.push(chunk))
  }

  end(): Buffer | undefined {
    return this.#pass(this.#mask.end())
  }

  #pass(bytes: Buffer | undefined): Buffer | undefined {
    if (this.#mask.hits > 0) throw new WireError('cancelled', 'an echo of a secret')
    return bytes
  }
}

/**
 * Joins two connections by what goes `up` to the upstream and `down` from it. A half-close goes on; anything
 * else ends both. `ended` is called when both are closed.
 */
export function join(
  client: Tunnel,
  upstream: Tunnel,
  up: Through | undefined,
  down: Through | undefined,
  ended: () => void,
): { destroy(): void } {
  let open = 2
  const over = () => {
    if (--open === 0) ended()
  }
  const destroy = () => {
    client.socket.destroy()
    upstream.socket.destroy()
  }
  pump(client, upstream.socket, up)
  pump(upstream, client.socket, down)
  for (const { socket } of [client, upstream]) {
    socket.on('error', destroy)
    socket.once('close', () => {
      destroy()
      over()
    })
  }
  if (client.socket.destroyed || upstream.socket.destroyed) destroy()
  return { destroy }
}

function isWebSocket(protocol: string | undefined): boolean {
  return protocol?.trim().toLowerCase() === 'websocket'
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
