import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Limits of principals, and how often connections with a budget were used. */
export const limits: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { schema } = db
    await schema.alterTable('principals').addColumn('limits', 'text').execute()
    await schema
      .createTable('uses')
      .addColumn('connection', 'text', (c) => c.notNull())
      .addColumn('principal', 'text', (c) => c.notNull())
      .addColumn('period', 'bigint', (c) => c.notNull())
      .addColumn('used', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('uses_key', ['connection', 'principal'])
      .execute()
  },
}
