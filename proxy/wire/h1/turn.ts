/** Something with bytes that wait for more to join them. */
export interface Joining {
  flush(): void
}

/**
 * Bytes that wait go out when the reading that made them is over: a response's head and its body are
 * mostly made by one read, and then need neither two writes nor a tick of their own.
 */
const waiting: Joining[] = []
let readings = 0

export function beginReading(): void {
  readings++
}

export function endReading(): void {
  if (--readings > 0) return
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) next.flush()
}

/** Flushes it at the end of the reading under way, or else of this turn of the event loop. */
export function flushSoon(joining: Joining): void {
  if (readings > 0) waiting.push(joining)
  else process.nextTick(flush, joining)
}

function flush(joining: Joining): void {
  joining.flush()
}
