import type { Store } from '../core/store.ts'
import { sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'

/** What waits for somebody to come back. What nobody came for goes when something else is added. */
export function flowRows(session: Session): Pick<Store, 'addFlow' | 'takeFlow'> {
  return {
    async addFlow(as, id, { sealed, expiresAt }) {
      demandAdmin(as)
      await session.record(async (db) => {
        await db.deleteFrom('flows').where('expires_at', '<=', session.clock.now()).execute()
        const row = { id, sealed: sealedText(sealed), expires_at: expiresAt }
        await db.insertInto('flows').values(row).execute()
      })
    },

    async takeFlow(as, id) {
      demandAdmin(as)
      const taken = await session.record((db) =>
        db.deleteFrom('flows').where('id', '=', id).returning(['sealed', 'expires_at']).executeTakeFirst(),
      )
      return taken && taken.expires_at > session.clock.now() ? sealedBytes(taken.sealed) : undefined
    },
  }
}
