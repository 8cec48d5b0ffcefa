/** Something with deadlines. `tick` compares them with `now` (milliseconds of `Clock.now`). */
export interface Timed {
  tick(now: number): void
}

/**
 * One interval for all connections, instead of a timer for each step of each request. It runs only
 * while there is something to watch, and never keeps the process alive.
 */
export class Clock {
  /** Milliseconds from an arbitrary start, as of the last tick. */
  now = 0
  readonly #tickMs: number
  readonly #watched = new Set<Timed>()
  #timer: NodeJS.Timeout | undefined

  constructor(tickMs: number) {
    this.#tickMs = tickMs
  }

  watch(timed: Timed): void {
    this.#watched.add(timed)
    if (this.#timer !== undefined) return
    this.now = performance.now()
    this.#timer = setInterval(() => this.#tick(), this.#tickMs).unref()
  }

  unwatch(timed: Timed): void {
    this.#watched.delete(timed)
    if (this.#watched.size > 0 || this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** The deadline that lies `ms` from now; a tick is added because `now` may be that old. */
  after(ms: number): number {
    return this.now + ms + this.#tickMs
  }

  #tick(): void {
    this.now = performance.now()
    for (const timed of this.#watched) timed.tick(this.now)
  }
}

const clocks = new Map<number, Clock>()

/** The process's clock of that tick. */
export function clockOf(tickMs: number): Clock {
  const kept = clocks.get(tickMs)
  if (kept !== undefined) return kept
  const clock = new Clock(tickMs)
  clocks.set(tickMs, clock)
  return clock
}
