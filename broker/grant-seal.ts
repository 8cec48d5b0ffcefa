import type { Grant } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import type { JsonObject } from '../core/secret.ts'
import type { SealedPlace, Sealer } from '../core/store.ts'
import type { Credential, GrantRecord, Sealed } from '../core/words.ts'
import { openJson } from './opening.ts'

/** A grant is renewed this long before it expires, ms; one that lives briefly in the second half of its life. */
const AHEAD = 30_000

type Holder = Pick<Credential, 'id' | 'owner' | 'audience'>

/** What a grant's row holds. */
export interface Kept {
  readonly values: JsonObject
  /** Unix ms. */
  readonly renewAt?: number
  /** It is good for nothing any more, and why: nobody is asked again until somebody consents anew. */
  readonly dead?: { readonly detail: string; readonly hint: string }
}

/** How grants are sealed in their rows. */
export class GrantSeal {
  readonly #sealer: Sealer
  readonly #clock: Clock

  constructor(sealer: Sealer, clock: Clock) {
    this.#sealer = sealer
    this.#clock = clock
  }

  /** Unix ms from which it should be renewed; undefined: when it is refused. */
  renewAt({ expiresAt }: Grant): number | undefined {
    if (expiresAt === undefined) return undefined
    return expiresAt - Math.min(AHEAD, (expiresAt - this.#clock.now()) / 2)
  }

  /** A grant as the next version of its row. */
  next(key: string, version: number, holder: Holder, grant: Grant) {
    const { values, expiresAt } = grant
    return { ...this.whole(key, version, holder, { values, renewAt: this.renewAt(grant) }), expiresAt }
  }

  whole(key: string, version: number, holder: Holder, kept: Kept): { sealed: Sealed; credential: string } {
    const plain = Buffer.from(JSON.stringify(kept), 'utf8')
    return { sealed: this.#sealer.seal(placeOf(key, version, holder), plain), credential: holder.id }
  }

  /** Throws internal where it was not sealed for this place. */
  open(row: GrantRecord, holder: Holder): Kept {
    return openJson(this.#sealer, placeOf(row.key, row.version, holder), row.sealed) as unknown as Kept
  }
}

function placeOf(key: string, version: number, { owner, audience }: Holder): SealedPlace {
  return { table: 'grants', row: key, field: 'values', version, owner, audience }
}
