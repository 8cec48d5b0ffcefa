import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Projects and who edits them; credentials that an administrator stopped, or that wait for a new owner. */
export const people: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('projects')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('editors', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('stamp', 'text', (c) => c.notNull())
      .execute()
    const credentials = db.schema.alterTable('credentials')
    await credentials.addColumn('blocked', 'integer').execute()
    await credentials.addColumn('offered_to', 'text').execute()
    await credentials.addColumn('offered_until', 'bigint').execute()
  },
}
