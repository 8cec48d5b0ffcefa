/** Time, passed in. */
export interface Clock {
  /** Unix ms. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }
