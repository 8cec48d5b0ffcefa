/** Time, passed in. */
export interface Clock {
  /** Unix ms. */
  now(): number
}

export const systemClock: Clock = { now: Date.now }

let now = 0

/**
 * The system's, read once in each turn of the event loop, for the data plane: a request that asks seven
 * times pays for a seventh of that. Whoever works for long without a turn asks `systemClock`.
 */
export const turnClock: Clock = {
  now() {
    if (now === 0) {
      now = Date.now()
      setImmediate(forget)
    }
    return now
  },
}

function forget(): void {
  now = 0
}
