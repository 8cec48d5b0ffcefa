import { createHash } from 'node:crypto'
import type { Audit } from '../core/audit.ts'
import type { CallOut } from '../core/call-out.ts'
import type { Clock } from '../core/clock.ts'
import type { Issuer, TokenCallers } from '../core/identity.ts'
import type { JsonObject, Secret } from '../core/secret.ts'
import type { Store } from '../core/store.ts'
import { type Caller, type Change, type PrincipalRecord, SYSTEM } from '../core/words.ts'
import { IssuerKeys } from './keys.ts'
import { type Person, readPerson } from './person.ts'
import { readToken, refuseToken } from './token.ts'
import { verifyToken } from './verify.ts'

/** Verified tokens kept; the oldest go first. */
const KEPT = 10_000
/** How long a verified token is taken as such, ms. */
export const RECHECK = 60_000
/** Between two times that what a user's tokens say is written down anew, ms: two that differ may come by turns. */
const NOTE_AGAIN = 60_000
/** How far an issuer's clock may be ahead, so that a token from before a revocation looks like one from after it, ms. */
const SKEW = 30_000

/** Lets the users of issuers in: verifies their tokens, remembers which hold, and keeps a principal for each user. */
export class IssuerCallers implements TokenCallers {
  readonly #issuers: ReadonlyMap<string, { readonly issuer: Issuer; readonly keys: IssuerKeys }>
  readonly #store: Store
  readonly #clock: Clock
  readonly #audit: Pick<Audit, 'record'>
  readonly #kept = new Map<string, { readonly caller: Caller; readonly until: number }>()
  readonly #underWay = new Map<string, Promise<Caller>>()
  /** When what a user's tokens say was written down last. */
  readonly #notedAt = new Map<string, number>()
  /** Grows with every change of who may call. */
  #epoch = 0

  constructor(x: {
    issuers: readonly Issuer[]
    store: Store
    callOut: CallOut
    clock: Clock
    audit: Pick<Audit, 'record'>
    /** ms that an issuer may take for an answer. */
    patience?: number
  }) {
    const { callOut, clock, patience } = x
    this.#issuers = new Map(
      x.issuers.map((issuer) => [
        issuer.issuer,
        { issuer, keys: new IssuerKeys({ issuer, callOut, clock, patience }) },
      ]),
    )
    this.#store = x.store
    this.#clock = clock
    this.#audit = x.audit
  }

  caller(hash: string): Caller | undefined {
    const kept = this.#kept.get(hash)
    return kept && kept.until > this.#clock.now() ? kept.caller : undefined
  }

  verify(hash: string, token: Secret): Promise<Caller> {
    let work = this.#underWay.get(hash)
    if (!work) {
      work = this.#verify(hash, token).finally(() => this.#underWay.delete(hash))
      this.#underWay.set(hash, work)
    }
    return work
  }

  /** The principal whom claims name that an issuer has vouched for. Throws caller_unauthenticated. */
  async join(issuer: Issuer, claims: JsonObject): Promise<PrincipalRecord> {
    const record = await this.#recordOf(readPerson(issuer, claims))
    if (record.disabled)
      refuseToken('This user is disabled here.', 'Whoever administers this installation can enable them.')
    return record
  }

  async recall(caller: Caller): Promise<Caller | null> {
    const { principal, keyHash = '' } = caller
    if (this.caller(keyHash)) return caller
    const record = await this.#store.principal(SYSTEM, principal.id)
    return record && !record.disabled && !isRevoked(record, principal.claims) ? caller : null
  }

  /** Follows the change feed. */
  forget(changes: readonly Change[]): void {
    const all = changes.some(({ kind, id }) => kind === 'site' && id === '*')
    const changed = new Set(changes.filter(({ kind }) => kind === 'principal').map(({ id }) => id))
    if (!all && changed.size === 0) return
    this.#epoch++
    for (const [hash, { caller }] of this.#kept)
      if (all || changed.has(caller.principal.id)) this.#kept.delete(hash)
  }

  async #verify(hash: string, token: Secret): Promise<Caller> {
    const text = token.reveal()
    const read = readToken(text)
    const { iss } = read.claims
    // What it says of its issuer is believed when that one's signature holds.
    const known = typeof iss === 'string' ? this.#issuers.get(iss) : undefined
    if (!known)
      refuseToken(
        'The token is of an issuer that this Locum does not know.',
        'Log in at the issuer that `identity.issuers` names, to the letter.',
      )
    const { claims, expiresAt } = await verifyToken(text, read, { ...known, clock: this.#clock })
    const person = readPerson(known.issuer, claims)
    let epoch: number
    let record: PrincipalRecord
    do {
      epoch = this.#epoch
      record = await this.#recordOf(person)
    } while (epoch !== this.#epoch)
    if (record.disabled)
      refuseToken('This user is disabled here.', 'Whoever administers this installation can enable them.')
    if (isRevoked(record, claims))
      refuseToken('The token is from before its user was revoked here.', 'Log in at the issuer again.')
    const caller = callerOf(person, { claims, expiresAt, hash, token })
    this.#keep(hash, caller, expiresAt)
    return caller
  }

  #keep(hash: string, caller: Caller, expiresAt: number): void {
    this.#kept.delete(hash)
    if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(hash, { caller, until: Math.min(expiresAt, this.#clock.now() + RECHECK) })
  }

  /** The user's principal, made or brought up to date where that is needed. */
  async #recordOf(person: Person): Promise<PrincipalRecord> {
    const before = await this.#store.principal(SYSTEM, person.id)
    if (before && (!differs(before, person) || this.#wasNoted(person.id))) return before
    return this.#store.transact(SYSTEM, async (store) => {
      const now = await store.principal(SYSTEM, person.id)
      const { id, federated, profile, email } = person
      const said = { profile, email, projects: [...person.projects].sort() }
      const kept = { disabled: now?.disabled ?? false, revokedAt: now?.revokedAt }
      const record = { id, kind: 'user', admin: false, federated, ...said, ...kept } as const
      if (!now) {
        const change = { operation: 'principal.join', subject: id, outcome: 'done' } as const
        this.#audit.record({ event: 'change', caller: id, via: 'jwt', actor: 'human', ...change })
      }
      return store.putPrincipal(SYSTEM, record)
    })
  }

  /** Whether that was done a moment ago, so that it waits; else it is now. */
  #wasNoted(id: string): boolean {
    const now = this.#clock.now()
    if (now - (this.#notedAt.get(id) ?? Number.NEGATIVE_INFINITY) < NOTE_AGAIN) return true
    this.#notedAt.delete(id)
    if (this.#notedAt.size >= KEPT) this.#notedAt.delete(this.#notedAt.keys().next().value as string)
    this.#notedAt.set(id, now)
    return false
  }
}

/** A token that does not say when it was issued could be from before. */
function isRevoked({ revokedAt }: PrincipalRecord, claims: JsonObject | undefined): boolean {
  if (revokedAt === undefined) return false
  const iat = claims?.iat
  return typeof iat !== 'number' || iat * 1000 <= revokedAt + SKEW
}

function differs({ profile, email, projects }: PrincipalRecord, person: Person): boolean {
  const sorted = (texts: readonly string[]) => JSON.stringify([...texts].sort())
  return profile !== person.profile || email !== person.email || sorted(projects) !== sorted(person.projects)
}

function callerOf(
  { id, profile, email, projects }: Person,
  x: { claims: JsonObject; expiresAt: number; hash: string; token: Secret },
): Caller {
  const { claims, expiresAt, hash, token } = x
  // The issuer's session, where it says so: tokens of one come and go.
  const session = typeof claims.sid === 'string' ? claims.sid : ''
  return {
    principal: { id, kind: 'user', profile, email, projects, admin: false, claims, via: 'jwt' },
    keyHash: hash,
    token,
    expiresAt,
    sessionId: createHash('sha256')
      .update(`session\n${id}\njwt\n${session}`)
      .digest('base64url')
      .slice(0, 22),
  }
}
