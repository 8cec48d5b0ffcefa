import type { Named } from './directory.ts'
import { LocumError } from './errors.ts'
import type { HeadFields } from './heads.ts'
import { LINK_KEY } from './proxy-key.ts'
import type { Caller, Principal, PrincipalRecord, ProxyKeyRecord } from './words.ts'

/** The header in which a caller says for whom it calls, in lower case. */
export const FOR_HEADER = 'locum-for'

const ASKED = /^user:([A-Za-z0-9._@-]{1,128})$/

/** The id of a user in `user:ID`. Throws bad_request. */
export function readFor(text: string): string {
  const id = ASKED.exec(text)?.[1]
  if (id !== undefined) return id
  throw new LocumError('bad_request', 'Locum-For does not name a user.', {
    hint: 'Write `Locum-For: user:ID`.',
  })
}

/** For whom a request asks, so that the audit can say it; undefined where that cannot be read. */
export function askedFor(fields: HeadFields): string | undefined {
  return ASKED.exec(fields.get(FOR_HEADER) ?? '')?.[1]
}

/** A principal as others name it. `caller`: the same as a caller. `keys`: all of its own. */
export function namedOf(
  { revokedAt }: PrincipalRecord,
  caller: Caller,
  keys: readonly ProxyKeyRecord[],
): Named {
  const isNewer = ({ createdAt, expiresAt = Number.POSITIVE_INFINITY, managedBy }: ProxyKeyRecord) =>
    revokedAt !== undefined && createdAt >= revokedAt && expiresAt > revokedAt && managedBy !== LINK_KEY
  const withdrawn = revokedAt !== undefined && !keys.some(isNewer)
  return { caller, revokedAt, withdrawn }
}

/** Who calls, where that is another than the one who is served. */
export function actorOf({ actor, principal }: Caller): Principal | undefined {
  return actor?.id === principal.id ? undefined : actor
}

/** Throws not_allowed: whoever asks may act for nobody. */
export function refuseActing(): never {
  throw new LocumError('not_allowed', 'This caller may not act for others.', {
    hint: 'It takes a key or a certificate of a principal with `mayActFor`, who is no administrator.',
  })
}

/**
 * The user as whom a caller is served: with the user's profile, projects and credentials, without an
 * administrator's rights. Throws not_allowed where the caller may not, and the same where there is no
 * such user, it is disabled or revoked, or it is a service: who may not act for somebody does not learn
 * whether they are there.
 */
export function servedFor(actor: Caller, named: Named | null): Caller {
  const { mayActFor, principal, keyHash, certificate, expiresAt, sessionId } = actor
  if (mayActFor === undefined) refuseActing()
  const user = named?.caller.principal
  if (!user || named.withdrawn || user.kind !== 'user' || !covers(mayActFor, user)) {
    throw new LocumError('not_allowed', 'This caller may not act for that user, or there is no such user.', {
      hint: 'Whoever administers this installation lists it in the `mayActFor` of the caller.',
    })
  }
  return {
    principal: { ...user, admin: false, via: principal.via },
    keyHash,
    certificate,
    actor: principal,
    expiresAt,
    // Of this caller with this user: neither's own session, nor that of another pair.
    sessionId: `${sessionId}.${named.caller.sessionId}`,
  }
}

function covers(rules: readonly string[], { id, profile }: Principal): boolean {
  return rules.some(
    (rule) =>
      rule === 'user:*' || rule === `user:${id}` || (profile !== undefined && rule === `profile:${profile}`),
  )
}
