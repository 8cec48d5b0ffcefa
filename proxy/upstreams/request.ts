import { asLocumError, LocumError } from '../../core/errors.ts'
import {
  type BodySource,
  type RequestHead,
  type ResponseHandler,
  type ResponseHead,
  type Tunnel,
  WireError,
} from '../wire/message.ts'
import type { Dial } from './dial.ts'
import { wireError } from './faults.ts'
import type { Line, Pool } from './pool.ts'
import type { Sending, UpstreamHandler } from './spec.ts'

/** RFC 9110 §9.2.2. TRACE is never sent. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/** One request on its way: first without a line, then on one, then over. */
export class UpstreamRequest implements Sending, ResponseHandler {
  readonly #pool: Pool
  readonly #head: RequestHead
  readonly #body: BodySource | undefined
  readonly #handler: UpstreamHandler
  /** The connection that carries it; none once the response is whole. */
  line: Line | undefined
  /** The dial that was started for it, as long as it has no line. */
  dial: Dial | undefined
  #timer: NodeJS.Timeout | undefined
  #tunnel: Tunnel | undefined
  #sentAgain = false
  #answered = false
  #over = false

  constructor(pool: Pool, head: RequestHead, body: BodySource | undefined, handler: UpstreamHandler) {
    this.#pool = pool
    this.#head = head
    this.#body = body
    this.#handler = handler
  }

  get unanswered(): boolean {
    return !this.#answered && !this.#over
  }

  /** Bounds the time without a line. */
  wait(ms: number): void {
    this.#timer = setTimeout(expire, ms, this)
  }

  expire(): void {
    this.#pool.leave(this)
    this.fail(new LocumError('overloaded', 'No connection to the upstream became free in time.'))
  }

  /** Goes out on `line`. */
  travel(line: Line): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    // A dial still under way brings a connection for somebody else.
    this.dial = undefined
    this.line = line
    line.request = this
    try {
      line.connection.send(this.#head, this.#body, this)
    } catch (thrown) {
      if (this.line === line) this.#pool.drop(line)
      this.fail(thrown instanceof WireError ? unsendable(thrown) : asLocumError(thrown))
    }
  }

  informational(head: ResponseHead): void {
    if (!this.#over) this.#handler.informational(head)
  }

  response(head: ResponseHead, body: BodySource): void {
    if (this.#over) return
    if (head.status === 407) {
      // Only a proxy may ask for that, and there is none between (R10).
      if (this.line) this.#pool.drop(this.line)
      this.fail(new LocumError('upstream_invalid', 'The upstream asked for proxy authentication.'))
      return
    }
    this.#answered = true
    this.#handler.response(head, body)
  }

  upgraded(head: ResponseHead, tunnel: Tunnel): void {
    if (this.line) this.#pool.release(this.line)
    if (this.#over) {
      tunnel.socket.destroy()
      return
    }
    this.#tunnel = tunnel
    this.#answered = true
    this.#handler.upgraded(head, tunnel)
  }

  failed(fault: WireError, untouched: boolean): void {
    const line = this.line
    if (untouched && line && !this.#sentAgain && IDEMPOTENT.has(this.#head.method)) {
      // The other side closed the idle connection while the request was on its way to it.
      this.#sentAgain = true
      this.#pool.replace(line, this)
      return
    }
    if (line) this.#pool.drop(line)
    this.fail(wireError(fault))
  }

  /** The response is whole, and the connection somebody else's. */
  finish(): void {
    this.line = undefined
    this.#over = true
  }

  /** Ends it without a response; does nothing where there was one, or the client is gone. */
  fail(error: LocumError): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    if (this.#over || this.#answered) return
    this.#over = true
    this.#handler.failed(error)
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    if (this.#tunnel) this.#tunnel.socket.destroy()
    else if (this.line) this.#pool.drop(this.line)
    else this.#pool.leave(this)
  }
}

/** Thrown by `send`, a fault is the request's own. */
function unsendable(cause: WireError): LocumError {
  return new LocumError('bad_request', 'The request cannot be written as valid HTTP.', { cause })
}

function expire(request: UpstreamRequest): void {
  request.expire()
}
