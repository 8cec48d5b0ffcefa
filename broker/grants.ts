import { createHash } from 'node:crypto'
import type { Grant, MethodIO } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { asLocumError, LocumError } from '../core/errors.ts'
import type { Route } from '../core/route.ts'
import type { JsonObject } from '../core/secret.ts'
import type { SealedPlace, Sealer, Store } from '../core/store.ts'
import { type Caller, type Credential, type GrantRecord, SYSTEM } from '../core/words.ts'

/** A lease outlives the longest call-out, ms. */
const LEASE = 60_000
/** A call-out that takes longer is given up, ms. */
const CALL_OUT = 30_000
/** A grant is renewed this long before it expires, ms. */
export const AHEAD = 30_000

/** A grant and the version of its row. */
export interface HeldGrant {
  readonly grant: Grant
  readonly version: number
}

/** Acquires what a method acquires: once however many ask, in however many processes (R23). */
export class Grants {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #fetch: typeof globalThis.fetch
  readonly #underWay = new Map<string, Promise<HeldGrant>>()

  constructor(x: { store: Store; sealer: Sealer; clock: Clock; fetch: typeof globalThis.fetch }) {
    this.#store = x.store
    this.#sealer = x.sealer
    this.#clock = x.clock
    this.#fetch = x.fetch
  }

  /**
   * The grant now in force, or a new one where there is none, it is about to expire, or it is the
   * one that was refused (`refused`: its version). Throws refresh_failed, reauthorization_required,
   * store_unavailable, internal.
   */
  hold(x: {
    route: Route
    credential: Credential
    fields: JsonObject
    caller: Caller
    refused?: number
  }): Promise<HeldGrant> {
    const key = grantKey(x.route, x.credential)
    const known = this.#underWay.get(key)
    if (known) return known
    const work = this.#hold(key, x).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, work)
    return work
  }

  async #hold(key: string, x: Parameters<Grants['hold']>[0]): Promise<HeldGrant> {
    const held = this.#usable(await this.#store.grant(SYSTEM, key), key, x)
    if (held) return held
    return this.#store.lease(SYSTEM, `grant:${key}`, LEASE, async (fence) => {
      // Another process may have done it while this one waited.
      const row = await this.#store.grant(SYSTEM, key)
      const renewed = this.#usable(row, key, x)
      if (renewed) return renewed
      const version = row?.version ?? 0
      await this.#store.intend(SYSTEM, key, version, fence)
      const grant = await this.#acquire(x)
      const sealed = this.#sealer.seal(
        grantPlace(key, version + 1, x.credential),
        Buffer.from(JSON.stringify(grant.values), 'utf8'),
      )
      await this.#store.replaceGrant(SYSTEM, key, version, fence, { sealed, expiresAt: grant.expiresAt })
      return { grant, version: version + 1 }
    })
  }

  #usable(
    row: GrantRecord | undefined,
    key: string,
    x: Parameters<Grants['hold']>[0],
  ): HeldGrant | undefined {
    if (!row || row.version <= (x.refused ?? 0)) return undefined
    if (row.expiresAt !== undefined && row.expiresAt - AHEAD <= this.#clock.now()) return undefined
    const text = this.#sealer.open(grantPlace(key, row.version, x.credential), row.sealed).toString('utf8')
    return {
      grant: { values: JSON.parse(text) as JsonObject, expiresAt: row.expiresAt },
      version: row.version,
    }
  }

  async #acquire(x: Parameters<Grants['hold']>[0]): Promise<Grant> {
    const io: MethodIO = {
      fetch: this.#fetch,
      now: () => this.#clock.now(),
      signal: AbortSignal.timeout(CALL_OUT),
    }
    try {
      const { method, connection } = x.route
      if (!method.acquire) throw new Error(`the method ${method.id} acquires nothing`)
      return await method.acquire({ config: connection.methodConfig, fields: x.fields, caller: x.caller }, io)
    } catch (thrown) {
      const error = asLocumError(thrown)
      if (error.code !== 'internal') throw error
      throw new LocumError('refresh_failed', 'What the connection needs could not be acquired.', {
        cause: thrown,
      })
    }
  }
}

/** Every input of the acquisition is in the key (R24). */
function grantKey(route: Route, credential: Credential): string {
  const { method, methodConfig, provider } = route.connection
  const inputs = JSON.stringify([credential.id, credential.version, method, methodConfig, provider ?? null])
  return createHash('sha256').update(inputs).digest('base64url')
}

function grantPlace(key: string, version: number, credential: Credential): SealedPlace {
  return {
    table: 'grants',
    row: key,
    field: 'values',
    version,
    owner: credential.owner,
    audience: credential.audience,
  }
}
