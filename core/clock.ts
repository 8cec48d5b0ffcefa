/** Time, passed in. */
export interface Clock {
  /** Unix ms. */
  now(): number
}

let now = 0

/**
 * The system's, read once in each turn of the event loop: what happens in one turn happens at one time,
 * and a request that asks seven times pays for a seventh of that.
 */
export const systemClock: Clock = {
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
