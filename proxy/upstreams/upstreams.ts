import type { Socket } from 'node:net'
import type { Egress } from '../../core/egress.ts'
import { LocumError } from '../../core/errors.ts'
import type { BodySource, ClientConnection, RequestHead } from '../wire/message.ts'
import { type Listener, type Lookup, systemAddresses } from './addresses.ts'
import { Dial, type Dialled } from './dial.ts'
import { UPSTREAM_LIMITS, type UpstreamLimits } from './limits.ts'
import { Lookups } from './lookups.ts'
import { Parent } from './parent.ts'
import { type Line, Pool, type PoolContext } from './pool.ts'
import { UpstreamRequest } from './request.ts'
import { type Sending, sameUpstream, type UpstreamHandler, type UpstreamSpec } from './spec.ts'
import { TlsMemory } from './tls.ts'

export interface UpstreamsOptions {
  /** HTTP on a connected socket. */
  readonly connect: (socket: Socket) => ClientConnection
  readonly lookup: Lookup
  /** Asked at each dial; a Unix socket has no place in it. */
  readonly ownListeners: () => readonly Listener[]
  /** This host's own addresses, for listeners on all of them. The interfaces' unless told. */
  readonly localAddresses?: () => readonly string[]
  readonly limits?: Partial<UpstreamLimits>
  /** The parent proxy of every dial. One for the life of it, so that no connection is of another way. */
  readonly egress?: Egress
}

/** Numbers for metrics; the last three only grow. */
export interface UpstreamCounts {
  readonly keys: number
  readonly connections: number
  readonly idle: number
  readonly dialling: number
  readonly waiting: number
  /** Open sockets: connections, tunnels, and what is being dialled. */
  readonly sockets: number
  readonly dialled: number
  readonly reused: number
  readonly sentAgain: number
}

/**
 * The way to every upstream: a pool of connections for each key, a queue where they are all busy, and
 * dials that keep to the network's rules. An idempotent request that met a connection closed meanwhile
 * goes out once more.
 */
export class Upstreams {
  readonly #pools = new Map<string, Pool>()
  readonly #sockets = new Set<Socket>()
  /** Those that belong to no pool, with who waits for them. */
  readonly #dials = new Map<Dial, Dialled>()
  readonly #tls: TlsMemory
  readonly #context: PoolContext
  #closed = false

  constructor(options: UpstreamsOptions) {
    const limits: UpstreamLimits = { ...UPSTREAM_LIMITS, ...options.limits }
    this.#tls = new TlsMemory(limits)
    const dialling = {
      limits,
      lookups: new Lookups(options.lookup),
      ownListeners: options.ownListeners,
      localAddresses: options.localAddresses ?? systemAddresses,
      tls: this.#tls,
      opened: (socket: Socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
      },
    }
    const parent = options.egress && new Parent(options.egress, dialling, options.connect)
    this.#context = {
      limits,
      connect: options.connect,
      idle: new Set<Line>(),
      totals: { dialled: 0, reused: 0, sentAgain: 0 },
      emptied: (pool) => {
        if (this.#pools.get(pool.spec.key) === pool) this.#pools.delete(pool.spec.key)
      },
      dialling: { ...dialling, parent },
    }
  }

  /** Sends a request by a connection of `spec.key`. Never throws: what fails, the handler hears. */
  send(
    spec: UpstreamSpec,
    head: RequestHead,
    body: BodySource | undefined,
    handler: UpstreamHandler,
  ): Sending {
    let pool = this.#pools.get(spec.key)
    if (pool === undefined) {
      pool = new Pool(this.#context, spec)
      if (!this.#closed) this.#pools.set(spec.key, pool)
    }
    const request = new UpstreamRequest(pool, head, body, handler)
    if (this.#closed) request.fail(stopping())
    // One key must mean one upstream: anything else would take a credential to the wrong host.
    else if (!sameUpstream(pool.spec, spec)) {
      request.fail(new LocumError('internal', 'Two upstreams have the same key.'))
    } else pool.take(request)
    return request
  }

  /**
   * A socket of its own to `spec`, outside every pool: judged, by the parent proxy where there is one,
   * with TLS unless it is `raw`. `done` as a Dial calls it; the socket is the caller's.
   */
  dial(spec: UpstreamSpec, done: Dialled): { cancel(): void } {
    const dial = new Dial(this.#context.dialling, spec, (error, socket) => {
      this.#dials.delete(dial)
      done(error, socket)
    })
    if (this.#closed) done(stopping(), undefined)
    else {
      this.#dials.set(dial, done)
      dial.start()
    }
    return {
      cancel: () => {
        this.#dials.delete(dial)
        dial.cancel()
      },
    }
  }

  closeIdle(): void {
    for (const pool of this.#pools.values()) pool.dropIdle()
  }

  /** Connections of those keys serve no further request: idle ones end now, busy ones when they have answered. */
  forget(predicate: (key: string) => boolean): void {
    for (const pool of this.#pools.values()) if (predicate(pool.spec.key)) pool.retire()
    this.#tls.forgetWhere(predicate)
  }

  /** Ends every connection and tunnel now; requests without an answer fail with `overloaded`. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true
    for (const pool of this.#pools.values()) pool.close(stopping())
    for (const [dial, done] of this.#dials) {
      dial.cancel()
      done(stopping(), undefined)
    }
    this.#dials.clear()
    const open = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(open)
  }

  get counts(): UpstreamCounts {
    let connections = 0
    let dialling = 0
    let waiting = 0
    for (const pool of this.#pools.values()) {
      connections += pool.lines.size
      dialling += pool.dials.size
      waiting += pool.queue.size
    }
    return {
      keys: this.#pools.size,
      connections,
      idle: this.#context.idle.size,
      dialling,
      waiting,
      sockets: this.#sockets.size,
      ...this.#context.totals,
    }
  }
}

function stopping(): LocumError {
  return new LocumError('overloaded', 'Locum is stopping.')
}
