import type { Store } from '../core/store.ts'
import type { Session } from './session.ts'

/** How often connections were used in their budgets' periods. */
export function useRows(session: Session): Pick<Store, 'drawUses'> {
  return {
    drawUses: (as, { connection, principal, from, most }, share) =>
      session.write(as, async (db) => {
        const row = await db
          .selectFrom('uses')
          .selectAll()
          .where('connection', '=', connection)
          .where('principal', '=', principal)
          .executeTakeFirst()
        // A process whose clock is behind, at the end of a period, counts in the next one.
        const period = Math.max(from, row?.period ?? 0)
        const used = row?.period === period ? row.used : 0
        const left = Math.max(0, most - used)
        const given = Math.max(-used, Math.min(left, share(left)))
        if (given === 0 || (given < 0 && period !== from)) return 0
        const next = { connection, principal, period, used: used + given }
        await db
          .insertInto('uses')
          .values(next)
          .onConflict((conflict) =>
            conflict.columns(['connection', 'principal']).doUpdateSet({ period, used: next.used }),
          )
          .execute()
        return given
      }),
  }
}
