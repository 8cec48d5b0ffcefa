/** Every bound of the way to the upstreams. How long a connection stays idle, and how long an answer may take, are the wire's. */
export interface UpstreamLimits {
  /** Connections of one key, those being dialled too. As many as a busy client has; more would only queue at the upstream. */
  readonly connectionsPerKey: number
  /** Idle connections of one key: enough for the swing of a steady load. */
  readonly idlePerKey: number
  /** Idle connections over all keys; the one idle longest goes. Each holds a file descriptor and, with TLS, about 60 KiB. */
  readonly idleOverAll: number
  /** Requests that wait for a connection of one key; the next is `overloaded`. */
  readonly queuePerKey: number
  /** ms that a request waits for a connection: longer than one dial may take, shorter than clients wait. */
  readonly queueWaitMs: number
  /** ms for the name's addresses and TCP together; a SYN is sent again after 1 and 3 s, so two losses are survived. */
  readonly connectMs: number
  /** ms for the TLS handshake: three round trips at most. */
  readonly handshakeMs: number
  /** ms after which the next address is tried beside the one under way (RFC 8305 §5). */
  readonly nextAddressMs: number
  /** ms for a tunnel through a parent proxy, the look-up and all its addresses together: it dials as long as we would. */
  readonly parentMs: number
  /** As `nextAddressMs` where a parent proxy dials: its way is longer, and each address is a request to it. */
  readonly nextAddressByParentMs: number
  /** Addresses of one name that are dialled; every one is judged all the same. */
  readonly addresses: number
  /** TLS sessions kept for resumption, one a key; each is about 1 KiB, and more with a long chain. */
  readonly sessions: number
  /** TLS contexts kept, one a CA text; each takes about 1 ms to make. */
  readonly contexts: number
}

export const UPSTREAM_LIMITS: UpstreamLimits = {
  connectionsPerKey: 256,
  idlePerKey: 64,
  idleOverAll: 1_024,
  queuePerKey: 1_024,
  queueWaitMs: 30_000,
  connectMs: 10_000,
  handshakeMs: 10_000,
  nextAddressMs: 250,
  parentMs: 20_000,
  nextAddressByParentMs: 1_000,
  addresses: 16,
  sessions: 1_024,
  contexts: 256,
}
