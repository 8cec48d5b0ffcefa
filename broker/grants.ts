import { createHash } from 'node:crypto'
import type { Grant, MethodIO } from '../core/auth-method.ts'
import type { CallOut } from '../core/call-out.ts'
import type { Clock } from '../core/clock.ts'
import { asLocumError, LocumError } from '../core/errors.ts'
import { isByConsent } from '../core/provider.ts'
import type { Route } from '../core/route.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import type { SigningKeys } from '../core/signing-keys.ts'
import type { Sealer, Store } from '../core/store.ts'
import { type Caller, type Credential, type GrantRecord, type Provider, SYSTEM } from '../core/words.ts'
import { Backoff } from './backoff.ts'
import { GrantSeal, type Kept } from './grant-seal.ts'
import { openProvider } from './opening.ts'

/** A lease outlives the longest call-out, ms. */
const LEASE = 60_000
/** A call-out that takes longer is given up, ms. */
const CALL_OUT = 30_000
/** A renewal that failed while the grant still serves is tried again after this long, ms. */
export const RETRY = 2_000

/** A grant and the version of its row. */
export interface HeldGrant {
  readonly grant: Grant
  readonly version: number
  /** Unix ms from which it should be renewed; undefined: when it is refused. */
  readonly renewAt: number | undefined
}

/** Whose a grant is: a credential, or what stands for one where a method does without. */
export type Holder = Pick<Credential, 'id' | 'version' | 'owner' | 'audience'>

/** What a grant is acquired for and with. */
export interface GrantRequest {
  readonly route: Route
  readonly holder: Holder
  readonly fields: JsonObject
  readonly provider: Provider | undefined
  readonly caller: Caller
  /** The version of the grant that was refused: only a later one will do. */
  readonly refused?: number
}

/** A credential by consent. */
export interface Consented {
  readonly holder: Holder
  readonly provider: Provider
}

/** A grant's row; `intended` where a renewal of it was never heard of again. */
type Row = GrantRecord & { readonly intended?: number }

/** Acquires what a method acquires: once however many ask, in however many processes (R23). */
export class Grants {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #seal: GrantSeal
  readonly #clock: Clock
  readonly #callOut: CallOut
  readonly #signingKeys: SigningKeys
  readonly #patience: number
  readonly #ondead: ((x: GrantRequest, error: LocumError) => void) | undefined
  readonly #backoff: Backoff
  readonly #underWay = new Map<string, Promise<HeldGrant>>()
  /** What was acquired and the store did not take: kept here until it does. */
  readonly #unkept = new Map<string, { readonly version: number; readonly grant: Grant }>()

  constructor(x: {
    store: Store
    sealer: Sealer
    clock: Clock
    callOut: CallOut
    signingKeys: SigningKeys
    /** Told, once, of a grant that is good for nothing any more. */
    ondead?: (x: GrantRequest, error: LocumError) => void
    /** How long a call-out may take, ms. */
    patience?: number
  }) {
    this.#store = x.store
    this.#sealer = x.sealer
    this.#seal = new GrantSeal(x.sealer, x.clock)
    this.#clock = x.clock
    this.#callOut = x.callOut
    this.#signingKeys = x.signingKeys
    this.#patience = x.patience ?? CALL_OUT
    this.#ondead = x.ondead
    this.#backoff = new Backoff(x.clock)
  }

  /**
   * The grant in force, which may be one to be renewed, or a new one where there is none, it has expired, or it was
   * refused. Throws refresh_failed, reauthorization_required, store_unavailable, internal.
   */
  async hold(x: GrantRequest): Promise<HeldGrant> {
    const key = grantKey(x)
    for (let known = this.#underWay.get(key); known; known = this.#underWay.get(key)) {
      const held = await known
      // What was under way may have set out before this grant was refused.
      if (held.version > (x.refused ?? 0)) return held
    }
    return this.#alone(key, async () => {
      const held = this.#unexpired(await this.#store.grant(SYSTEM, key), x)
      return held ?? this.#orLuckier(key, x, (row) => this.#unexpired(row, x))
    })
  }

  /**
   * Renews a grant that still serves, unless somebody does or has. Where that fails it goes on serving, and is to
   * be renewed a little later. Throws reauthorization_required, store_unavailable, internal.
   */
  async renewAhead(x: GrantRequest): Promise<HeldGrant> {
    const key = grantKey(x)
    const known = this.#underWay.get(key)
    if (known) return known
    return this.#alone(key, () => this.#orLuckier(key, x, (row) => this.#fresh(row, x)))
  }

  /** Keeps what somebody consented to, with the credential that `enter` writes: both or none. */
  async keepConsent(
    { holder, provider }: Consented,
    grant: Grant,
    enter: (store: Store) => Promise<void>,
  ): Promise<void> {
    const key = consentKey(holder, provider)
    await this.#store.lease(SYSTEM, `grant:${key}`, LEASE, (fence) =>
      this.#store.transact(SYSTEM, async (inside) => {
        await enter(inside)
        await inside.replaceGrant(SYSTEM, key, 0, fence, this.#seal.next(key, 1, holder, grant))
      }),
    )
  }

  /** What is kept of a consent; undefined where nothing is that still serves. */
  async consented({ holder, provider }: Consented): Promise<Grant | undefined> {
    const row = await this.#store.grant(SYSTEM, consentKey(holder, provider))
    if (!row) return undefined
    const { values, dead } = this.#seal.open(row, holder)
    return dead ? undefined : { values, expiresAt: row.expiresAt }
  }

  /** What a method may use of the world. */
  io(signal: AbortSignal = AbortSignal.timeout(this.#patience)): MethodIO {
    return {
      callOut: this.#callOut,
      signingKeys: this.#signingKeys,
      siteId: async () => (await this.#store.site()).id,
      now: () => this.#clock.now(),
      signal,
    }
  }

  #alone(key: string, work: () => Promise<HeldGrant>): Promise<HeldGrant> {
    const flight = work().finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, flight)
    return flight
  }

  /** Where it fails, somebody else may have been luckier, and until it expires the grant in force still serves. */
  async #orLuckier(
    key: string,
    x: GrantRequest,
    enough: (row: Row | undefined) => HeldGrant | undefined,
  ): Promise<HeldGrant> {
    try {
      return await this.#leased(key, x, enough)
    } catch (thrown) {
      if (!(thrown instanceof LocumError && thrown.code === 'refresh_failed')) throw thrown
      const held = this.#unexpired(await this.#store.grant(SYSTEM, key), x)
      if (!held) throw thrown
      const now = this.#clock.now()
      const later = held.renewAt === undefined || held.renewAt > now
      return later ? held : { ...held, renewAt: now + RETRY }
    }
  }

  async #leased(
    key: string,
    x: GrantRequest,
    enough: (row: Row | undefined) => HeldGrant | undefined,
  ): Promise<HeldGrant> {
    this.#backoff.check(key)
    return this.#store.lease(SYSTEM, `grant:${key}`, LEASE, async (fence) => {
      // Another process may have done it while this one waited.
      const row = await this.#store.grant(SYSTEM, key)
      return enough(row) ?? (await this.#renew(key, x, fence, row))
    })
  }

  async #renew(key: string, x: GrantRequest, fence: number, row: Row | undefined): Promise<HeldGrant> {
    const version = row?.version ?? 0
    const unkept = this.#unkept.get(key)
    // Somebody else has renewed it since.
    if (unkept?.version !== version) this.#unkept.delete(key)
    else return this.#keep(key, x.holder, version, fence, unkept.grant)
    const previous = row && { values: this.#seal.open(row, x.holder).values, expiresAt: row.expiresAt }
    await unlessLost(this.#store.intend(SYSTEM, key, version, fence))
    let grant: Grant
    try {
      grant = await this.#acquire(x, previous)
    } catch (thrown) {
      let error = asLocumError(thrown)
      if (row && error.code === 'reauthorization_required' && error.lasting) {
        error = await this.#bury(
          key,
          x.holder,
          fence,
          { version, cutShort: row.intended !== undefined },
          error,
        )
        this.#ondead?.(x, error)
      }
      this.#backoff.failed(key, error)
      throw error
    }
    this.#backoff.succeeded(key)
    return this.#keep(key, x.holder, version, fence, grant)
  }

  async #keep(key: string, holder: Holder, version: number, fence: number, grant: Grant): Promise<HeldGrant> {
    const next = this.#seal.next(key, version + 1, holder, grant)
    try {
      await unlessLost(this.#store.replaceGrant(SYSTEM, key, version, fence, next))
    } catch (thrown) {
      // What a server gave once it may never give again.
      if (thrown instanceof LocumError && thrown.code === 'store_unavailable')
        this.#unkept.set(key, { version, grant })
      throw thrown
    }
    this.#unkept.delete(key)
    return { grant, version: version + 1, renewAt: this.#seal.renewAt(grant) }
  }

  /** The dead are asked no more, by any process, and say why. */
  async #bury(
    key: string,
    holder: Holder,
    fence: number,
    { version, cutShort }: { version: number; cutShort: boolean },
    { detail, hint = '' }: LocumError,
  ): Promise<LocumError> {
    const why = cutShort
      ? `${detail} A renewal before was cut short, and what it was given was lost.`
      : detail
    const kept: Kept = { values: {}, dead: { detail: why, hint } }
    const next = this.#seal.whole(key, version + 1, holder, kept)
    await unlessLost(this.#store.replaceGrant(SYSTEM, key, version, fence, next))
    return new LocumError('reauthorization_required', why, { hint, lasting: true })
  }

  /** What a row holds, unless it is to be renewed. */
  #fresh(row: Row | undefined, x: GrantRequest): HeldGrant | undefined {
    const held = this.#unexpired(row, x)
    return held && (held.renewAt === undefined || held.renewAt > this.#clock.now()) ? held : undefined
  }

  /** What a row holds, unless it has expired or was refused. Throws reauthorization_required where it is dead. */
  #unexpired(row: Row | undefined, x: GrantRequest): HeldGrant | undefined {
    if (!row || row.version <= (x.refused ?? 0)) return undefined
    const { version, expiresAt } = row
    if (expiresAt !== undefined && expiresAt <= this.#clock.now()) return undefined
    const { values, renewAt, dead } = this.#seal.open(row, x.holder)
    if (dead)
      throw new LocumError('reauthorization_required', dead.detail, { hint: dead.hint, lasting: true })
    return { grant: { values, expiresAt }, version, renewAt }
  }

  async #acquire(x: GrantRequest, previous: Grant | undefined): Promise<Grant> {
    const io = this.io()
    try {
      const { method, connection } = x.route
      if (!method.acquire) throw new Error(`the method ${method.id} acquires nothing`)
      const provider = x.provider && openProvider(this.#sealer, x.provider)
      const caller = ofCaller(x) === undefined ? undefined : x.caller
      const input = { config: connection.methodConfig, fields: x.fields, provider, previous, caller }
      return await unlessAborted(method.acquire(input, io), io.signal)
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

/** What of the caller goes into what is acquired. */
function ofCaller({ route, provider, caller }: GrantRequest): Json | undefined {
  return provider && route.method.provider?.ofCaller?.(provider.config, caller)
}

/** Every input of the acquisition is in the key (R24); what somebody consented to serves every connection. */
function grantKey(x: GrantRequest): string {
  const { route, holder, provider } = x
  const { method, methodConfig } = route.connection
  if (provider && isByConsent(route.method, provider)) return consentKey(holder, provider)
  const shared = provider ? definitionOf(provider) : null
  return keyOf([holder.id, holder.version, method, methodConfig, shared, ofCaller(x) ?? null])
}

/** One that was removed and made again has the same name and version, and other seals. */
function definitionOf({ name, version, config, sealed }: Provider): Json {
  const seals = Object.entries(sealed).map(([field, seal]) => [
    field,
    Buffer.from(seal).toString('base64url'),
  ])
  return [name, version, config, seals]
}

function consentKey({ id, version }: Holder, { method, name }: Provider): string {
  return keyOf([id, version, method, name])
}

function keyOf(inputs: Json): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('base64url')
}
