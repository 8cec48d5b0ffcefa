import { doneBy } from '../core/audit.ts'
import { LocumError } from '../core/errors.ts'
import { CONSOLE_KEY, isProxyKey, PAGE_KEY, proxyKeyHash, proxyKeyText } from '../core/proxy-key.ts'
import type { KeyBounds, Principal, PrincipalRecord } from '../core/words.ts'
import type { Context } from './operation.ts'

type Using = Pick<Context, 'as' | 'store' | 'clock' | 'random' | 'audit'>

/** ms that somebody stays signed in at the console. */
const CONSOLE_FOR = 12 * 3_600_000
/** ms that a page's key serves, unless told; and at most. */
export const PAGE_FOR = { usual: 15 * 60_000, most: 3_600_000 } as const

/** A key, told once. `expiresAt` is Unix ms. */
export interface GivenKey {
  readonly key: string
  readonly expiresAt: number
}

/** Who shows a key of their own. Throws caller_unauthenticated, which does not tell an unknown id from a wrong key. */
export async function whoShows(x: Using, key: string, id?: string): Promise<PrincipalRecord> {
  const found = isProxyKey(key) ? await holderOf(x, key) : undefined
  const own = found?.key.managedBy === undefined || !found.key.managedBy.startsWith('locum:')
  if (found && own && (id === undefined || id === found.principal.id)) return found.principal
  throw new LocumError('caller_unauthenticated', 'That is no valid id and key.', {
    hint: 'The key is what `locum principal add` or `rotate-key` printed: lcm_…',
  })
}

/** Who is signed in with what a cookie holds; undefined: nobody. */
export async function whoIsSignedIn(x: Using, cookie: string): Promise<PrincipalRecord | undefined> {
  const found = isProxyKey(cookie) ? await holderOf(x, cookie) : undefined
  return found?.key.managedBy === CONSOLE_KEY ? found.principal : undefined
}

/** Whose page shows its key, and what it is for. Throws caller_unauthenticated, not_allowed for another page. */
export async function whosePage(
  x: Using,
  key: string,
  origin: string | undefined,
): Promise<{ principal: PrincipalRecord; only: KeyBounds }> {
  const found = isProxyKey(key) ? await holderOf(x, key) : undefined
  const only = found?.key.only
  if (!found || !only || found.key.managedBy !== PAGE_KEY)
    throw new LocumError('caller_unauthenticated', 'No valid key of a page came with this request.', {
      hint: 'Sign in again.',
    })
  if (origin !== only.origin)
    throw new LocumError('not_allowed', 'This key was given to a page of another origin.')
  return { principal: found.principal, only }
}

async function holderOf({ as, store, clock }: Using, key: string) {
  const found = await store.keyHolder(as, proxyKeyHash(key))
  if (!found || found.principal.disabled) return undefined
  return (found.key.expiresAt ?? Number.POSITIVE_INFINITY) > clock.now() ? found : undefined
}

/** Signs somebody in at the console: what the cookie holds. */
export function openConsoleSession(x: Using, principal: PrincipalRecord): Promise<GivenKey> {
  return give(x, principal.id, CONSOLE_FOR, CONSOLE_KEY, { by: principal, operation: 'session.open' })
}

export async function closeConsoleSession({ as, store }: Using, cookie: string): Promise<void> {
  const hash = proxyKeyHash(cookie)
  const found = await store.keyHolder(as, hash)
  if (found?.key.managedBy === CONSOLE_KEY) await store.removeKeys(as, found.principal.id, hash)
}

/** A short key for a page of one origin, which calls as that user. `by`: who asks for it, the user or their back end. */
export function givePageKey(
  x: Using,
  user: Pick<Principal, 'id'>,
  only: KeyBounds,
  by: Pick<Principal, 'id' | 'kind'>,
  ttl: number = PAGE_FOR.usual,
): Promise<GivenKey> {
  return give(x, user.id, Math.min(ttl, PAGE_FOR.most), PAGE_KEY, { by, operation: 'session.page' }, only)
}

async function give(
  { as, store, clock, random, audit }: Using,
  id: string,
  ttl: number,
  managedBy: string,
  { by, operation }: { by: Pick<Principal, 'id' | 'kind'>; operation: string },
  only?: KeyBounds,
): Promise<GivenKey> {
  const now = clock.now()
  const key = proxyKeyText(random(32))
  const expiresAt = now + ttl
  await store.transact(as, async (inside) => {
    for (const old of await inside.keys(as, id)) {
      if (old.managedBy?.startsWith('locum:') && (old.expiresAt ?? now) <= now)
        await inside.removeKeys(as, id, old.hash)
    }
    await inside.addKey(as, {
      hash: proxyKeyHash(key),
      principal: id,
      createdAt: now,
      expiresAt,
      managedBy,
      only,
    })
    const { id: caller, kind } = by
    const done = doneBy({ id: caller, kind, via: 'session' })
    audit.record({ event: 'change', ...done, operation, subject: id, outcome: 'done' })
  })
  return { key, expiresAt }
}
