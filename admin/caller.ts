import { LocumError } from '../core/errors.ts'
import { proxyKeyHash } from '../core/proxy-key.ts'
import type { Principal, PrincipalRecord } from '../core/words.ts'
import { whoShows } from '../operations/sessions.ts'
import { type AskedHead, bearerOf, demandOwnOrigin } from './asked.ts'
import type { ConsolePages } from './pages.ts'
import { sessionCookie, signedIn } from './sign-in.ts'

/** Who asks the API. */
export interface ApiCaller {
  readonly principal: Principal
  /** What tells this key or session from every other; it authenticates nothing. */
  readonly shown: string
}

/**
 * Who asks, by a proxy key or by the session of the console. A page of another origin asks nothing,
 * whatever it shows, and a session's writes name their own origin (R21). Throws caller_unauthenticated,
 * not_allowed.
 */
export async function callerOf(pages: ConsolePages, asked: AskedHead): Promise<ApiCaller> {
  if (asked.origin !== undefined) demandOwnOrigin(asked)
  if (asked.authorization !== undefined) {
    const key = bearerOf(asked)
    return { principal: principalOf(await whoShows(pages.using, key), 'key'), shown: proxyKeyHash(key) }
  }
  const who = await signedIn(pages, asked)
  if (!who)
    throw new LocumError('caller_unauthenticated', 'Nobody asks: there is no key, and nobody is signed in.', {
      hint: 'Send `Authorization: Bearer lcm_…`, or sign in at the console.',
    })
  if (asked.method !== 'GET') demandOwnOrigin(asked)
  const cookie = asked.cookies.get(sessionCookie(pages)) as string
  return { principal: principalOf(who, 'session'), shown: proxyKeyHash(cookie) }
}

function principalOf(record: PrincipalRecord, via: 'key' | 'session'): Principal {
  const { id, kind, profile, email, projects, admin } = record
  return { id, kind, profile, email, projects, admin, via }
}
