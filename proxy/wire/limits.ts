/**
 * Every bound of the wire. Sizes are bytes, times are milliseconds. Times are kept by a coarse clock:
 * they are never shorter than stated, and up to two ticks longer.
 */
export interface Limits {
  /** A whole head, first line and blank line included. What nginx (4 × 8 KiB) and Envoy (60 KiB) take, rounded up. */
  headBytes: number
  /** Lines in a head, first line included: past any honest client, well before parsing one costs a millisecond. */
  headLines: number
  /** A request's target. Browsers and servers agree on 8 KiB at least (RFC 9112 §3 asks for 8,000). */
  targetBytes: number
  /** A request's method. The longest registered one has 17. */
  methodBytes: number
  /** The extensions of one chunk. They are dropped, so they only need to be survived. */
  chunkExtensionBytes: number
  /** The extensions of all chunks of one body: otherwise a body could be made of nothing else. */
  chunkExtensionsBytes: number
  /** A trailer section. */
  trailerBytes: number
  /** Lines in a trailer section. */
  trailerLines: number
  /** Interim (1xx) responses to one request; more is a flood. */
  interims: number
  /** What is left of a request's body that nobody wants is read up to here, to keep the connection; then it closes. */
  drainBytes: number
  /** … and for this long after the answer. */
  drainMs: number
  /** After the last answer, what still comes is read away, so that a reset does not overtake the answer (RFC 9112 §9.6). */
  lingerMs: number
  /** From a request's first byte to the end of its head: whoever needs longer holds the socket on purpose. */
  headMs: number
  /** A client's connection between two requests, and before the first. Longer than common client pools keep theirs. */
  idleMs: number
  /** Between two pieces of a request's body, while somebody waits for it. */
  bodyIdleMs: number
  /** How long a request's body waits for 100 before it starts all the same (RFC 9110 §10.1.1). curl waits as long. */
  continueMs: number
  /** From the end of a request to the end of the response's head. Models that think and long reports need minutes. */
  responseMs: number
  /** Between two pieces of a response's body, while somebody waits for it. Event streams send comments more often. */
  responseIdleMs: number
  /** For the other side to take what was written last (at most one piece of a body and a full send buffer). */
  writeStallMs: number
  /** An upstream connection without a request. A server that says less in Keep-Alive is left a second earlier. */
  upstreamIdleMs: number
  /** Pieces up to here are joined with the head or with each other into one write; larger ones go as they came. */
  joinBytes: number
  /** Larger pieces up to here are copied, and go out with the others of the same turn of the event loop. */
  gatherBytes: number
  /** So much of them may wait for a peer that takes no more, before their source has to. */
  aheadBytes: number
  /** How often deadlines are looked at. */
  tickMs: number
}

const KIB = 1024
const SECOND = 1000

export const LIMITS: Readonly<Limits> = {
  headBytes: 64 * KIB,
  headLines: 200,
  targetBytes: 16 * KIB,
  methodBytes: 32,
  chunkExtensionBytes: 256,
  chunkExtensionsBytes: 16 * KIB,
  trailerBytes: 16 * KIB,
  trailerLines: 100,
  interims: 32,
  drainBytes: 256 * KIB,
  drainMs: 1 * SECOND,
  lingerMs: 1 * SECOND,
  headMs: 15 * SECOND,
  idleMs: 120 * SECOND,
  bodyIdleMs: 60 * SECOND,
  continueMs: 1 * SECOND,
  responseMs: 300 * SECOND,
  responseIdleMs: 300 * SECOND,
  writeStallMs: 60 * SECOND,
  upstreamIdleMs: 60 * SECOND,
  joinBytes: 12 * KIB,
  gatherBytes: 64 * KIB,
  aheadBytes: 256 * KIB,
  tickMs: SECOND / 2,
}

/** The limits with some of them changed. Make it once and hand it to every connection. */
export function limitsWith(changes: Partial<Limits>): Readonly<Limits> {
  return { ...LIMITS, ...changes }
}
