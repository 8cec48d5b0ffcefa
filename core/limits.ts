import { LocumError } from './errors.ts'

/** How much of Locum a principal may use. What is left out has no bound of its own. */
export interface Limits {
  /** Connections of its clients that are open at once. */
  readonly connections?: number
  /** Requests under way at once, upgraded connections and tunnels that pass untouched among them. */
  readonly inFlight?: number
  /** Requests a second, in the long run. */
  readonly rate?: number
  /** Requests at once after a pause; one second's unless told. */
  readonly burst?: number
}

/** How often a connection may be used in a period of the calendar (UTC). */
export interface Budget {
  readonly uses: number
  readonly per: keyof typeof PERIODS
}

/** What a connection allows all its callers together, and each of them. */
export interface Budgets {
  readonly total?: Budget
  readonly perCaller?: Budget
}

/** ms. */
export const PERIODS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const

const BUDGET = /^([1-9]\d{0,11})\/(minute|hour|day)$/

/** `1000/day`. Throws bad_request. */
export function parseBudget(text: string): Budget {
  const match = BUDGET.exec(text)
  if (!match) throw new LocumError('bad_request', 'A budget is a number a minute, hour or day: 1000/day.')
  return { uses: Number(match[1]), per: match[2] as Budget['per'] }
}

/** What holds for a principal: its own word, and the site's where it has none. */
export function limitsOf(own: Limits | undefined, usual: Limits): Limits {
  if (own === undefined) return usual
  const { rate = usual.rate, connections = usual.connections, inFlight = usual.inFlight } = own
  // The usual burst belongs to the usual rate.
  const burst = own.burst ?? (own.rate === undefined ? usual.burst : undefined)
  return { connections, inFlight, rate, burst }
}

/** A token bucket: `rate` tokens a second, `burst` at most. Times are ms of one clock. */
export class Bucket {
  #tokens = Number.POSITIVE_INFINITY
  #at = 0

  /** Takes a token and gives 0, or the ms until there is one. */
  take(now: number, rate: number, burst: number): number {
    const gained = (Math.max(0, now - this.#at) / 1000) * rate
    this.#tokens = Math.min(burst, this.#tokens + gained)
    this.#at = now
    if (this.#tokens >= 1) {
      this.#tokens--
      return 0
    }
    return ((1 - this.#tokens) / rate) * 1000
  }
}

export function burstOf({ rate = 0, burst }: Limits): number {
  return burst ?? Math.max(1, Math.ceil(rate))
}
