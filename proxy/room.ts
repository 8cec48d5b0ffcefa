import type { Audit } from '../core/audit.ts'
import type { Clock } from '../core/clock.ts'
import type { Broker, Directory } from '../core/directory.ts'
import type { TokenCallers } from '../core/identity.ts'
import type { Secret } from '../core/secret.ts'
import type { TunnelTarget } from '../core/target.ts'
import type { Caller, Connection, ShownCertificate } from '../core/words.ts'
import type { Client, Limiter } from './limiter.ts'
import type { Held, Live } from './live.ts'
import type { Upstreams } from './upstreams/upstreams.ts'

/** Counts the uses of connections that have a budget. Throws or rejects with rate_limited and store_unavailable. */
export interface Budgeted {
  use(connection: Connection, caller: Caller): undefined | Promise<void>
}

/** What every exchange of a listener shares. */
export interface Room {
  readonly directory: Directory
  /** Undefined where no issuer's tokens are taken. */
  readonly tokens: TokenCallers | undefined
  readonly broker: Broker
  readonly upstreams: Upstreams
  readonly audit: Audit
  readonly clock: Clock
  readonly live: Live
  readonly limiter: Limiter
  readonly budgets: Budgeted
  /** CONNECT to hosts that no connection names passes untouched (`unmatched: tunnel`). */
  readonly passesUnmatched: boolean
  readonly counts: Counts
  /** An id that joins the records of one request. */
  nextId(): string
  /** For the operator: what was hidden behind `internal`. */
  onfault(error: unknown): void
}

/** What happened since the start. */
export interface Counts {
  requests: number
  refused: number
  /** Went on without a credential, on a connection that has some. */
  uncredentialed: number
  masked: number
  /** Not searched for echoes: images, audio, video. */
  unsearched: number
  /** Tunnels to hosts that no connection names. */
  unmatched: number
}

/** What a listener keeps for one client connection. */
export interface Session {
  readonly client: Client
  /** It came by a unix socket, or by loopback to a listener that is nowhere else: the default principal may serve. */
  readonly local: boolean
  /** It came to an address that is for the gateway alone. */
  readonly gatewayOnly: boolean
  /** It speaks TLS with Locum itself. */
  readonly secure: boolean
  /** What the client showed in the TLS handshake with Locum itself. */
  readonly certificate: ShownCertificate | undefined
  /** Set inside a CONNECT tunnel. */
  readonly tunnel: TunnelSession | undefined
  /** The caller of the last request on this connection, so that the same header is not hashed again. */
  shown: Shown | undefined
  /** The connection as its caller's; undefined before anybody is known. */
  held: Held | undefined
  /** Ends the connection behind what is under way; undefined inside a tunnel, which ends with its own. */
  readonly rest: (() => void) | undefined
}

/** How a caller showed who they are: by a key, or by a token. */
export interface Shown {
  readonly header: string
  /** Hex of the SHA-256 of either. */
  readonly keyHash: string
  /** What stood beside it in Basic. */
  readonly id: string | undefined
  readonly token: Secret | undefined
}

export interface TunnelSession {
  readonly target: TunnelTarget
  /** TLS inside, opened with a leaf of the site. */
  readonly secure: boolean
  /** The TLS server name was another host's: every request is an authority_mismatch. */
  readonly misnamed: boolean
  /** Who came with CONNECT, and for whom: looked at anew for each request. */
  readonly opener: Caller
}

/** Whether the caller's key, token or certificate is still in force at this moment. */
export function inForce(caller: Caller, now: number): boolean {
  return caller.expiresAt === undefined || caller.expiresAt > now
}
