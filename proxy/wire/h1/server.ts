import type { Duplex } from 'node:stream'
import { LIMITS, type Limits } from '../limits.ts'
import { type ServerHandler, type Tunnel, WireError } from '../message.ts'
import { BodyReader } from './body-reader.ts'
import { Connection } from './connection.ts'
import { Exchange } from './exchange.ts'
import type { IsOurs } from './field-lines.ts'
import { Repetition, type RequestRest, readRequestHead } from './head-reader.ts'
import { CHUNKED, LastLines, LENGTH, NONE, writeResponseHead } from './head-writer.ts'
import { reset } from './socket.ts'

export interface ServerOptions {
  limits?: Readonly<Limits>
  /** Bytes that were read from the socket already. */
  rest?: Buffer
  /** Fields that speak to this side: no `Connection` takes them away. */
  isOurs?: IsOurs
}

export interface ServerConnectionHandle<S> {
  readonly session: S
  /** Ends it now, whatever is under way. */
  destroy(): void
  /** Ends it when the request under way was answered (with Connection: close), or else now. */
  closeWhenIdle(): void
  /** Set by the owner; called once, when the socket is closed or was taken over. */
  onclose: (() => void) | undefined
}

/**
 * Serves HTTP/1.1 and 1.0 on a client's connection: one request after the other, each answered before
 * the next is read. The socket's half-open mode is switched on, and stays on where it is taken over.
 */
export function serveH1<S>(
  socket: Duplex,
  session: S,
  handler: ServerHandler<S>,
  options: ServerOptions = {},
): ServerConnectionHandle<S> {
  return new ServerConnection(socket, session, handler, options)
}

/** Before or in a head; in a body; behind a request that is whole or cut; behind the last answer. */
const HEAD = 0
const BODY = 1
const ANSWER = 2
const LINGER = 3

export class ServerConnection<S> extends Connection implements ServerConnectionHandle<S> {
  readonly session: S
  /** The fields of the last answer. */
  readonly lines = new LastLines(false)
  readonly #handler: ServerHandler<S>
  readonly #isOurs: ServerOptions['isOurs']
  readonly #last = new Repetition<RequestRest>()
  #state: number = HEAD
  #exchange: Exchange<S> | undefined
  #persistent = true
  #closing = false
  #blankSeen = false
  #lingered = 0

  constructor(socket: Duplex, session: S, handler: ServerHandler<S>, options: ServerOptions) {
    const limits = options.limits ?? LIMITS
    super(socket, limits, limits.idleMs)
    this.session = session
    this.#handler = handler
    this.#isOurs = options.isOurs
    socket.allowHalfOpen = true
    if (options.rest === undefined || options.rest.length === 0) return
    this.held = options.rest
    process.nextTick(() => this.pump())
  }

  destroy(): void {
    this.fail(new WireError('cancelled', 'the connection was ended by this side'))
  }

  closeWhenIdle(): void {
    this.#closing = true
    if (this.#state === HEAD && !this.bytes.partial && this.held === undefined) this.#finish()
  }

  // What an exchange asks of its connection.

  /** How a response must end the connection, or keep a 1.0 client's. Decided when its head is written. */
  lastWord(minor: 0 | 1, closeDelimited: boolean, interim: boolean): 'close' | 'keep-alive' | undefined {
    const reader = this.reader
    if (
      closeDelimited ||
      this.#closing ||
      (this.peerEnded && this.held === undefined) ||
      // Whether a body that was never asked for still comes cannot be known (RFC 9110 §10.1.1).
      (this.#state === BODY && reader !== undefined && !reader.wanted && (interim || reader.oversize))
    )
      this.#persistent = false
    if (!this.#persistent) return 'close'
    return minor === 0 ? 'keep-alive' : undefined
  }

  /** The response under way is whole. */
  answered(): void {
    this.#exchange = undefined
    if (this.#state === BODY) {
      const reader = this.reader as BodyReader
      this.readBy = this.clock.after(this.limits.drainMs)
      if (!this.#persistent) this.#finish()
      else if (!reader.started) reader.discard()
      else this.pump()
    } else if (this.#state === ANSWER) {
      this.#proceed()
      // The next request of a pipeline waits until the response's connection is back in its pool.
      if (this.held !== undefined) process.nextTick(() => this.pump())
      else this.pump()
    }
  }

  /** Nobody may take the response for whole. */
  breakOff(closeDelimited: boolean): void {
    this.#exchange = undefined
    this.flush()
    if (closeDelimited) reset(this.socket)
    this.fail(new WireError('cancelled', 'the response was broken off'))
  }

  /** Sends the head and lets go of the socket. */
  handOver(head: string): Tunnel {
    if (this.#state !== ANSWER) throw new WireError('cancelled', 'a request with a body cannot be taken over')
    this.sendText(head)
    const tunnel = this.detach()
    this.#exchange = undefined
    this.retire()
    return tunnel
  }

  override bodyStarted(): void {
    const exchange = this.#exchange
    if (this.held === undefined && exchange !== undefined) exchange.sendContinue()
  }

  protected late(): void {
    if (this.#state === LINGER) this.socket.destroy()
    else if (this.#state === BODY) this.#cut(new WireError('timeout', 'the body does not come', 'body'))
    else if (!this.bytes.partial) this.#finish()
    else this.#refuse(new WireError('timeout', 'the head does not come', 'head'))
  }

  protected step(held: Buffer): boolean {
    if (this.#state === HEAD) return this.full ? false : this.#readHead(held)
    if (this.#state === BODY) return (this.reader as BodyReader).flowing && this.#readBody(held)
    if (this.#state !== LINGER) return false
    this.held = undefined
    this.#lingered += held.length
    if (this.#lingered > this.limits.drainBytes) this.socket.destroy()
    return false
  }

  #readHead(held: Buffer): boolean {
    let bytes = held
    if (!this.bytes.partial && !this.#blankSeen && held[0] === 13 && held[1] === 10) {
      // RFC 9112 §2.2: one empty line before a request is survived. It does not start one.
      this.#blankSeen = true
      bytes = held.subarray(2)
      if (bytes.length === 0) {
        this.held = undefined
        return false
      }
    }
    const begun = this.bytes.partial
    this.held = undefined
    try {
      const text = this.bytes.take(bytes, this.limits.headBytes)
      if (text === undefined) {
        if (!begun) this.readBy = this.clock.after(this.limits.headMs)
        return false
      }
      this.held = this.bytes.rest
      this.bytes.rest = undefined
      const from = !this.#blankSeen && text.startsWith('\r\n') ? 2 : 0
      const { head, persistent } = readRequestHead(text, from, this.limits, this.#last, this.#isOurs)
      // An answer that opens no tunnel is the last: what comes behind was meant for one, and some clients
      // do not let go of the connection themselves.
      this.#persistent = persistent && head.method !== 'CONNECT'
      this.#blankSeen = false
      const framing = head.chunked ? CHUNKED : head.contentLength ? LENGTH : NONE
      this.reader =
        framing === NONE ? undefined : new BodyReader(this, framing, head.contentLength ?? 0, this.limits)
      this.#state = framing === NONE ? ANSWER : BODY
      this.#exchange = new Exchange(this, head, this.reader)
    } catch (fault) {
      if (!(fault instanceof WireError)) throw fault
      this.#refuse(this.#longTarget(fault))
      return false
    }
    this.readBy = 0
    this.#handler.request(this.#exchange)
    return true
  }

  /** A head that is too large because its first line is has a name of its own. */
  #longTarget(fault: WireError): WireError {
    if (fault.fault !== 'head_too_large' || !this.bytes.partial) return fault
    if (this.bytes.first(this.limits.targetBytes + this.limits.methodBytes).includes('\r\n')) return fault
    return new WireError('target_too_long', 'the target is too long', 'head')
  }

  #readBody(held: Buffer): boolean {
    const reader = this.reader as BodyReader
    this.held = undefined
    try {
      this.held = reader.feed(held)
    } catch (fault) {
      if (!(fault instanceof WireError)) throw fault
      this.#cut(fault)
      return false
    }
    if (this.#state !== BODY) return false
    if (reader.done) {
      this.#state = ANSWER
      this.readBy = 0
      reader.end()
      if (this.#state === ANSWER && this.#exchange === undefined) this.#proceed()
      return true
    }
    if (!reader.exhausted) return true
    this.#persistent = false
    this.#state = ANSWER
    if (this.#exchange === undefined) this.#finish()
    return false
  }

  /** The request cannot become whole. Its answer, where one is due, is the last. */
  #cut(fault: WireError): void {
    if (this.#state !== BODY) return
    this.#persistent = false
    this.#state = ANSWER
    this.held = undefined
    this.readBy = 0
    this.reader?.fail(fault)
    if (this.#exchange === undefined) this.#finish()
  }

  #refuse(fault: WireError): void {
    const { head, body } = this.#handler.malformed(fault, this.session)
    const bytes = Buffer.from(body)
    this.sendText(writeResponseHead(head, LENGTH, bytes.length, 'close') + bytes.toString('latin1'))
    this.#finish()
  }

  /** Behind a request and its answer: the next one, or the end. */
  #proceed(): void {
    if (!this.#persistent || this.#closing || (this.peerEnded && this.held === undefined)) this.#finish()
    else {
      this.reader = undefined
      this.#state = HEAD
      this.readBy = this.clock.after(this.limits.idleMs)
    }
  }

  /** Ends this side, and reads away what the other still sends, for a while. */
  #finish(): void {
    if (this.#state === LINGER || this.gone) return
    if (this.#state === BODY)
      this.reader?.fail(new WireError('cancelled', 'the answer did not wait for the body'))
    this.#state = LINGER
    this.held = undefined
    this.readBy = 0
    this.flush()
    this.writeBy = this.clock.after(this.limits.writeStallMs)
    this.socket.end(() => {
      this.writeBy = 0
      if (this.peerEnded) this.socket.destroy()
      else this.readBy = this.clock.after(this.limits.lingerMs)
    })
    this.pump()
  }

  protected settled(reading: boolean): void {
    if (this.#state === BODY && this.#exchange !== undefined)
      this.readBy = reading && this.reader?.flowing ? this.clock.after(this.limits.bodyIdleMs) : 0
  }

  protected ended(): void {
    if (this.#state === HEAD) {
      if (this.bytes.partial) this.#refuse(new WireError('closed', 'the head is not whole', 'head'))
      else this.#finish()
    } else if (this.#state === BODY) this.#cut(new WireError('closed', 'the body is not whole', 'body'))
    else if (this.#state === LINGER && this.socket.writableFinished) this.socket.destroy()
  }

  protected drained(): void {
    this.#exchange?.drained()
    if (this.held !== undefined) this.pump()
  }

  protected fail(fault: WireError): void {
    if (this.gone) return
    const exchange = this.#exchange
    const cut = this.#state === BODY
    this.#exchange = undefined
    this.retire()
    this.socket.destroy()
    exchange?.aborted(fault)
    if (cut) this.reader?.fail(fault)
  }
}
