import type { Finding, Trust } from './auth-method.ts'
import type { Scope } from './words.ts'

/** What came of a connection that was tried for somebody. */
export interface Proof {
  readonly connection: string
  readonly method: string
  /** Whose credential serves; undefined where there is none. */
  readonly scope: Scope | undefined
  readonly findings: readonly Finding[]
}

/** Tries connections with whatever they hold; nothing that they hold comes back. */
export interface Proving {
  /** For a principal of this id. Throws not_found where there is no such connection or principal. */
  connection(name: string, principal: string): Promise<Proof>
  /** What the other side has to set up. `sites`: this one where none is named. Throws bad_request, refresh_failed. */
  trust(provider: string, x: { sites: readonly string[]; principal: string | undefined }): Promise<Trust>
}
