import type { Duplex } from 'node:stream'
import { mayHoldPlaceholder } from '../core/placeholder.ts'
import { type Needles, StreamMask } from '../core/redact.ts'
import { type BodySink, type BodySource, type Fields, type Tunnel, WireError } from './wire/message.ts'

/** A request body whose trailers are looked at before they leave: one with a placeholder is `found` instead. */
export function guardTrailers(body: BodySource, found: () => void): BodySource {
  return {
    empty: body.empty,
    start: (sink) => body.start(new TrailerGuard(sink, found)),
    discard: () => body.discard(),
  }
}

class TrailerGuard implements BodySink {
  readonly #sink: BodySink
  readonly #found: () => void

  constructor(sink: BodySink, found: () => void) {
    this.#sink = sink
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
    if (trailers?.values.some(mayHoldPlaceholder)) {
      this.#found()
      this.#sink.abort(new WireError('cancelled', 'a placeholder stands in the trailers'))
    } else this.#sink.end(trailers)
  }

  abort(fault: WireError): void {
    this.#sink.abort(fault)
  }
}

/**
 * Joins two connections that stopped speaking HTTP. What comes from the upstream is masked (the
 * length stays, so frames stay whole). A half-close goes on; anything else ends both.
 */
export function joinTunnels(
  client: Tunnel,
  upstream: Tunnel,
  needles: Needles | undefined,
  ended: (masked: number) => void,
): { destroy(): void } {
  const mask = needles ? new StreamMask(needles) : undefined
  let open = 2
  const over = () => {
    if (--open === 0) ended(mask?.hits ?? 0)
  }
  const destroy = () => {
    client.socket.destroy()
    upstream.socket.destroy()
  }
  pump(
    client,
    upstream.socket,
    (chunk) => chunk,
    () => undefined,
  )
  pump(
    upstream,
    client.socket,
    (chunk) => (mask ? mask.push(chunk) : chunk),
    () => mask?.end(),
  )
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

function pump(
  from: Tunnel,
  to: Duplex,
  pass: (chunk: Buffer) => Buffer | undefined,
  last: () => Buffer | undefined,
): void {
  const { socket } = from
  const push = (chunk: Buffer): void => {
    const bytes = pass(chunk)
    if (bytes === undefined || to.write(bytes)) return
    socket.pause()
    to.once('drain', () => socket.resume())
  }
  socket.on('data', push)
  socket.once('end', () => {
    const rest = last()
    if (rest) to.end(rest)
    else to.end()
  })
  if (from.rest.length > 0) push(from.rest)
  socket.resume()
}
