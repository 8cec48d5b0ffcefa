import type { Route } from '../core/route.ts'
import type { Candidate } from '../core/target.ts'

/** Destinations remembered for one route; what is known of them begins anew beyond it. */
const LIMIT = 256
const kept = new WeakMap<Route, Map<string, number>>()

/** How far the upstream's clock is ahead of this one, ms; 0 until one is known to be off. */
export function clockOffset(route: Route, { text }: Candidate): number {
  return kept.get(route)?.get(text) ?? 0
}

export function noteClock(route: Route, { text }: Candidate, offset: number): void {
  let known = kept.get(route)
  if (!known) {
    known = new Map()
    kept.set(route, known)
  }
  if (known.size >= LIMIT) known.clear()
  known.set(text, offset)
}
