import type { Destination } from './destination.ts'
import type { Route } from './route.ts'
import type { Secret } from './secret.ts'
import type { Base } from './target.ts'
import type { AuthValues, Caller, Change, Redact, Scope } from './words.ts'

/** A principal that another's word names: a certificate, or a caller who acts for it. */
export interface Named {
  /** As a caller with a certificate. */
  readonly caller: Caller
  /** Unix ms: certificates from before it are void. */
  readonly revokedAt: number | undefined
  /** It was revoked and has no newer key: nobody acts for it. */
  readonly withdrawn: boolean
}

/** The hot path's view of what the store knows: synchronous, bounded, at most a second old. */
export interface Directory {
  /** Every route that reaches the exact destination. The same array until something changes. */
  routesTo(destination: Destination): readonly Route[]
  /** Whether any connection names the host, at whatever scheme and port, or covers it with a wildcard. */
  declaresHost(host: string): boolean
  routeNamed(name: string): Route | undefined
  /** The holder of a key by the hex of its SHA-256; null: nobody; undefined: `fetchCaller` knows. */
  caller(keyHash: string): Caller | null | undefined
  fetchCaller(keyHash: string): Promise<Caller | null>
  /** The principal of an id, with or without keys; null: nobody, or disabled; undefined: `fetchNamed` knows. */
  named(id: string): Named | null | undefined
  fetchNamed(id: string): Promise<Named | null>
  /** The principal that a listener's default stands for; null where it is missing or disabled. */
  defaultCaller(): Caller | null
  /** Throws store_unavailable where what is known is older than the stale limit. */
  checkFresh(): void
  /** Called after the view was brought up to date. */
  onchange(listener: (changes: readonly Change[]) => void): void
}

export interface OpenRequest {
  readonly caller: Caller
  readonly route: Route
  /** Undefined: the connection's `base`, which may draw on the credential, says it. */
  readonly destination: Destination | undefined
}

/** An open credential, for one caller, connection and destination. */
export interface Material {
  readonly credential: { readonly id: string; readonly version: number; readonly scope: Scope }
  readonly values: Secret<AuthValues>
  /** Where the connection's `base` leads, if that was asked for; judged like any destination. */
  readonly base: Base | undefined
  /** What becomes of echoes: the connection's, as far as the credential's owner approved it. */
  readonly redact: Redact
  /** Slots, by the audit's names, that its owner has not approved; undefined: none. */
  readonly barred: ReadonlySet<string> | undefined
  /** Unix ms. */
  readonly expiresAt: number | undefined
  /** Grows with each renewal. */
  readonly generation: number
}

/** Whose credential, opened and renewed. The only one that decrypts credentials. */
export interface Broker {
  /**
   * At once where everything is in memory. Throws or rejects with credential_missing,
   * credential_outside_audience, not_allowed, refresh_failed, reauthorization_required,
   * store_unavailable, internal.
   */
  open(request: OpenRequest): Material | Promise<Material>
  /** After an answer that refused `material`: acquires anew unless somebody already has. */
  renew(request: OpenRequest, material: Material): Promise<Material>
}
