import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** For whom a principal may call, and when it was last revoked. */
export const actFor: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { schema } = db
    await schema.alterTable('principals').addColumn('may_act_for', 'text').execute()
    await schema.alterTable('principals').addColumn('revoked_at', 'bigint').execute()
  },
}
