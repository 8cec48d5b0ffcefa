import type { Audit } from '../core/audit.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { WrittenRows } from './row-marks.ts'
import type { Database } from './tables.ts'

/** Takes what each transaction did to stamped rows. */
export interface RowJournal {
  /** Before it commits. Where this throws, it does not. Returns the transaction's number. */
  begin(db: Database, rows: WrittenRows): Promise<number>
  /** After it has. Never throws. */
  kept(write: number): void
}

/**
 * Writes it to the audit, where no change of the database reaches it. `rows` is on the disk before
 * the commit is, so that nothing is ever in the database that the audit does not know; `rows-kept`
 * follows the commit, so that a process killed between the two leaves a record that says of itself
 * that it may not have happened. `audit` gives undefined while the store is being opened: what is
 * written then (the site, the audit's own key) is in no record.
 */
export function openRowJournal(audit: () => Audit | undefined, clock: Clock): RowJournal {
  return {
    async begin(db, rows) {
      const write = await nextWrite(db, clock.now())
      audit()?.record({ event: 'rows', write, rows: Object.fromEntries(rows) })
      return write
    },
    kept(write) {
      try {
        audit()?.recordSoon({ event: 'rows-kept', write })
      } catch (thrown) {
        // It has happened and cannot be refused any more; without this line both states are believed.
        if (!(thrown instanceof LocumError)) throw thrown
      }
    },
  }
}

/**
 * Unix ms, or one more than the last number where the clock has not moved on or went back. So the
 * numbers order the transactions of all processes, and go on growing when the database is put back.
 */
async function nextWrite(db: Database, now: number): Promise<number> {
  const { number } = await db
    .insertInto('row_writes')
    .values({ id: 1, number: now })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet(({ eb, ref }) => ({
        number: eb
          .case()
          .when('row_writes.number', '<', now)
          .then(now)
          .else(eb(ref('row_writes.number'), '+', 1))
          .end(),
      })),
    )
    .returning('number')
    .executeTakeFirstOrThrow()
  return number
}
