import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { CallOut } from '../core/call-out.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Issuer } from '../core/identity.ts'

/** How long an issuer's keys are taken as they are, ms. */
export const KEYS_FRESH = 5 * 60_000
/** How long they serve while the issuer does not answer, ms: a key that it withdraws meanwhile counts so long. */
export const KEYS_STALE = 60 * 60_000
/** Between two times that an issuer is asked because of a key that it had not published, ms. */
export const ASK_AGAIN = 30_000
/** Between two times that one is asked that did not answer, ms. */
export const TRY_AGAIN = 5_000
/** How long an issuer may take for one answer, ms. */
const PATIENCE = 5_000

/** An issuer's published keys, as far as they are known. */
export class IssuerKeys {
  readonly #issuer: Issuer
  readonly #fetch: typeof globalThis.fetch
  readonly #clock: Clock
  readonly #patience: number
  #find: JWTVerifyGetKey | undefined
  /** Unix ms of the asking that gave them. */
  #knownAt = Number.NEGATIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY
  #failed = false
  #asking: Promise<void> | undefined

  constructor(x: { issuer: Issuer; callOut: CallOut; clock: Clock; patience?: number }) {
    this.#issuer = x.issuer
    this.#fetch = x.callOut(x.issuer.rules)
    this.#clock = x.clock
    this.#patience = x.patience ?? PATIENCE
  }

  /** The key that a token names: with a jose error where there is none, and caller_unauthenticated where the issuer cannot be asked. */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const age = this.#clock.now() - this.#knownAt
    const known = age < KEYS_STALE ? this.#find : undefined
    if (!known || age >= KEYS_FRESH) {
      const asking = this.#ask(TRY_AGAIN)
      // While an issuer is down nobody waits for it whose key is known.
      if (!known || !this.#failed) await asking
    }
    const find = this.#clock.now() - this.#knownAt < KEYS_STALE ? this.#find : undefined
    if (!find) throw this.#unreachable()
    try {
      return await find(header, token)
    } catch (thrown) {
      if (!isUnknownKey(thrown)) throw thrown
      // It may have rotated its keys. Anybody can name a key that is not there: so not each time.
      const before = this.#knownAt
      await this.#ask(ASK_AGAIN)
      if (this.#knownAt === before) throw this.#failed ? this.#unreachable() : thrown
      return (this.#find as JWTVerifyGetKey)(header, token)
    }
  }

  /** Asks the issuer, unless it is being asked or was within `pause` ms. What it does not answer is not learnt. */
  #ask(pause: number): Promise<void> {
    const now = this.#clock.now()
    if (!this.#asking && now - this.#askedAt >= pause) {
      this.#askedAt = now
      this.#asking = this.#learn(now).finally(() => {
        this.#asking = undefined
      })
    }
    return this.#asking ?? Promise.resolve()
  }

  async #learn(now: number): Promise<void> {
    this.#failed = !(await this.#fetchKeys().then(
      (find) => {
        this.#find = find
        this.#knownAt = now
        return true
      },
      () => false,
    ))
  }

  async #fetchKeys(): Promise<JWTVerifyGetKey> {
    const { issuer, jwksUri = await this.#discover(issuer) } = this.#issuer
    return createLocalJWKSet((await this.#read(jwksUri)) as unknown as JSONWebKeySet)
  }

  /** OpenID Connect Discovery 1.0 §4: what it says counts only where it says it of this very issuer. */
  async #discover(issuer: string): Promise<string> {
    const said = await this.#read(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (said.issuer !== issuer || typeof said.jwks_uri !== 'string')
      throw new Error('another issuer’s metadata')
    return said.jwks_uri
  }

  async #read(url: string): Promise<Record<string, unknown>> {
    const signal = AbortSignal.timeout(this.#patience)
    const response = await this.#fetch(url, { headers: { accept: 'application/json' }, signal })
    const value: unknown = response.status === 200 ? await response.json() : undefined
    if (value === null || typeof value !== 'object') throw new Error('no answer of use')
    return value as Record<string, unknown>
  }

  #unreachable(): LocumError {
    const rest = this.#askedAt + TRY_AGAIN - this.#clock.now()
    return new LocumError(
      'caller_unauthenticated',
      "The keys of the token's issuer could not be had, so that it could not be verified.",
      {
        hint: 'Send the request again; where it stays so, whoever administers this installation looks at `identity.issuers` and the issuer.',
        retryAfter: Math.max(1, Math.ceil(rest / 1000)),
      },
    )
  }
}

function isUnknownKey(thrown: unknown): boolean {
  return (thrown as { code?: unknown }).code === 'ERR_JWKS_NO_MATCHING_KEY'
}
