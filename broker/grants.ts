import { createHash } from 'node:crypto'
import type { Grant, MethodIO } from '../core/auth-method.ts'
import type { CallOut } from '../core/call-out.ts'
import type { Clock } from '../core/clock.ts'
import { asLocumError, LocumError } from '../core/errors.ts'
import type { Route } from '../core/route.ts'
import type { JsonObject } from '../core/secret.ts'
import type { SealedPlace, Sealer, Store } from '../core/store.ts'
import { type Credential, type GrantRecord, SYSTEM } from '../core/words.ts'
import { openJson } from './opening.ts'

/** A lease outlives the longest call-out, ms. */
const LEASE = 60_000
/** A call-out that takes longer is given up, ms. */
const CALL_OUT = 30_000
/** A grant is renewed this long before it expires, ms; one that lives briefly in the second half of its life. */
const AHEAD = 30_000
/** A renewal that failed while the grant still serves is tried again after this long, ms. */
const RETRY = 2_000

/** A grant and the version of its row. */
export interface HeldGrant {
  readonly grant: Grant
  readonly version: number
  /** Unix ms from which it should be renewed; undefined: when it is refused. */
  readonly renewAt: number | undefined
}

/** What a grant is acquired for and with. */
export interface GrantRequest {
  readonly route: Route
  readonly credential: Credential
  readonly fields: JsonObject
  /** The version of the grant that was refused: only a later one will do. */
  readonly refused?: number
}

/** Acquires what a method acquires: once however many ask, in however many processes (R23). */
export class Grants {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #callOut: CallOut
  readonly #patience: number
  readonly #underWay = new Map<string, Promise<HeldGrant>>()

  constructor(x: {
    store: Store
    sealer: Sealer
    clock: Clock
    callOut: CallOut
    /** How long a call-out may take, ms. */
    patience?: number
  }) {
    this.#store = x.store
    this.#sealer = x.sealer
    this.#clock = x.clock
    this.#callOut = x.callOut
    this.#patience = x.patience ?? CALL_OUT
  }

  /**
   * The grant now in force, or a new one where there is none, it is about to expire, or it was
   * refused. Throws refresh_failed, reauthorization_required, store_unavailable, internal.
   */
  async hold(x: GrantRequest): Promise<HeldGrant> {
    const key = grantKey(x.route, x.credential)
    for (let known = this.#underWay.get(key); known; known = this.#underWay.get(key)) {
      const held = await known
      // What was under way may have set out before this grant was refused.
      if (held.version > (x.refused ?? 0)) return held
    }
    const work = this.#hold(key, x).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, work)
    return work
  }

  async #hold(key: string, x: GrantRequest): Promise<HeldGrant> {
    const fresh = this.#fresh(await this.#store.grant(SYSTEM, key), x)
    if (fresh) return fresh
    try {
      return await this.#store.lease(SYSTEM, `grant:${key}`, LEASE, (fence) => this.#renew(key, x, fence))
    } catch (thrown) {
      if (!(thrown instanceof LocumError && thrown.code === 'refresh_failed')) throw thrown
      // Somebody else may have been luckier, and until it expires the grant in force still serves.
      const held = this.#unexpired(await this.#store.grant(SYSTEM, key), x)
      if (!held) throw thrown
      const now = this.#clock.now()
      const later = held.renewAt === undefined || held.renewAt > now
      return later ? held : { ...held, renewAt: now + RETRY }
    }
  }

  async #renew(key: string, x: GrantRequest, fence: number): Promise<HeldGrant> {
    // Another process may have done it while this one waited.
    const row = await this.#store.grant(SYSTEM, key)
    const renewed = this.#fresh(row, x)
    if (renewed) return renewed
    const version = row?.version ?? 0
    await unlessLost(this.#store.intend(SYSTEM, key, version, fence))
    const grant = await this.#acquire(x)
    const renewAt = this.#renewAt(grant)
    const sealed = this.#sealer.seal(
      grantPlace(key, version + 1, x.credential),
      Buffer.from(JSON.stringify({ values: grant.values, renewAt }), 'utf8'),
    )
    const next = { sealed, expiresAt: grant.expiresAt }
    await unlessLost(this.#store.replaceGrant(SYSTEM, key, version, fence, next))
    return { grant, version: version + 1, renewAt }
  }

  #renewAt({ expiresAt }: Grant): number | undefined {
    if (expiresAt === undefined) return undefined
    return expiresAt - Math.min(AHEAD, (expiresAt - this.#clock.now()) / 2)
  }

  /** What a row holds, unless it is to be renewed. */
  #fresh(row: GrantRecord | undefined, x: GrantRequest): HeldGrant | undefined {
    const held = this.#unexpired(row, x)
    return held && (held.renewAt === undefined || held.renewAt > this.#clock.now()) ? held : undefined
  }

  /** What a row holds, unless it has expired or was refused. */
  #unexpired(row: GrantRecord | undefined, x: GrantRequest): HeldGrant | undefined {
    if (!row || row.version <= (x.refused ?? 0)) return undefined
    const { version, expiresAt } = row
    if (expiresAt !== undefined && expiresAt <= this.#clock.now()) return undefined
    const { values, renewAt } = openJson(
      this.#sealer,
      grantPlace(row.key, version, x.credential),
      row.sealed,
    ) as { values: JsonObject; renewAt?: number }
    return { grant: { values, expiresAt }, version, renewAt }
  }

  async #acquire(x: GrantRequest): Promise<Grant> {
    const signal = AbortSignal.timeout(this.#patience)
    const io: MethodIO = { callOut: this.#callOut, now: () => this.#clock.now(), signal }
    try {
      const { method, connection } = x.route
      if (!method.acquire) throw new Error(`the method ${method.id} acquires nothing`)
      const { fields } = x
      return await unlessAborted(method.acquire({ config: connection.methodConfig, fields }, io), signal)
    } catch (thrown) {
      const error = asLocumError(thrown)
      if (error.code !== 'internal') throw error
      throw new LocumError('refresh_failed', 'What the connection needs could not be acquired.', {
        cause: thrown,
      })
    }
  }
}

/** A method that does not heed the signal holds up nobody: the lease is released, and its answer is not used. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

/** The store says bad_request where the lease or the version is somebody else's by now. */
async function unlessLost(write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (thrown) {
    if (!(thrown instanceof LocumError && thrown.code === 'bad_request')) throw thrown
    throw new LocumError('refresh_failed', 'What the connection needs was renewed by another process.', {
      cause: thrown,
    })
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
