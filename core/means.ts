import type { CaKeeper } from './ca.ts'
import type { Proving } from './proving.ts'
import type { SigningKeeper } from './signing-keys.ts'
import type { Trail } from './trail.ts'

/** What a whole site can do beside keeping things. */
export interface Means {
  /** Its signing certificates. */
  readonly signing: SigningKeeper
  readonly ca: CaKeeper
  /** The audit, read. */
  readonly trail: Trail
  /** Tries connections, for `work`. */
  withProving<T>(work: (proving: Proving) => Promise<T>): Promise<T>
}
