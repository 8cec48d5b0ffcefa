import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import { refuseFederated } from '../core/identity.ts'
import { proxyKeyHash, proxyKeyText } from '../core/proxy-key.ts'
import type { ProxyKeyRecord } from '../core/words.ts'
import { LENT } from './keys.ts'
import { dataHolder, defineOperation } from './operation.ts'
import { findPrincipal } from './principals.ts'
import { closed, PrincipalId } from './schema.ts'

/** ms that a lent key is valid unless it is prolonged: what is left of it when its borrower is killed. */
export const LENT_FOR = 5 * 60_000

/**
 * A key for a while. It serves whatever its principal may, a user's own credentials too: no administrator's
 * to give (R28). The hash names it when it is prolonged or returned.
 */
export interface LentKey {
  readonly id: string
  readonly key: string
  readonly hash: string
  /** Unix ms. */
  readonly expiresAt: number
}

const Lent = closed({ id: PrincipalId, hash: Type.String({ pattern: '^[0-9a-f]{64}$' }) })

function isLent({ managedBy }: ProxyKeyRecord): boolean {
  return managedBy === LENT
}

export const lendKey = defineOperation({
  name: 'key.lend',
  summary: 'Give a principal a key for a while, beside its own',
  input: closed({ id: PrincipalId }),
  who: dataHolder,
  subject: ({ id }) => id,
  async run({ as, store, clock, random }, { id }): Promise<LentKey> {
    const { disabled } = await findPrincipal({ as, store }, id)
    refuseFederated(id)
    if (disabled) {
      throw new LocumError('not_allowed', `\`${id}\` is disabled.`, {
        hint: `locum principal enable ${id} takes it back.`,
      })
    }
    const now = clock.now()
    for (const key of await store.keys(as, id)) {
      if (isLent(key) && (key.expiresAt ?? 0) <= now) await store.removeKeys(as, id, key.hash)
    }
    const key = proxyKeyText(random(32))
    const hash = proxyKeyHash(key)
    const expiresAt = now + LENT_FOR
    await store.addKey(as, { hash, principal: id, createdAt: now, expiresAt, managedBy: LENT })
    return { id, key, hash, expiresAt }
  },
})

/** False where the key is gone, which stays so: somebody revoked it. */
export const prolongKey = defineOperation({
  name: 'key.prolong',
  summary: 'Move the end of a lent key',
  input: Lent,
  who: dataHolder,
  subject: ({ id }) => id,
  // Once a minute for as long as a program runs: its beginning and its end say it all.
  changed: () => false,
  async run({ as, store, clock }, { id, hash }): Promise<boolean> {
    const known = await store.keys(as, id)
    if (!known.some((key) => key.hash === hash && isLent(key))) return false
    return store.setKeyEnd(as, id, hash, clock.now() + LENT_FOR)
  },
})

/** Takes a lent key back; what the principal has of its own stays as it is. */
export const returnKey = defineOperation({
  name: 'key.return',
  summary: 'End a lent key',
  input: Lent,
  who: dataHolder,
  subject: ({ id }) => id,
  changed: (removed: number) => removed > 0,
  async run({ as, store }, { id, hash }): Promise<number> {
    const known = await store.keys(as, id)
    if (!known.some((key) => key.hash === hash && isLent(key))) return 0
    return store.removeKeys(as, id, hash)
  },
})
