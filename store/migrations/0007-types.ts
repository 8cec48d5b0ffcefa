import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Credential types, and which fields of a credential are no secrets. */
export const types: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('credential_types')
      .addColumn('name', 'text', (c) => c.primaryKey())
      .addColumn('schema', 'text', (c) => c.notNull())
      .addColumn('version', 'integer', (c) => c.notNull())
      .addColumn('stamp', 'text', (c) => c.notNull())
      .execute()
    await db.schema.alterTable('credentials').addColumn('plain', 'text').execute()
  },
}
