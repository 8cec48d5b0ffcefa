import type { Store } from '../core/store.ts'
import { sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { FlowRow } from './tables.ts'

/** What waits for somebody to come back. What nobody came for goes when something else is added. */
export function flowRows(session: Session): Pick<Store, 'addFlow' | 'flow' | 'takeFlow'> {
  const inTime = (row: Pick<FlowRow, 'sealed' | 'expires_at'> | undefined) =>
    row && row.expires_at > session.clock.now() ? sealedBytes(row.sealed) : undefined

  return {
    async addFlow(as, id, { sealed, expiresAt }) {
      demandAdmin(as)
      await session.record(async (db) => {
        await db.deleteFrom('flows').where('expires_at', '<=', session.clock.now()).execute()
        const row = { id, sealed: sealedText(sealed), expires_at: expiresAt }
        await db.insertInto('flows').values(row).execute()
      })
    },

    async flow(as, id) {
      demandAdmin(as)
      return inTime(
        await session.db
          .selectFrom('flows')
          .select(['sealed', 'expires_at'])
          .where('id', '=', id)
          .executeTakeFirst(),
      )
    },

    async takeFlow(as, id) {
      demandAdmin(as)
      const taken = await session.record((db) =>
        db.deleteFrom('flows').where('id', '=', id).returning(['sealed', 'expires_at']).executeTakeFirst(),
      )
      return inTime(taken)
    },
  }
}
