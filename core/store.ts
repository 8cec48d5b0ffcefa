import type { CredentialType } from './credential-type.ts'
import type {
  Binding,
  Change,
  Connection,
  Credential,
  GrantRecord,
  Offer,
  Principal,
  PrincipalRecord,
  Project,
  Provider,
  ProxyKeyRecord,
  Scope,
  Sealed,
  Site,
} from './words.ts'

/**
 * What lasts. No data method without the principal it acts for: reads of secrets' rows and every
 * write need `admin` (the local operator and the program itself have it). Every write adds to the
 * change feed in the same transaction. Throws store_unavailable when the database does not answer,
 * not_allowed for a principal that may not, internal where a row does not carry its own seal.
 */
export interface Store {
  site(): Promise<Site>
  setSite(as: Principal, site: { url?: string; contact?: string }): Promise<void>

  principals(as: Principal): Promise<readonly PrincipalRecord[]>
  principal(as: Principal, id: string): Promise<PrincipalRecord | undefined>
  /** Adds or replaces; the store gives the version. Throws bad_request for what core/identity.ts keeps apart; so does `addKey`. */
  putPrincipal(
    as: Principal,
    record: Omit<PrincipalRecord, 'version' | 'createdAt'>,
  ): Promise<PrincipalRecord>
  /** With all its keys. Credentials bound for it stay, unused. */
  removePrincipal(as: Principal, id: string): Promise<void>
  keys(as: Principal, principal: string): Promise<readonly ProxyKeyRecord[]>
  addKey(as: Principal, key: ProxyKeyRecord): Promise<void>
  /** Moves a key's end. False where the principal has no such key, which stays so. */
  setKeyEnd(as: Principal, principal: string, hash: string, expiresAt: number): Promise<boolean>
  /** All of a principal's keys, or the one. Returns how many went. */
  removeKeys(as: Principal, principal: string, hash?: string): Promise<number>
  /** Who holds the key with this hash; undefined where nobody does. Expired keys and disabled principals are returned as they are. */
  keyHolder(
    as: Principal,
    hash: string,
  ): Promise<{ key: ProxyKeyRecord; principal: PrincipalRecord } | undefined>

  projects(as: Principal): Promise<readonly Project[]>
  /** Adds it, or says who its editors are now. */
  putProject(as: Principal, project: Pick<Project, 'name' | 'editors'>): Promise<Project>
  removeProject(as: Principal, name: string): Promise<void>

  connections(as: Principal): Promise<readonly Connection[]>
  connection(as: Principal, name: string): Promise<Connection | undefined>
  putConnection(as: Principal, connection: Omit<Connection, 'version'>): Promise<Connection>
  /** With its bindings. */
  removeConnection(as: Principal, name: string): Promise<void>

  /** Credential types, by name. */
  types(as: Principal): Promise<readonly CredentialType[]>
  /** Adds (version 1) or replaces, where the version is one more than the row's; else a lost race: bad_request. */
  putType(as: Principal, type: CredentialType): Promise<CredentialType>
  removeType(as: Principal, name: string): Promise<void>

  providers(as: Principal): Promise<readonly Provider[]>
  provider(as: Principal, name: string): Promise<Provider | undefined>
  /** Adds (version 1), or replaces where `provider.version` is one more than the row's: anything else is a lost race and throws bad_request. */
  putProvider(as: Principal, provider: Provider): Promise<Provider>
  /** With the grants that were given to it, and what they acquired. */
  removeProvider(as: Principal, name: string): Promise<void>

  credential(as: Principal, id: string): Promise<Credential | undefined>
  credentials(as: Principal): Promise<readonly Credential[]>
  /** Adds (version 1), or replaces where `credential.version` is one more than the row's: anything else is a lost race and throws bad_request. */
  putCredential(as: Principal, credential: Credential): Promise<Credential>
  /** Throws bad_request where there is none; so do the next. What is sealed and its version stay. */
  setCredentialDisabled(as: Principal, id: string, disabled: boolean): Promise<void>
  setCredentialProjects(as: Principal, id: string, projects: readonly string[]): Promise<void>
  setCredentialBlocked(as: Principal, id: string, blocked: boolean): Promise<void>
  setCredentialName(as: Principal, id: string, name: string): Promise<void>
  /** Undefined: it is offered to nobody. */
  setCredentialOffer(as: Principal, id: string, offer: Offer | undefined): Promise<void>
  /** With its bindings. */
  removeCredential(as: Principal, id: string): Promise<void>
  bindings(as: Principal, connection?: string): Promise<readonly Binding[]>
  /** Replaces the binding of that connection and scope. */
  bind(as: Principal, binding: Binding): Promise<void>
  unbind(as: Principal, connection: string, scope: Scope): Promise<void>
  /** The first scope that has a binding decides; undefined where none has. */
  bound(
    as: Principal,
    connection: string,
    scopes: readonly Scope[],
  ): Promise<{ binding: Binding; credential: Credential } | undefined>

  /** `intended`: the version that a renewal set out to replace, where it was never heard of again. */
  grant(as: Principal, key: string): Promise<(GrantRecord & { readonly intended?: number }) | undefined>
  /** Durable, before a renewal calls out. `fence` is that of the lease `grant:KEY`. */
  intend(as: Principal, key: string, version: number, fence: number): Promise<void>
  /** Compare and swap on `version` (0: there was none). Throws bad_request where it was lost. */
  replaceGrant(
    as: Principal,
    key: string,
    version: number,
    fence: number,
    /** `credential`: whose it is. With a new version of that one it goes. */
    next: { sealed: Sealed; expiresAt?: number; credential?: string },
  ): Promise<GrantRecord>

  /** Keeps something for whoever comes back with its id, until `expiresAt` (Unix ms). */
  addFlow(as: Principal, id: string, flow: { sealed: Sealed; expiresAt: number }): Promise<void>
  /** What is kept; undefined where its time is over. */
  flow(as: Principal, id: string): Promise<Sealed | undefined>
  /** Gives it once: to one of all who ask, and to nobody when its time is over. */
  takeFlow(as: Principal, id: string): Promise<Sealed | undefined>

  /**
   * Draws uses of a connection from its budget of `most` in the period that began at `from` (Unix ms), by one
   * principal or, where that is empty, by all: as many as `share` says of what is left, at most all of it.
   * A negative share gives back. Returns how many were drawn.
   */
  drawUses(
    as: Principal,
    of: { connection: string; principal: string; from: number; most: number },
    share: (left: number) => number,
  ): Promise<number>

  /** One holder at a time over all processes; waits for it. The lease ends with the work, or `ttl` ms after its holder died. */
  lease<T>(as: Principal, key: string, ttl: number, work: (fence: number) => Promise<T>): Promise<T>

  /** All the writes inside happen, or none: one that fails inside fails the whole, even if it is caught. */
  transact<T>(as: Principal, work: (store: Store) => Promise<T>): Promise<T>

  /** The newest sequence number of the change feed. Cheap: asked several times a second. */
  head(): Promise<number>
  /** Oldest first. Of kind `site` with the id `*`: too far behind, everything that is kept is out of date. */
  changes(since: number): Promise<readonly Change[]>

  /** Named, sealed things of the site itself: the CA, the audit's signing key. */
  vaultItem(as: Principal, name: string): Promise<VaultItem | undefined>
  /** Those that begin so, in order. */
  vaultNames(as: Principal, prefix: string): Promise<readonly string[]>
  /** Adds it (version 1) where it is missing; returns what is there afterwards, so that two processes agree. */
  addVaultItem(as: Principal, name: string, item: Omit<VaultItem, 'version'>): Promise<VaultItem>
  /** Puts the next version in place of `version`. Throws bad_request where that is not the one that is there. */
  replaceVaultItem(
    as: Principal,
    name: string,
    version: number,
    next: Omit<VaultItem, 'version'>,
  ): Promise<VaultItem>
  removeVaultItem(as: Principal, name: string): Promise<void>

  addCheckpoint(checkpoint: AuditCheckpoint): Promise<void>
  checkpoints(): Promise<readonly AuditCheckpoint[]>

  close(): Promise<void>
}

/** A named, sealed thing of the site itself. `open` is what is no secret of it. */
export interface VaultItem {
  readonly version: number
  readonly sealed: Sealed
  readonly open: Readonly<Record<string, string>>
}

/** Joins an audit file's chain to the store: after `records` records of `file`, the chain stood at `hash`. */
export interface AuditCheckpoint {
  readonly file: string
  readonly records: number
  /** Hex SHA-256. */
  readonly hash: string
  /** Unix ms. */
  readonly at: number
  /** The file is complete. */
  readonly final: boolean
  /** Base64 Ed25519 signature over the other members as canonical JSON. */
  readonly signature: string
}

/** What binds a sealed value to its place (R25). The site and the key are added by the sealer. */
export interface SealedPlace {
  readonly table: string
  readonly row: string
  readonly field: string
  readonly version: number
  readonly owner: string
  readonly audience: readonly string[]
}

/** Encrypts and decrypts under the site's data keys. `open` is for the broker and certs alone. */
export interface Sealer {
  seal(place: SealedPlace, plaintext: Uint8Array): Sealed
  /** Throws internal, with a fixed text, where the value was not sealed for exactly this place. */
  open(place: SealedPlace, sealed: Sealed): Buffer
  /** The value sealed for another place, which nobody sees on the way. Throws as `open`. */
  move(from: SealedPlace, to: SealedPlace, sealed: Sealed): Sealed
}
