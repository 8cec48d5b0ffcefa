import { setTimeout as pause } from 'node:timers/promises'
import { LocumError } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import type { Principal } from '../core/words.ts'
import { demandAdmin, type Session } from './session.ts'
import type { Database } from './tables.ts'

/** ms between two looks at a lease that somebody holds. */
const POLL = { first: 5, most: 200 } as const
/** A lease is prolonged so many times before it would end. */
const BEATS = 3

/**
 * Leases: rows with an owner, an end and a fence. A fence is the row's own number, which grows with
 * every lease and is never given twice, so a holder that was taken for dead finds its writes refused.
 * `owner` is this store's own random name; `stop` ends all waiting.
 */
export function leaseRows(session: Session, owner: string, stop: AbortSignal): Pick<Store, 'lease'> {
  /** The fence, or undefined while another holds the lease. */
  function take(as: Principal, key: string, ttl: number): Promise<number | undefined> {
    return session.write(as, async (db) => {
      const now = session.clock.now()
      const held = await db.selectFrom('leases').selectAll().where('key', '=', key).executeTakeFirst()
      if (held && held.expires_at > now) return undefined
      if (held) await db.deleteFrom('leases').where('fence', '=', held.fence).execute()
      const row = { key, owner, expires_at: now + ttl }
      const { fence } = await db.insertInto('leases').values(row).returning('fence').executeTakeFirstOrThrow()
      return fence
    })
  }

  async function wait(as: Principal, key: string, ttl: number): Promise<number> {
    for (let delay: number = POLL.first; ; delay = Math.min(delay * 2, POLL.most)) {
      // A look costs no write lock; only a lease that seems free is worth a transaction.
      const held = await session.db.selectFrom('leases').selectAll().where('key', '=', key).executeTakeFirst()
      if (!held || held.expires_at <= session.clock.now()) {
        const fence = await take(as, key, ttl)
        if (fence !== undefined) return fence
      }
      try {
        await pause(delay * (0.5 + Math.random()), undefined, { signal: stop })
      } catch (cause) {
        throw new LocumError('store_unavailable', 'The store was closed.', { cause })
      }
    }
  }

  return {
    async lease(as, key, ttl, work) {
      demandAdmin(as)
      if (session.inTransaction) {
        throw new LocumError('internal', 'A lease cannot be waited for inside a transaction.')
      }
      const fence = await wait(as, key, ttl)
      const mine = (db: Database) => ({ db, fence, owner })
      const beat = setInterval(
        () => void unlessUnavailable(session.write(as, (db) => prolong(mine(db), session.clock.now() + ttl))),
        ttl / BEATS,
      )
      beat.unref()
      try {
        return await work(fence)
      } finally {
        clearInterval(beat)
        await unlessUnavailable(session.write(as, (db) => release(mine(db))))
      }
    },
  }
}

interface Mine {
  readonly db: Database
  readonly fence: number
  readonly owner: string
}

async function prolong({ db, fence, owner }: Mine, end: number): Promise<void> {
  const held = db.updateTable('leases').set({ expires_at: end })
  await held.where('fence', '=', fence).where('owner', '=', owner).execute()
}

async function release({ db, fence, owner }: Mine): Promise<void> {
  await db.deleteFrom('leases').where('fence', '=', fence).where('owner', '=', owner).execute()
}

/**
 * A beat or a release that the database does not take must not fail the work: the next beat makes
 * it good, or the lease ends by itself and the fence stops this holder's writes.
 */
async function unlessUnavailable(step: Promise<void>): Promise<void> {
  try {
    await step
  } catch (thrown) {
    if (!(thrown instanceof LocumError && thrown.code === 'store_unavailable')) throw thrown
  }
}

/** Throws bad_request where `fence` is not that of the key's lease now. */
export async function demandLease(db: Database, key: string, fence: number): Promise<void> {
  const held = await db.selectFrom('leases').select('fence').where('key', '=', key).executeTakeFirst()
  if (held?.fence === fence) return
  throw new LocumError('bad_request', 'The lease for this grant is no longer held.', {
    hint: 'Take it again and read the grant again.',
  })
}
