import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The number of the last transaction that wrote stamped rows: one row. */
export const rowWrites: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('row_writes')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .addColumn('number', 'bigint', (c) => c.notNull())
      .execute()
  },
}
