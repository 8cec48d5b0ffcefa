/** Something with text that waits to be written. */
export interface Waiting {
  turnEnded(): void
}

let waiting: Waiting[] = []

/**
 * Flushes it at the end of this turn of the event loop, together with all others. What a turn has read from
 * many sockets is then answered in one burst: a peer on another core is woken once, not between any two
 * reads, and a head, its body and the next head in a pipeline are one write.
 */
export function flushAtTurnEnd(outlet: Waiting): void {
  if (waiting.push(outlet) === 1) setImmediate(flushAll)
}

function flushAll(): void {
  const all = waiting
  waiting = []
  for (const one of all) one.turnEnded()
}
