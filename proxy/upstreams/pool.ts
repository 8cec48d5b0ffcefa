import type { Socket } from 'node:net'
import { LocumError } from '../../core/errors.ts'
import type { ClientConnection } from '../wire/message.ts'
import { Dial, type DialContext } from './dial.ts'
import type { UpstreamLimits } from './limits.ts'
import type { UpstreamRequest } from './request.ts'
import type { UpstreamSpec } from './spec.ts'

/** What the pools of a process share. */
export interface PoolContext {
  readonly limits: UpstreamLimits
  readonly dialling: DialContext
  readonly connect: (socket: Socket) => ClientConnection
  /** Every idle line, the one idle longest first. */
  readonly idle: Set<Line>
  readonly totals: { dialled: number; reused: number; sentAgain: number }
  /** A pool has nothing left. */
  readonly emptied: (pool: Pool) => void
}

/** A pooled connection. */
export class Line {
  readonly connection: ClientConnection
  readonly pool: Pool
  request: UpstreamRequest | undefined
  /** Serves no further request. */
  retired = false

  constructor(pool: Pool, connection: ClientConnection) {
    this.pool = pool
    this.connection = connection
    connection.onidle = () => pool.settle(this)
    connection.onclose = () => pool.ended(this)
  }
}

/**
 * The connections of one key, last in, first out. A place is a line or a dial; whatever ends frees its
 * place at once, and the first request in the queue takes it. Nothing here waits without a bound.
 */
export class Pool {
  readonly spec: UpstreamSpec
  readonly lines = new Set<Line>()
  readonly dials = new Set<Dial>()
  /** Requests without a line, in the order they came. Some have a dial of their own under way. */
  readonly queue = new Set<UpstreamRequest>()
  readonly #context: PoolContext
  readonly #idle: Line[] = []
  #closed = false

  constructor(context: PoolContext, spec: UpstreamSpec) {
    this.#context = context
    this.spec = spec
  }

  take(request: UpstreamRequest): void {
    const line = this.#idle.pop()
    if (line !== undefined) {
      this.#context.idle.delete(line)
      this.#context.totals.reused++
      request.travel(line)
      return
    }
    const { limits } = this.#context
    if (!this.#hasPlace() && this.queue.size >= limits.queuePerKey) {
      request.fail(new LocumError('overloaded', 'Too many requests wait for this upstream.'))
      return
    }
    this.queue.add(request)
    request.wait(limits.queueWaitMs)
    if (this.#hasPlace()) this.#dial(request)
  }

  /** A request gives up waiting. */
  leave(request: UpstreamRequest): void {
    this.queue.delete(request)
    const { dial } = request
    request.dial = undefined
    if (dial === undefined) return
    dial.cancel()
    this.dials.delete(dial)
    this.#refill()
  }

  /** A line's response is whole: the next in the queue, or else idle. */
  settle(line: Line): void {
    line.request?.finish()
    line.request = undefined
    if (!this.lines.has(line)) return
    if (line.retired) {
      this.drop(line)
      return
    }
    const next = this.queue.size === 0 ? undefined : first(this.queue)
    if (next === undefined) {
      this.#rest(line)
      return
    }
    this.queue.delete(next)
    this.#context.totals.reused++
    next.travel(line)
  }

  /** The request on `line` goes out again, on a fresh connection in the same place. */
  replace(line: Line, request: UpstreamRequest): void {
    this.#forget(line)
    line.connection.destroy()
    request.line = undefined
    this.#context.totals.sentAgain++
    this.#dial(request)
  }

  /** Ends the line. */
  drop(line: Line): void {
    const had = this.#forget(line)
    line.connection.destroy()
    if (had) this.#refill()
  }

  /** The line ended by itself. A request without an answer is told next, and decides about the place. */
  ended(line: Line): void {
    if (line.request?.unanswered !== true) this.release(line)
  }

  /** The line is no more, or became a tunnel. */
  release(line: Line): void {
    if (this.#forget(line)) this.#refill()
  }

  dropIdle(): void {
    while (this.#idle.length > 0) this.drop(this.#idle[0] as Line)
  }

  /** What is idle ends now, what is busy when it has answered. */
  retire(): void {
    for (const line of this.lines) line.retired = true
    this.dropIdle()
  }

  /** Ends everything; what has no answer yet fails with `error`. */
  close(error: LocumError): void {
    this.#closed = true
    for (const request of this.queue) {
      this.leave(request)
      request.fail(error)
    }
    for (const dial of this.dials) dial.cancel()
    this.dials.clear()
    for (const line of this.lines) {
      const { request } = line
      this.drop(line)
      request?.fail(error)
    }
  }

  #hasPlace(): boolean {
    return !this.#closed && this.lines.size + this.dials.size < this.#context.limits.connectionsPerKey
  }

  #dial(request: UpstreamRequest): void {
    const dial: Dial = new Dial(this.#context.dialling, this.spec, (error, socket) => {
      this.dials.delete(dial)
      const owner = request.dial === dial ? request : undefined
      if (owner) owner.dial = undefined
      if (socket) this.#dialled(socket, owner)
      else if (owner && error) {
        this.queue.delete(owner)
        owner.fail(error)
      }
      this.#refill()
    })
    this.dials.add(dial)
    request.dial = dial
    dial.start()
  }

  #dialled(socket: Socket, owner: UpstreamRequest | undefined): void {
    this.#context.totals.dialled++
    const line = new Line(this, this.#context.connect(socket))
    this.lines.add(line)
    const request = owner ?? first(this.queue)
    if (request === undefined) {
      this.#rest(line)
      return
    }
    this.queue.delete(request)
    request.travel(line)
  }

  #rest(line: Line): void {
    const { idle, limits } = this.#context
    if (this.#idle.length >= limits.idlePerKey) this.drop(this.#idle[0] as Line)
    if (idle.size >= limits.idleOverAll) {
      const oldest = first(idle) as Line
      oldest.pool.drop(oldest)
    }
    this.#idle.push(line)
    idle.add(line)
  }

  /** Takes the line out of everything. False where it was out already. */
  #forget(line: Line): boolean {
    if (!this.lines.delete(line)) return false
    if (line.request) line.request.line = undefined
    line.request = undefined
    line.connection.onidle = undefined
    line.connection.onclose = undefined
    if (this.#context.idle.delete(line)) this.#idle.splice(this.#idle.indexOf(line), 1)
    return true
  }

  /** Lets those dial that wait for a place. */
  #refill(): void {
    for (const request of this.queue) {
      if (!this.#hasPlace()) return
      if (request.dial === undefined) this.#dial(request)
    }
    if (this.lines.size + this.dials.size + this.queue.size === 0) this.#context.emptied(this)
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const entry of set) return entry
  return undefined
}
