import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { Bucket, burstOf, type Limits, limitsOf } from '../core/limits.ts'
import type { Caller, Principal } from '../core/words.ts'

/**
 * Connections that have not shown who they are. Many, since each costs little as long as it stays, and one
 * that is closed comes again at once: measured with 5,000 of them (docs/LIMITS.md).
 */
export const NEWCOMERS = 16_384

/** A connection of a client, from its first byte to its end, with whatever is carried in it. */
export interface Client {
  /** Whoever showed a key on it last. */
  principal: string | undefined
  /** It has ended: a look-up of who calls that comes back later finds nobody. */
  left?: boolean
  destroy(): void
}

interface Usage {
  connections: number
  inFlight: number
  readonly bucket: Bucket
}

/**
 * Who uses how much of Locum. Connections without a known caller are bounded all together, the oldest of too
 * many makes room; what a caller does is bounded by its principal's limits, and the actor's where one calls
 * for another.
 */
export class Limiter {
  readonly #clock: Clock
  readonly #usual: Limits
  readonly #newcomers: number
  readonly #unknown = new Set<Client>()
  readonly #usage = new Map<string, Usage>()

  /** `usual`: for every principal that has no limit of its own. */
  constructor(x: { clock: Clock; usual?: Limits; newcomers?: number }) {
    this.#clock = x.clock
    this.#usual = x.usual ?? {}
    this.#newcomers = x.newcomers ?? NEWCOMERS
  }

  /** A connection begins; `leave` has to follow. */
  arrive(client: Client): void {
    this.#unknown.add(client)
    if (this.#unknown.size <= this.#newcomers) return
    const [oldest] = this.#unknown
    if (!oldest) return
    this.#unknown.delete(oldest)
    oldest.destroy()
  }

  /** The caller of a request on a connection is known. Throws overloaded where they have too many. */
  recognize(client: Client, { principal, actor = principal }: Caller): void {
    if (client.principal === actor.id || client.left) return
    const usage = this.#usageOf(actor.id)
    const { connections } = limitsOf(actor.limits, this.#usual)
    if (connections !== undefined && usage.connections >= connections) {
      throw new LocumError(
        'overloaded',
        `\`${actor.id}\` has ${connections} connections open, which is all it may have.`,
        {
          hint: 'Close some, keep connections for more than one request, or ask for a higher `limits: { connections }`.',
        },
      )
    }
    this.#forget(client)
    usage.connections++
    client.principal = actor.id
  }

  leave(client: Client): void {
    client.left = true
    this.#unknown.delete(client)
    this.#forget(client)
  }

  /**
   * A request of a principal begins. Where one calls for another it is entered for both: first for who calls, so
   * that what is refused them takes nothing of the other's. Returns what ends it, undefined where nothing counts it.
   * Throws rate_limited, and overloaded where too many of the principal's are under way.
   */
  enter({ id, limits }: Principal): (() => void) | undefined {
    const { inFlight, rate, burst } = limitsOf(limits, this.#usual)
    if (inFlight === undefined && rate === undefined) return undefined
    const usage = this.#usageOf(id)
    if (inFlight !== undefined && usage.inFlight >= inFlight) {
      throw new LocumError(
        'overloaded',
        `\`${id}\` has ${inFlight} requests under way, which is all it may have.`,
        {
          hint: 'Wait for some of them, or ask for a higher `limits: { inFlight }`.',
        },
      )
    }
    if (rate !== undefined) {
      const wait = usage.bucket.take(this.#clock.now(), rate, burstOf({ rate, burst }))
      if (wait > 0) throw tooFast(`\`${id}\` may send ${rate} requests a second.`, wait, 'limits: { rate }')
    }
    usage.inFlight++
    return () => {
      usage.inFlight--
    }
  }

  #usageOf(id: string): Usage {
    let usage = this.#usage.get(id)
    if (usage === undefined) {
      usage = { connections: 0, inFlight: 0, bucket: new Bucket() }
      this.#usage.set(id, usage)
    }
    return usage
  }

  #forget(client: Client): void {
    this.#unknown.delete(client)
    if (client.principal === undefined) return
    const usage = this.#usage.get(client.principal)
    if (usage) usage.connections--
    client.principal = undefined
  }
}

/** Ends what two have entered; the second is entered while the first holds already. */
export function both(first: (() => void) | undefined, second: (() => void) | undefined): () => void {
  return () => {
    second?.()
    first?.()
  }
}

/** `wait`: ms until there is room. */
export function tooFast(detail: string, wait: number, key: string): LocumError {
  return new LocumError('rate_limited', detail, {
    hint: `Wait as long as Retry-After says, or ask for a higher \`${key}\`.`,
    retryAfter: Math.max(1, Math.ceil(wait / 1000)),
  })
}
