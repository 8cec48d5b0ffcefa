import type { Duplex } from 'node:stream'

/**
 * HTTP messages as the rest of the program sees them: heads are models, bodies are pushed
 * from a source into a sink. Nothing here knows which version of HTTP is on the socket.
 */

/**
 * Header fields in the order they came. Names keep their spelling for the wire and are compared
 * in lower case. Values are latin1 strings without leading or trailing blanks (RFC 9110 §5.5).
 */
export class Fields {
  /** Lower-case names; the same index in `spelled` and `values` is the same field. */
  readonly names: string[]
  readonly spelled: string[]
  readonly values: string[]

  constructor(names: string[] = [], spelled: string[] = [], values: string[] = []) {
    this.names = names
    this.spelled = spelled
    this.values = values
  }

  get size(): number {
    return this.names.length
  }

  /** The first value of that name; `name` is lower case. */
  get(name: string): string | undefined {
    const at = this.names.indexOf(name)
    return at < 0 ? undefined : this.values[at]
  }

  /** Every value of that name, in order; `name` is lower case. */
  all(name: string): string[] {
    return this.values.filter((_, i) => this.names[i] === name)
  }

  has(name: string): boolean {
    return this.names.includes(name)
  }

  /** Adds a field at the end. `lower` spares the conversion where it is known. */
  append(name: string, value: string, lower: string = name.toLowerCase()): this {
    this.names.push(lower)
    this.spelled.push(name)
    this.values.push(value)
    return this
  }

  /** Leaves exactly one field of that name, at the place of the first or else at the end. */
  set(name: string, value: string): this {
    const lower = name.toLowerCase()
    const at = this.names.indexOf(lower)
    if (at < 0) return this.append(name, value, lower)
    this.spelled[at] = name
    this.values[at] = value
    for (let i = this.names.length - 1; i > at; i--) if (this.names[i] === lower) this.removeAt(i)
    return this
  }

  /** Removes every field of that name; `name` is lower case. */
  delete(name: string): boolean {
    const before = this.names.length
    for (let i = before - 1; i >= 0; i--) if (this.names[i] === name) this.removeAt(i)
    return this.names.length !== before
  }

  /** Gives the field at that place another name. */
  rename(i: number, name: string): void {
    this.names[i] = name.toLowerCase()
    this.spelled[i] = name
  }

  removeAt(i: number): void {
    this.names.splice(i, 1)
    this.spelled.splice(i, 1)
    this.values.splice(i, 1)
  }

  copy(): Fields {
    return new Fields(this.names.slice(), this.spelled.slice(), this.values.slice())
  }

  static from(pairs: Iterable<readonly [string, string]>): Fields {
    const fields = new Fields()
    for (const [name, value] of pairs) fields.append(name, value)
    return fields
  }
}

/**
 * A request's head. What belongs to one connection only (Connection and what it names, Keep-Alive,
 * TE, Transfer-Encoding, Upgrade, Proxy-Connection; RFC 9110 §7.6.1) is taken out of `fields` when
 * it is read, and so are Host, Content-Length and Expect: they live in the members below, and the
 * writer makes them again. Proxy-Authorization stays in `fields` until the reader has used it.
 */
export interface RequestHead {
  method: string
  /** As it came: origin form, absolute form, authority form (CONNECT) or `*`. Bytes 0x21–0x7E only. */
  target: string
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  minor: 0 | 1
  /** The Host field's value. Always there in HTTP/1.1 (it may be empty). */
  host: string | undefined
  fields: Fields
  /** Bytes, where Content-Length said so. Undefined: no body, or one of unknown length. */
  contentLength: number | undefined
  /** A body of unknown length comes (chunked). */
  chunked: boolean
  /** The protocols of Upgrade, where Connection names it (HTTP/1.1 only). */
  upgrade: string | undefined
  /** Expect: 100-continue. */
  expectContinue: boolean
}

/** A response's head, with the same fields taken out. */
export interface ResponseHead {
  status: number
  reason: string
  fields: Fields
  /** Bytes, where Content-Length said so; for HEAD and 304 it is what a GET would have. */
  contentLength: number | undefined
  /** The protocol of a 101. */
  upgrade?: string | undefined
}

/** Where a body goes. After `end` or `abort` nothing more is written. */
export interface BodySink {
  /** Set by the writer; called once after a `write` that returned false, when there is room again. */
  ondrain: (() => void) | undefined
  /**
   * False: wait for `ondrain`. The sink may write over the chunk, and copies what it keeps of it, since its
   * memory is read into again; only of 64 KiB and more (`gatherBytes`) it may keep the chunk itself, and
   * then says false.
   */
  write(chunk: Buffer): boolean
  end(trailers?: Fields): void
  /** The body ended before its end: the sink must not let it pass as whole. */
  abort(fault: WireError): void
}

/** Where a body comes from. Nothing is read from the socket beyond one chunk until `start`. */
export interface BodySource {
  /** True where there is certainly no body: `start` then ends the sink at once. */
  readonly empty: boolean
  /** Pushes the whole body into the sink, keeping to its back-pressure. At most once. */
  start(sink: BodySink): void
  /** The body is not wanted: what is left is drained up to a limit, or else the connection closes. */
  discard(): void
}

/** A connection that stopped speaking HTTP: CONNECT's 2xx, or a 101. */
export interface Tunnel {
  readonly socket: Duplex
  /** Bytes that were read behind the head. */
  readonly rest: Buffer
}

/** One request on a client's connection. `S` is what the listener keeps for the connection. */
export interface ServerExchange<S> {
  readonly session: S
  readonly head: RequestHead
  readonly body: BodySource
  /** Set by the handler; called at most once, when the connection went before the response was whole. */
  onabort: ((fault: WireError) => void) | undefined
  /** A 1xx other than 100 and 101; left out for HTTP/1.0. (100 is sent when the body is started.) */
  sendInformational(head: ResponseHead): void
  /** The whole response in one write. For HEAD, 204 and 304 the body's bytes are left out. */
  sendWhole(head: ResponseHead, body: Buffer | string): void
  /**
   * The head, and a sink for the body: framed by `head.contentLength` where it is known (more or
   * fewer bytes than that break the connection off), else chunked, or by close for HTTP/1.0.
   */
  sendHead(head: ResponseHead): BodySink
  /** Breaks the connection off so that nobody takes the response for whole. */
  breakOff(): void
  /** Sends the head (CONNECT's 2xx, or 101) and hands the connection over. */
  takeOver(head: ResponseHead): Tunnel
}

export interface ServerHandler<S> {
  request(exchange: ServerExchange<S>): void
  /** What to say to a peer whose bytes are not a request. The connection closes after it. */
  malformed(fault: WireError, session: S): { head: ResponseHead; body: string }
}

/** What a client's connection tells of one request. Exactly one of the last three comes. */
export interface ResponseHandler {
  /** A 1xx other than 100 and 101. */
  informational(head: ResponseHead): void
  response(head: ResponseHead, body: BodySource): void
  /** A 101, only where the request asked for it. */
  upgraded(head: ResponseHead, tunnel: Tunnel): void
  /**
   * There is no response. `untouched`: the connection was a reused one and ended without a single
   * byte of an answer, and no byte of a request body was taken from its source, so that an idempotent request may be sent again.
   */
  failed(fault: WireError, untouched: boolean): void
}

/** One connection to an upstream, used for one request at a time. */
export interface ClientConnection {
  /**
   * Sends a request and its body. Framing follows `head.contentLength` and `head.chunked`, whatever
   * the method. With `head.expectContinue` the body starts on 100, or after a wait, and never after
   * a final answer. An answer may come before the request is whole.
   */
  send(head: RequestHead, body: BodySource | undefined, handler: ResponseHandler): void
  /** Ends it now; a request under way gets no more calls. */
  destroy(): void
  /** Set by the pool; called each time a response is whole and the connection can serve again. */
  onidle: (() => void) | undefined
  /** Set by the pool; called once, when it can serve no more. */
  onclose: (() => void) | undefined
}

/**
 * malformed: not one unambiguous message. head_too_large, target_too_long: over a limit.
 * version: not HTTP/1.0 or 1.1. timeout: see `phase`. closed: the peer ended in the middle.
 * reset: the socket broke. overrun: more or fewer bytes than the head said. cancelled: by this side.
 */
export type WireFault =
  | 'malformed'
  | 'head_too_large'
  | 'target_too_long'
  | 'version'
  | 'timeout'
  | 'closed'
  | 'reset'
  | 'overrun'
  | 'cancelled'

/** `detail` is a fixed text for people: it never holds bytes from the wire. */
export class WireError extends Error {
  readonly fault: WireFault
  readonly detail: string
  readonly phase: 'head' | 'body' | 'idle' | 'write' | 'response' | undefined

  constructor(fault: WireFault, detail: string, phase?: WireError['phase']) {
    super(detail)
    this.fault = fault
    this.detail = detail
    this.phase = phase
  }
}
