import type { Store } from '../core/store.ts'
import type { Change } from '../core/words.ts'
import type { Session } from './session.ts'
import type { Database } from './tables.ts'

/** Rows of the feed that are kept. */
const KEPT = 10_000
/** Old rows are removed once in so many. */
const PRUNE_EVERY = 500

/** Says that something changed; always in the transaction that changed it. */
export async function announce(db: Database, kind: Change['kind'], id: string): Promise<void> {
  const { seq } = await db
    .insertInto('changes')
    .values({ kind, id })
    .returning('seq')
    .executeTakeFirstOrThrow()
  if (seq % PRUNE_EVERY === 0)
    await db
      .deleteFrom('changes')
      .where('seq', '<=', seq - KEPT)
      .execute()
}

async function newest(db: Database): Promise<number> {
  const row = await db.selectFrom('changes').select('seq').orderBy('seq', 'desc').limit(1).executeTakeFirst()
  return row?.seq ?? 0
}

/**
 * The change feed. Sequence numbers grow and are never given twice. Ids: a key's is its hash, a
 * binding's is its connection's name, a vault item's is `vault:NAME` (kind `site`).
 * A reader that is further behind than what is kept, or ahead of the feed because the database was
 * restored, gets one change of kind `site` with the id `*`: everything it keeps is out of date.
 */
export function changeFeed(session: Session): Pick<Store, 'head' | 'changes'> {
  return {
    async head() {
      return newest(session.db)
    },

    async changes(since) {
      const { db } = session
      // `since` itself is read along: that it is still there proves that nothing after it was removed.
      const rows = await db
        .selectFrom('changes')
        .selectAll()
        .where('seq', '>=', since)
        .orderBy('seq')
        .limit(KEPT + 1)
        .execute()
      const complete = since === 0 ? (rows[0]?.seq ?? 1) === 1 : rows[0]?.seq === since
      if (complete) return rows.filter((row) => row.seq > since) as Change[]
      return [{ seq: await newest(db), kind: 'site', id: '*' }]
    },
  }
}
