import type { Generated, Kysely } from 'kysely'

/**
 * The tables as kysely sees them. Times are Unix ms, flags 0 or 1, lists and objects JSON text.
 * `stamp` is the row's seal (stamps.ts); `sealed` values are what sealing.ts makes, base64 in JSON.
 */
export interface Tables {
  site: SiteRow
  principals: PrincipalRow
  proxy_keys: ProxyKeyRow
  projects: ProjectRow
  connections: ConnectionRow
  providers: ProviderRow
  credential_types: TypeRow
  credentials: CredentialRow
  bindings: BindingRow
  grants: GrantRow
  certificates: CertificateRow
  data_keys: DataKeyRow
  leases: LeaseRow
  changes: ChangeRow
  audit_checkpoints: CheckpointRow
  row_writes: RowWriteRow
  uses: UseRow
  flows: FlowRow
}

export type Database = Kysely<Tables>

/** A table whose rows carry a stamp. */
export type StampedTable = {
  [T in keyof Tables]: Tables[T] extends { stamp: string } ? T : never
}[keyof Tables]

export interface SiteRow {
  id: string
  url: string | null
  contact: string | null
  created_at: number
  stamp: string
}

export interface PrincipalRow {
  id: string
  kind: string
  profile: string | null
  email: string | null
  projects: string
  admin: number
  disabled: number
  managed_by: string | null
  version: number
  created_at: number
  may_act_for: string | null
  revoked_at: number | null
  limits: string | null
  issuer: string | null
  /** Null: `sub`. */
  subject_claim: string | null
  subject: string | null
  stamp: string
}

export interface ProxyKeyRow {
  hash: string
  principal: string
  created_at: number
  expires_at: number | null
  managed_by: string | null
  /** What it serves for, where that is not everything. */
  only: string | null
  stamp: string
}

export interface ProjectRow {
  name: string
  /** A list of ids. */
  editors: string
  created_at: number
  stamp: string
}

export interface ConnectionRow {
  name: string
  /** All of a connection but its name, version and managedBy. */
  definition: string
  managed_by: string | null
  version: number
  stamp: string
}

export interface ProviderRow {
  name: string
  /** All of a provider but its name, version and managedBy; sealed values as base64. */
  definition: string
  managed_by: string | null
  version: number
  stamp: string
}

export interface TypeRow {
  name: string
  /** A JSON Schema. */
  schema: string
  version: number
  stamp: string
}

export interface CredentialRow {
  id: string
  name: string
  owner: string
  audience: string
  field_names: string
  /** Fields that are no secrets; null: what the method says. */
  plain: string | null
  disabled: number
  projects: string
  managed_by: string | null
  version: number
  /** Keyed digest of the fields. */
  fingerprint: string | null
  /** An object: field name → base64 of the sealed value. */
  sealed: string
  created_at: number
  changed_at: number
  /** 1 where an administrator stopped it, else null. */
  blocked: number | null
  /** The principal to whom its owner would hand it, until when. */
  offered_to: string | null
  offered_until: number | null
  stamp: string
}

export interface BindingRow {
  connection: string
  scope: string
  credential: string
  stamp: string
}

export interface GrantRow {
  key: string
  version: number
  /** Base64; null where a renewal was intended and nothing was stored yet. */
  sealed: string | null
  expires_at: number | null
  /** The version that a renewal set out to replace; null when none is under way. */
  intended: number | null
  /** Whose it is: with a new version of that one it goes. */
  credential: string | null
  stamp: string
}

/** The site's vault items. */
export interface CertificateRow {
  name: string
  version: number
  sealed: string
  /** An object of texts that are no secrets. */
  open: string
  stamp: string
}

export interface DataKeyRow {
  /** 16 hex digits. */
  id: string
  /** Base64. */
  wrapped: string
  created_at: number
}

export interface LeaseRow {
  fence: Generated<number>
  key: string
  owner: string
  expires_at: number
}

export interface ChangeRow {
  seq: Generated<number>
  kind: string
  id: string
}

/** How often a connection was used in a budget's period. */
export interface UseRow {
  connection: string
  /** Empty: by everybody together. */
  principal: string
  /** When it began, Unix ms. */
  period: number
  used: number
}

/** Something that waits for somebody to come back, sealed as one value. */
export interface FlowRow {
  id: string
  /** Base64. */
  sealed: string
  expires_at: number
}

export interface CheckpointRow {
  file: string
  records: number
  hash: string
  at: number
  final: number
  signature: string
}

/** The one row says the number of the last transaction that wrote stamped rows. */
export interface RowWriteRow {
  id: number
  number: number
}
