import type { Destination } from './destination.ts'
import type { Federated } from './identity.ts'
import type { Budgets, Limits } from './limits.ts'
import type { Json, JsonObject, Secret } from './secret.ts'

/** Who calls. */
export interface Principal {
  readonly id: string
  readonly kind: 'user' | 'service'
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
  readonly admin: boolean
  readonly claims?: JsonObject
  /** Its own; the site's hold where there are none. */
  readonly limits?: Limits
  readonly via: 'key' | 'certificate' | 'jwt' | 'session' | 'default' | 'local' | 'link' | 'system'
}

/** A principal as it is kept. `managedBy` is the `name:` of the file that made it. */
export interface PrincipalRecord {
  readonly id: string
  readonly kind: 'user' | 'service'
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
  readonly admin: boolean
  readonly disabled: boolean
  /** For whom it may call: `user:*`, `user:ID`, `profile:NAME`. Never empty. */
  readonly mayActFor?: readonly string[]
  /** Unix ms of its last revocation: keys and certificates from before prove nothing. */
  readonly revokedAt?: number
  readonly limits?: Limits
  readonly managedBy?: string
  /** The user of an issuer. Profile, e-mail address and projects are those of a token that came not long ago. */
  readonly federated?: Federated
  readonly version: number
  /** Unix ms. */
  readonly createdAt: number
}

/**
 * A proxy key as it is kept: the SHA-256 of its text, never the text. Times are Unix ms. `managedBy` is
 * the `name:` of the file that made it, or what lent it (operations/lent-keys.ts).
 */
export interface ProxyKeyRecord {
  /** Hex of the SHA-256. */
  readonly hash: string
  readonly principal: string
  readonly createdAt: number
  readonly expiresAt?: number
  readonly managedBy?: string
  readonly only?: KeyBounds
}

/** What a key serves for, where that is not everything: one page's origin, at the gateway, and some connections. */
export interface KeyBounds {
  readonly origin: string
  /** Names; all unless told. */
  readonly connections?: readonly string[]
}

/** A client certificate that was shown with a connection, as far as it says who calls. Times are Unix ms. */
export interface ShownCertificate {
  /** The principal that it names; undefined where it does not hold, or names nobody. */
  readonly id: string | undefined
  readonly notBefore: number
  readonly notAfter: number
}

/** A caller as the data plane sees one: the principal, and the key, token or certificate that was shown. */
export interface Caller {
  readonly principal: Principal
  /** Hex of the key's or token's SHA-256; undefined for the default principal and for a certificate alone. */
  readonly keyHash?: string
  /** The JWT, where the caller came by one. */
  readonly token?: Secret
  /** Where it was shown without a key. */
  readonly certificate?: ShownCertificate
  /** For whom it may call; undefined: for itself only. */
  readonly mayActFor?: readonly string[]
  /** Who really calls, where it does so for `principal`. Key and certificate are its own. */
  readonly actor?: Principal
  /** What the key serves for, where that is not everything. */
  readonly only?: KeyBounds
  /** Unix ms. */
  readonly expiresAt?: number
  /** `$Api.Session_Id`: opaque, stable for a key or an issuer's session, authenticates nothing. */
  readonly sessionId: string
}

export type Source = 'shared' | 'per-profile' | 'per-user'
export type Scope = 'shared' | `profile:${string}` | `user:${string}`

/** What becomes of a secret that comes back in an answer. */
export type Redact = 'mask' | 'block' | 'off'

export interface Allow {
  readonly methods?: readonly string[]
  /** Globs in which `*` stands for any characters; the literal prefix decides between connections. */
  readonly paths?: readonly string[]
  readonly profiles?: readonly string[]
  readonly projects?: readonly string[]
}

/** Places in a request where a client's placeholder may be replaced; what is left out is as usual. */
export interface Slots {
  /** Lower-case names. */
  readonly headers?: readonly string[]
  readonly path?: boolean
  /** Names of parameters. */
  readonly query?: readonly string[]
  /** JSON pointers (RFC 6901), in which `*` is any item of an array. */
  readonly json?: readonly string[]
  /** Names of fields. */
  readonly form?: readonly string[]
}

/** What is merged into bodies of its type; its texts are templates. */
export type CommonBody =
  | { readonly json: JsonObject }
  | { readonly form: readonly (readonly [string, string])[] }
  | { readonly text: string }

/** A named external system. Never a secret in it. */
export interface Connection {
  readonly name: string
  readonly destinations: readonly Destination[]
  readonly ownedWildcard: boolean
  /** Where the gateway sends `/c/NAME/…`; may hold merge variables. */
  readonly base?: string
  readonly method: string
  /** What `auth` says beside `method` and `provider`. */
  readonly methodConfig: JsonObject
  readonly provider?: string
  /** Origins or URLs that the method takes the credential to, beside the destinations. */
  readonly calls?: readonly string[]
  readonly source: Source
  readonly fallback: readonly ('profile' | 'shared')[]
  readonly allow: Allow
  /** Common headers in order: name, template. */
  readonly headers: readonly (readonly [string, string])[]
  readonly slots?: Slots
  /** Stand-ins, and the variable for which each stands: `$Auth.API_Key`. */
  readonly placeholders?: { readonly [text: string]: string }
  /** Common query in order: name, template of the value. */
  readonly query?: readonly (readonly [string, string])[]
  readonly body?: CommonBody
  readonly corsOrigins: readonly string[]
  /** Undefined: mask. */
  readonly redact?: Redact
  readonly allowPrivateNetwork: boolean
  readonly allowPlaintext: boolean
  /** PEM text of the upstream's own CA certificates. */
  readonly ca?: string
  /** False: CONNECT passes untouched. Left out: it is opened. */
  readonly intercept?: false
  readonly budget?: Budgets
  readonly managedBy?: string
  /** Grows with every change; 1 at first. */
  readonly version: number
}

/**
 * An authentication provider: what connections share to obtain tokens. Its secrets (an OAuth client's id and
 * secret) are sealed for the endpoints that it had when they were entered (R25).
 */
export interface Provider {
  readonly name: string
  readonly method: string
  /** What is no secret of it. */
  readonly config: JsonObject
  /** URLs that it takes secrets to. */
  readonly calls: readonly string[]
  readonly fieldNames: readonly string[]
  /** One sealed value a field: the UTF-8 of the field's JSON. */
  readonly sealed: Readonly<Record<string, Sealed>>
  /** Keyed digest of the fields, as of a credential's. */
  readonly fingerprint?: string
  readonly managedBy?: string
  /** Grows with every change; 1 at first. */
  readonly version: number
}

/** AES-256-GCM with its format byte, key id, salt and nonce; see store/sealing. */
export type Sealed = Uint8Array

/** Named, sealed fields, and where they may be used. */
export interface Credential {
  readonly id: string
  readonly name: string
  /** `site` for shared and profile credentials, `user:ID` for a user's own. */
  readonly owner: string
  /** What was approved when the fields were entered (core/approval.ts): canonical destinations, then the rest. */
  readonly audience: readonly string[]
  readonly fieldNames: readonly string[]
  /** Those that are no secrets, where a type says so. */
  readonly plain?: readonly string[]
  readonly disabled: boolean
  /** An administrator stopped it, which its owner does not undo. */
  readonly blocked?: true
  /** Their members may use it. */
  readonly projects: readonly string[]
  /** To whom its owner would hand it. */
  readonly offer?: Offer
  readonly managedBy?: string
  /** Grows with every change of what is sealed; 1 at first. */
  readonly version: number
  /** Keyed digest of the fields (operations/fingerprint.ts): whether what a file says is what is kept, without opening it. */
  readonly fingerprint?: string
  /** One sealed value a field: the UTF-8 of the field's JSON. */
  readonly sealed: Readonly<Record<string, Sealed>>
  readonly createdAt: number
  readonly changedAt: number
}

/** A credential that waits for a new owner to accept it. */
export interface Offer {
  /** A principal's id. */
  readonly to: string
  /** Unix ms. */
  readonly until: number
}

/** People who use some credentials together. Who is a member, the principals say; an editor is one who is a member too. */
export interface Project {
  readonly name: string
  /** Ids of those who say who is a member. */
  readonly editors: readonly string[]
  /** Unix ms. */
  readonly createdAt: number
}

/** Which credential serves a connection for whom. At most one for each connection and scope. */
export interface Binding {
  /** A connection's name, or `provider:NAME` for every connection of that provider (core/provider.ts). */
  readonly connection: string
  readonly scope: Scope
  readonly credential: string
}

/** A token, role session or the like that a method acquired; sealed as one value. */
export interface GrantRecord {
  /** The credential, provider and whatever else it was acquired with, as one key. */
  readonly key: string
  readonly version: number
  readonly sealed: Sealed
  /** Unix ms. */
  readonly expiresAt?: number
}

export interface Site {
  /** UUID. */
  readonly id: string
  readonly url?: string
  readonly contact?: string
  readonly createdAt: number
}

/** One row of the change feed: whatever is kept about this thing is out of date. */
export interface Change {
  readonly seq: number
  readonly kind: 'principal' | 'key' | 'connection' | 'provider' | 'credential' | 'binding' | 'grant' | 'site'
  readonly id: string
}

/** The values of a method: `$Auth.NAME…`. Names in `plain` are no secrets (user names). */
export interface AuthValues {
  readonly values: { readonly [name: string]: Json }
  readonly plain: readonly string[]
  /** Names whose value holds others' values in another spelling: `BasicAuth` holds `Password`. */
  readonly within?: { readonly [name: string]: readonly string[] }
  /** Paths of objects with names in lower case, which are found in any case: `Response.Headers`. */
  readonly caseless?: readonly string[]
  /** What the method signs with, and no variable is drawn from. */
  readonly signing?: JsonObject
  /** Secrets that signing puts into a head. */
  readonly sent?: readonly string[]
}

/** Nobody in particular: whoever is asked for nothing. */
export const NOBODY: Caller = {
  principal: { id: '', kind: 'service', projects: [], admin: false, via: 'system' },
  sessionId: '',
}

/** Acts for the program itself: start-up, the hot path's look-ups. */
export const SYSTEM: Principal = { id: 'system', kind: 'service', projects: [], admin: true, via: 'system' }

/** Whoever runs the command on the data folder. */
export const LOCAL: Principal = { id: 'local', kind: 'user', projects: [], admin: true, via: 'local' }

/** Whoever opens a link that is good once. */
export const LINK: Principal = { id: 'link', kind: 'user', projects: [], admin: false, via: 'link' }
