import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { LIMITS, type Limits } from '../limits.ts'
import {
  type BodySource,
  type ClientConnection,
  type RequestHead,
  type ResponseHandler,
  type ResponseHead,
  WireError,
} from '../message.ts'
import { BodyReader, NO_BODY } from './body-reader.ts'
import { type BodyChannel, BodyWriter } from './body-writer.ts'
import { Connection } from './connection.ts'
import { type ReadResponse, Repetition, readResponseHead } from './head-reader.ts'
import { CHUNKED, CLOSE, type Framing, LastLines, LENGTH, NONE, writeRequestHead } from './head-writer.ts'

export interface ClientOptions {
  limits?: Readonly<Limits>
}

/**
 * Speaks HTTP/1.1 as a client on a socket that is connected. A response is whole before `onidle`:
 * from then on whoever sent the request has nothing to do with the connection any more. A fault of
 * phase `body` in `failed` is the request body's own, as its source told it; any other the upstream's.
 */
export function connectH1(socket: Socket | Duplex, options: ClientOptions = {}): ClientConnection {
  return new UpstreamConnection(socket, options)
}

/** Without a request; waiting for a response's head; in its body. */
const IDLE = 0
const HEAD = 1
const BODY = 2

const KEEP_ALIVE_MARGIN_MS = 1000

class UpstreamConnection extends Connection implements ClientConnection, BodyChannel {
  onidle: (() => void) | undefined
  readonly #last = new Repetition<ReadResponse>()
  readonly #lines = new LastLines(true)
  #state: number = IDLE
  #handler: ResponseHandler | undefined
  #method = ''
  #upgrade: string | undefined
  #framing: Framing = NONE
  #length = 0
  /** The request's body, until all of it was sent. */
  #source: BodySource | undefined
  #sourceStarted = false
  #writer: BodyWriter | undefined
  #sent = true
  #persistent = true
  #keepAliveMs: number
  #interims = 0
  #answered = false
  #served = false
  #continueBy = 0

  constructor(socket: Duplex, options: ClientOptions) {
    const limits = options.limits ?? LIMITS
    super(socket, limits, limits.upstreamIdleMs)
    this.#keepAliveMs = limits.upstreamIdleMs
  }

  /** Throws WireError malformed where the head cannot be sent, and cancelled where one is under way. */
  send(head: RequestHead, body: BodySource | undefined, handler: ResponseHandler): void {
    if (this.gone) {
      queueMicrotask(() =>
        handler.failed(this.fault ?? new WireError('closed', 'the connection is over'), true),
      )
      return
    }
    if (this.#state !== IDLE) throw new WireError('cancelled', 'a request is under way')
    const source = body === undefined || body.empty ? undefined : body
    const framing = head.chunked ? CHUNKED : head.contentLength ? LENGTH : NONE
    if ((framing === NONE) !== (source === undefined))
      throw new WireError('overrun', 'the body and the head do not go together')
    const text = writeRequestHead(head, this.#lines)
    this.#state = HEAD
    this.#handler = handler
    this.#method = head.method
    this.#upgrade = head.upgrade
    this.#framing = framing
    this.#length = head.contentLength ?? 0
    this.#source = source
    this.#sourceStarted = false
    this.#interims = 0
    this.#answered = false
    this.readBy = 0
    if (source === undefined) {
      this.sendText(text)
      this.bodyWritten()
      return
    }
    this.#sent = false
    if (!head.expectContinue) this.#startBody(text)
    else {
      this.sendText(text)
      this.#continueBy = this.clock.after(this.limits.continueMs)
    }
  }

  destroy(): void {
    this.#handler = undefined
    this.#leave()
  }

  bodyWritten(): void {
    this.#sent = true
    this.#source = undefined
    this.#writer = undefined
    if (this.#state === HEAD) this.readBy = this.clock.after(this.limits.responseMs)
  }

  bodyBroken(fault: WireError): void {
    this.fail(fault)
  }

  override tick(now: number): void {
    super.tick(now)
    if (this.#continueBy !== 0 && now > this.#continueBy) this.#startBody('')
  }

  protected late(): void {
    if (this.#state === IDLE) this.#leave()
    else if (this.#state === HEAD) this.fail(new WireError('timeout', 'no response came', 'response'))
    else this.fail(new WireError('timeout', 'the body does not come', 'body'))
  }

  #startBody(head: string): void {
    this.#continueBy = 0
    this.#sourceStarted = true
    this.#writer = new BodyWriter(this, this.#framing, this.#length, head)
    this.#source?.start(this.#writer)
  }

  /** What is left of the request's body is not wanted. One that was never started stays the caller's. */
  #stopBody(): void {
    const source = this.#sourceStarted ? this.#source : undefined
    this.#source = undefined
    this.#continueBy = 0
    this.#writer?.shut()
    this.#writer = undefined
    source?.discard()
  }

  protected step(held: Buffer): boolean {
    if (this.#state === HEAD) return this.#readHead(held)
    if (this.#state === BODY) return (this.reader as BodyReader).flowing && this.#readBody(held)
    // Nobody asked: a response staged for the next request, or an answer to more than was sent.
    this.fail(new WireError('malformed', 'bytes on an idle connection'))
    return false
  }

  #readHead(held: Buffer): boolean {
    this.#answered = true
    this.held = undefined
    let response: ReadResponse
    try {
      const text = this.bytes.take(held, this.limits.headBytes)
      if (text === undefined) return false
      this.held = this.bytes.rest
      this.bytes.rest = undefined
      response = readResponseHead(text, this.limits, this.#last)
    } catch (fault) {
      if (!(fault instanceof WireError)) throw fault
      this.fail(fault)
      return false
    }
    const { head } = response
    const { status } = head
    if (status === 101 || (this.#method === 'CONNECT' && status >= 200 && status < 300)) this.#handOver(head)
    else if (status < 200) this.#interim(response)
    else this.#respond(response)
    return true
  }

  #interim(response: ReadResponse): void {
    const { head } = response
    if (++this.#interims > this.limits.interims) this.fail(malformed('a flood of interim responses'))
    else if (response.chunked || head.contentLength !== undefined)
      this.fail(malformed('an interim response with a body'))
    else if (head.status !== 100) this.#handler?.informational(head)
    else if (this.#continueBy !== 0) this.#startBody('')
  }

  #respond(response: ReadResponse): void {
    const { head } = response
    this.#persistent = response.persistent
    if (response.keepAliveMs !== undefined)
      this.#keepAliveMs = Math.min(this.limits.upstreamIdleMs, response.keepAliveMs - KEEP_ALIVE_MARGIN_MS)
    this.readBy = 0
    // A body that still waits is not wanted, nor is the rest of one that was refused (RFC 9112 §9.3).
    if (this.#continueBy !== 0 || (!this.#sent && head.status >= 400)) this.#stopBody()
    const framing = this.#framingOf(response)
    const handler = this.#handler as ResponseHandler
    if (framing === NONE) {
      this.#handler = undefined
      this.#state = IDLE
      handler.response(head, NO_BODY)
      this.#rest()
      return
    }
    this.#state = BODY
    this.reader = new BodyReader(this, framing, head.contentLength ?? 0, this.limits)
    handler.response(head, this.reader)
  }

  /** RFC 9112 §6.3. */
  #framingOf(response: ReadResponse): Framing {
    const { head } = response
    if (this.#method === 'HEAD' || head.status === 204 || head.status === 304) return NONE
    if (response.chunked) return CHUNKED
    if (head.contentLength === undefined) return CLOSE
    return head.contentLength === 0 ? NONE : LENGTH
  }

  #readBody(held: Buffer): boolean {
    const reader = this.reader as BodyReader
    this.held = undefined
    try {
      this.held = reader.feed(held)
    } catch (fault) {
      if (!(fault instanceof WireError)) throw fault
      this.fail(fault)
      return false
    }
    if (this.#state !== BODY) return false
    if (reader.exhausted) this.#leave()
    else if (reader.done) this.#complete()
    return true
  }

  #complete(): void {
    const reader = this.reader as BodyReader
    this.reader = undefined
    this.#handler = undefined
    this.#state = IDLE
    this.readBy = 0
    if (reader.endsByClose) this.#persistent = false
    reader.end()
    this.#rest()
  }

  /** Behind a whole response. Whatever is odd about it ends the connection. */
  #rest(): void {
    if (this.#state !== IDLE) return
    this.#served = true
    if (!this.#sent || !this.#persistent || this.held !== undefined || this.peerEnded) {
      this.#leave()
      return
    }
    this.readBy = this.clock.after(this.#keepAliveMs)
    this.rest()
    this.onidle?.()
  }

  #handOver(head: ResponseHead): void {
    const asked = this.#method === 'CONNECT' ? head.status !== 101 : isOneOf(head.upgrade, this.#upgrade)
    if (!asked || !this.#sent) {
      this.fail(malformed('a change of protocol that nobody asked for'))
      return
    }
    const handler = this.#handler as ResponseHandler
    const tunnel = this.detach()
    this.#state = IDLE
    this.retire()
    handler.upgraded(head, tunnel)
  }

  protected settled(reading: boolean): void {
    if (this.#state === BODY)
      this.readBy = reading && this.reader?.flowing ? this.clock.after(this.limits.responseIdleMs) : 0
  }

  protected ended(): void {
    if (this.#state === BODY && this.reader?.endsByClose) this.#complete()
    else this.fail(new WireError('closed', 'the upstream ended the connection'))
  }

  protected drained(): void {
    this.#writer?.drained()
  }

  /** Ends the connection, and tells whoever waits for a response. */
  protected fail(fault: WireError): void {
    if (this.gone) return
    const state = this.#state
    const handler = this.#handler
    const reader = this.reader
    const untouched = this.#served && !this.#answered && !this.#sourceStarted && fault.fault !== 'timeout'
    this.fault ??= fault
    this.#handler = undefined
    this.#leave()
    if (handler === undefined) return
    if (state === HEAD) handler.failed(fault, untouched)
    else reader?.fail(fault)
  }

  #leave(): void {
    if (this.gone) return
    this.retire()
    this.#stopBody()
    this.socket.destroy()
  }
}

/** Whether the server took one of the protocols that were offered (RFC 9110 §7.8). */
function isOneOf(taken: string | undefined, offered: string | undefined): boolean {
  if (taken === undefined || offered === undefined) return false
  const protocol = taken.trim().toLowerCase()
  return offered.split(',').some((one) => one.trim().toLowerCase() === protocol)
}

function malformed(detail: string): WireError {
  return new WireError('malformed', detail, 'response')
}
