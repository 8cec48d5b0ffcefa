import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'

/** ms after a first failure, and at most. What fails in passing may be over soon; a refusal is there to stay. */
const PASSING = { first: 250, most: 2_000 } as const
const LASTING = { first: 2_000, most: 60_000 } as const
/** Failures remembered; the oldest go first. */
const LIMIT = 10_000

interface Failure {
  readonly error: LocumError
  /** Unix ms. */
  readonly until: number
  readonly wait: number
}

/** What failed is not asked for again at once: others would wait for the same, and locks count the tries. */
export class Backoff {
  readonly #clock: Clock
  readonly #failures = new Map<string, Failure>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws what failed, where it is not yet time for another try. */
  check(key: string): void {
    const failure = this.#failures.get(key)
    const left = failure ? failure.until - this.#clock.now() : 0
    if (!failure || left <= 0) return
    const { code, detail, hint, authorizeUrl, lasting } = failure.error
    throw new LocumError(code, detail, {
      hint,
      authorizeUrl,
      lasting,
      retryAfter: Math.ceil(left / 1000),
      cause: failure.error,
    })
  }

  failed(key: string, error: LocumError): void {
    const { first, most } = error.lasting ? LASTING : PASSING
    const before = this.#failures.get(key)?.wait
    const wait = before === undefined ? first : Math.min(most, Math.max(first, before * 2))
    this.#failures.delete(key)
    if (this.#failures.size >= LIMIT) this.#failures.delete(this.#failures.keys().next().value as string)
    this.#failures.set(key, { error, until: this.#clock.now() + wait, wait })
  }

  succeeded(key: string): void {
    this.#failures.delete(key)
  }
}
