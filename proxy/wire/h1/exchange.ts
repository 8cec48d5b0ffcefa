import {
  type BodySink,
  type BodySource,
  type RequestHead,
  type ResponseHead,
  type ServerExchange,
  type Tunnel,
  WireError,
} from '../message.ts'
import { type BodyReader, NO_BODY } from './body-reader.ts'
import { type BodyChannel, BodyWriter } from './body-writer.ts'
import { CHUNKED, CLOSE, type Framing, LENGTH, NONE, writeResponseHead } from './head-writer.ts'
import type { ServerConnection } from './server.ts'

/**
 * One request on a connection, and its answer. Once the connection is gone, or the answer whole, what
 * is still sent goes nowhere.
 */
export class Exchange<S> implements ServerExchange<S>, BodyChannel {
  readonly head: RequestHead
  readonly body: BodySource
  onabort: ((fault: WireError) => void) | undefined
  readonly #connection: ServerConnection<S>
  #writer: BodyWriter | undefined
  #begun = false
  #over = false
  #awaitsContinue: boolean
  #closeDelimited = false

  constructor(connection: ServerConnection<S>, head: RequestHead, body: BodyReader | undefined) {
    this.#connection = connection
    this.head = head
    this.body = body ?? NO_BODY
    this.#awaitsContinue = head.expectContinue
  }

  get session(): S {
    return this.#connection.session
  }

  get limits() {
    return this.#connection.limits
  }

  sendInformational(head: ResponseHead): void {
    if (head.status < 100 || head.status > 199 || head.status === 101) throw misused()
    if (this.#over || this.#begun || this.head.minor === 0) return
    this.#connection.sendText(writeResponseHead(head, NONE, undefined, undefined))
  }

  sendContinue(): void {
    if (!this.#awaitsContinue || this.#begun || this.#over) return
    this.#awaitsContinue = false
    this.#connection.sendText('HTTP/1.1 100 Continue\r\n\r\n')
  }

  sendWhole(head: ResponseHead, body: Buffer | string): void {
    if (this.#over) return
    this.#expectFinal(head.status)
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const bodiless = this.#isBodiless(head.status)
    const length = bodiless ? this.#statedLength(head, bytes.length) : bytes.length
    const connection = this.#connection
    const text = this.#headText(head, bodiless ? NONE : LENGTH, length)
    this.#begun = true
    if (bodiless || bytes.length === 0) connection.sendText(text)
    else if (bytes.length <= connection.limits.joinBytes) connection.sendText(text + bytes.toString('latin1'))
    else connection.sendPiece(text, bytes, '')
    this.bodyWritten()
  }

  sendHead(head: ResponseHead): BodySink {
    if (this.#over) {
      const nowhere = new BodyWriter(this, NONE, 0, '')
      nowhere.shut()
      return nowhere
    }
    this.#expectFinal(head.status)
    const framing = this.#framingOf(head)
    const length = framing === NONE ? this.#statedLength(head, undefined) : head.contentLength
    const text = this.#headText(head, framing, length)
    this.#begun = true
    this.#closeDelimited = framing === CLOSE
    this.#writer = new BodyWriter(this, framing, length ?? 0, text)
    return this.#writer
  }

  breakOff(): void {
    if (this.#over) return
    this.#end()
    this.#connection.breakOff(this.#closeDelimited)
  }

  takeOver(head: ResponseHead): Tunnel {
    if (this.#over) throw new WireError('closed', 'the client went away')
    if (this.#begun || !this.#opensTunnel(head.status)) throw misused()
    const tunnel = this.#connection.handOver(writeResponseHead(head, NONE, undefined, undefined))
    this.#begun = true
    this.#end()
    return tunnel
  }

  // What the connection tells its exchange.

  aborted(fault: WireError): void {
    if (this.#over) return
    const onabort = this.onabort
    this.#end()
    onabort?.(fault)
  }

  drained(): void {
    this.#writer?.drained()
  }

  // What the writer of the body asks of its exchange.

  sendText(latin1: string): boolean {
    return this.#over || this.#connection.sendText(latin1)
  }

  sendBytes(bytes: Buffer): boolean {
    return this.#over || this.#connection.sendBytes(bytes)
  }

  sendPiece(before: string, bytes: Buffer, after: string): boolean {
    return this.#over || this.#connection.sendPiece(before, bytes, after)
  }

  bodyWritten(): void {
    this.#end()
    this.#connection.answered()
  }

  bodyBroken(): void {
    this.breakOff()
  }

  /** One answer, and none that the client would not take for one. */
  #expectFinal(status: number): void {
    if (this.#begun || status < 200 || this.#opensTunnel(status)) throw misused()
  }

  #opensTunnel(status: number): boolean {
    return this.head.method === 'CONNECT' ? status >= 200 && status < 300 : status === 101
  }

  #end(): void {
    this.#over = true
    this.onabort = undefined
    this.#writer?.shut()
    this.#writer = undefined
  }

  #headText(head: ResponseHead, framing: Framing, length: number | undefined): string {
    const word = this.#connection.lastWord(this.head.minor, framing === CLOSE, this.#awaitsContinue)
    return writeResponseHead(head, framing, length, word, this.#connection.lines)
  }

  #framingOf(head: ResponseHead): Framing {
    if (this.#isBodiless(head.status)) return NONE
    if (head.contentLength !== undefined) return LENGTH
    return this.head.minor === 1 ? CHUNKED : CLOSE
  }

  #isBodiless(status: number): boolean {
    return this.head.method === 'HEAD' || status === 204 || status === 304
  }

  /** What Content-Length may say where there is no body: never on 204 (RFC 9110 §8.6). */
  #statedLength(head: ResponseHead, whole: number | undefined): number | undefined {
    if (head.status === 204) return undefined
    return head.contentLength ?? (head.status === 304 ? undefined : whole)
  }
}

function misused(): WireError {
  return new WireError('cancelled', 'an answer that does not belong here')
}
