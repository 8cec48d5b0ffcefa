import { createHash } from 'node:crypto'
import type { CallOutRules } from './call-out.ts'
import { LocumError } from './errors.ts'
import type { Secret } from './secret.ts'
import type { Caller, PrincipalRecord } from './words.ts'

/** Signatures that a token may carry; whatever the issuer publishes, never `none` nor a shared secret. */
export const SIGNATURES = [
  'RS256',
  'PS256',
  'ES256',
  'ES384',
  'ES512',
  'RS384',
  'RS512',
  'PS384',
  'PS512',
  'EdDSA',
  'Ed25519',
] as const
export type Signature = (typeof SIGNATURES)[number]

/** The claim that says who a user is, unless another is named: an issuer never gives it to another user. */
export const SUBJECT = 'sub'

/** An OpenID Connect issuer whose tokens say who calls. */
export interface Issuer {
  /** As it stands in `iss`, to the letter. */
  readonly issuer: string
  /** What has to be among `aud`. */
  readonly audience: string
  /** Which claims say what. */
  readonly claims: {
    readonly id: string
    readonly profile?: string
    readonly email?: string
    readonly projects?: string
  }
  /** Where its keys are; undefined: discovery says it. */
  readonly jwksUri?: string
  readonly algorithms: readonly Signature[]
  readonly rules: CallOutRules
  /** Where its users may sign in at the console: Locum's client there. */
  readonly login?: LoginClient
}

/** Locum as a client of an issuer. */
export interface LoginClient {
  readonly clientId: string
  readonly clientSecret: Secret | undefined
  /** Asked for beside `openid`. */
  readonly scopes: readonly string[]
}

/** Whom an issuer names. `claim` is left out where it is `sub`. */
export interface Federated {
  readonly issuer: string
  readonly claim?: string
  readonly subject: string
}

/** What every id of an issuer's user begins with, and no other. */
const PREFIX = 'oidc-'

/**
 * The id of an issuer's user: a digest of issuer, claim and subject, so that whatever an issuer calls its
 * users, none is a local one nor another issuer's. An issuer is a URL and a claim's name holds no line
 * break, so no two of them run into each other.
 */
export function federatedId({ issuer, claim = SUBJECT, subject }: Federated): string {
  const digest = createHash('sha256').update(`${issuer}\n${claim}\n${subject}`)
  return PREFIX + digest.digest('base64url').slice(0, 32)
}

/** Whether an id is kept for users of issuers. */
export function isFederatedId(id: string): boolean {
  return id.startsWith(PREFIX)
}

/**
 * Throws bad_request where an id is kept for users of issuers: nobody else gets it, nor a proxy key for it, but what Locum gives
 * them itself when they have signed in.
 */
export function refuseFederated(id: string): void {
  if (!isFederatedId(id)) return
  throw new LocumError('bad_request', `\`${id}\` is the id of a user of an issuer (\`identity.issuers\`).`, {
    hint: `Such a user comes with their own tokens alone; ids of others do not begin with ${PREFIX}.`,
  })
}

/** Throws bad_request where a principal has another's kind of id, or an issuer's user what only local ones have. */
export function checkFederated(
  record: Pick<PrincipalRecord, 'id' | 'kind' | 'admin' | 'mayActFor' | 'managedBy' | 'federated'>,
): void {
  const { id, kind, admin, mayActFor, managedBy, federated } = record
  if (!federated) return refuseFederated(id)
  if (id === federatedId(federated) && kind === 'user' && !admin && !mayActFor && managedBy === undefined)
    return
  throw new LocumError('bad_request', `\`${id}\` cannot be a user of an issuer with these rights.`)
}

/** People who sign in at the console by their issuer. */
export interface Logins {
  /** Those by which somebody can. */
  readonly issuers: readonly string[]
  /** Where a browser is sent. `session`: the browser's own; `next`: where it goes then. Throws bad_request, refresh_failed. */
  begin(x: { issuer: string; session: string; redirectUri: string; next: string }): Promise<string>
  /** Who has signed in, once. Throws bad_request, refresh_failed, caller_unauthenticated. */
  complete(x: {
    state: string
    session: string
    answer: URL
  }): Promise<{ user: PrincipalRecord; next: string }>
}

/** Who calls by a token of an issuer. */
export interface TokenCallers {
  /** The caller of a token that was verified not long ago, by the hex of its SHA-256; undefined: `verify` knows. */
  caller(hash: string): Caller | undefined
  /** Rejects with caller_unauthenticated, whose detail says why and never what stands in the token, and with store_unavailable. */
  verify(hash: string, token: Secret): Promise<Caller>
  /** A caller who came by a token, as they would be let in now; null where they would not. Rejects with store_unavailable. */
  recall(caller: Caller): Promise<Caller | null>
}
