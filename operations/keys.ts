import { doneBy } from '../core/audit.ts'
import { LINK_KEY, proxyKeyHash, proxyKeyText } from '../core/proxy-key.ts'
import { type PrincipalRecord, SYSTEM } from '../core/words.ts'
import type { Context } from './operation.ts'
import { durationMs } from './schema.ts'

/** What manages a lent key (operations/lent-keys.ts). No file has this name: theirs have no colon. */
export const LENT = 'locum:run'

/** A new key for a principal, stored as its hash. `ttl` is a `Duration`; left out, it has no end. */
export async function giveKey(
  { as, store, clock, random }: Context,
  principal: string,
  ttl: string | undefined,
): Promise<{ key: string; expiresAt?: number }> {
  const key = proxyKeyText(random(32))
  const now = clock.now()
  const expiresAt = ttl === undefined ? undefined : now + durationMs(ttl)
  await store.addKey(as, { hash: proxyKeyHash(key), principal, createdAt: now, expiresAt })
  return { key, expiresAt }
}

/**
 * Ends all keys of a principal at once, and gives how many. One that a file gave is kept as ended, since
 * the file may be applied again, and would bring back a key that somebody has taken away. A link that nobody has
 * opened goes too, and is none of the number.
 */
export async function endKeys(
  { as, store, clock }: Pick<Context, 'as' | 'store' | 'clock'>,
  id: string,
): Promise<number> {
  const now = clock.now()
  let ended = 0
  for (const { hash, managedBy, expiresAt } of await store.keys(as, id)) {
    if (managedBy === undefined || managedBy.startsWith('locum:')) await store.removeKeys(as, id, hash)
    else if (expiresAt === undefined || expiresAt > now) await store.setKeyEnd(as, id, hash, now)
    else continue
    if (managedBy !== LINK_KEY) ended++
  }
  return ended
}

/**
 * What it costs to take a user's keys away (R28): their own credentials lose their fields and stay
 * disabled until they are entered again, so that whoever hands out keys cannot take up a user's
 * secrets. It happens when the old keys go, with or without a new one; a first key suspends nothing.
 * The fields are dropped, since nothing may ever bring them back. What waits for them to accept it is offered no more,
 * for the same reason. Returns the credentials' ids.
 */
export async function suspendOwn(
  { as, store, clock, audit }: Pick<Context, 'as' | 'store' | 'clock' | 'audit'>,
  principal: Pick<PrincipalRecord, 'id' | 'kind'>,
): Promise<string[]> {
  if (principal.kind !== 'user') return []
  const suspended: string[] = []
  for (const credential of await store.credentials(SYSTEM)) {
    if (credential.offer?.to === principal.id)
      await store.setCredentialOffer(SYSTEM, credential.id, undefined)
    if (credential.owner !== `user:${principal.id}` || credential.fieldNames.length === 0) continue
    const { offer, ...kept } = credential
    await store.putCredential(SYSTEM, {
      ...kept,
      fieldNames: [],
      sealed: {},
      fingerprint: undefined,
      disabled: true,
      version: credential.version + 1,
      changedAt: clock.now(),
    })
    audit.record({
      event: 'change',
      ...doneBy(as),
      operation: 'credential.suspend',
      subject: credential.id,
      outcome: 'done',
    })
    suspended.push(credential.id)
  }
  return suspended
}

/** Says it to whoever gave the key. */
export function warnSuspended(
  context: Pick<Context, 'warn'>,
  principal: string,
  suspended: readonly string[],
): void {
  if (suspended.length === 0) return
  const which = suspended.length === 1 ? 'own credential is' : `${suspended.length} own credentials are`
  context.warn(`${principal}'s ${which} disabled until entered again: ${suspended.join(', ')}`)
}
