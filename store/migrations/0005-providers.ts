import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Credentials that are bound to a provider, for every connection of it; whose a grant is; what waits for somebody to
 * come back; and keys that do not serve for everything. `bindings` is made anew, since it no longer refers to connections alone.
 */
export const providers: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { schema } = db
    await schema
      .createTable('bindings_next')
      .addColumn('connection', 'text', (c) => c.notNull())
      .addColumn('scope', 'text', (c) => c.notNull())
      .addColumn('credential', 'text', (c) => c.notNull().references('credentials.id'))
      .addColumn('stamp', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('bindings_next_key', ['connection', 'scope'])
      .execute()
    const columns = ['connection', 'scope', 'credential', 'stamp'] as const
    const old = db as Kysely<{ bindings: Binding; bindings_next: Binding }>
    await old
      .insertInto('bindings_next')
      .columns(columns)
      .expression(old.selectFrom('bindings').select(columns))
      .execute()
    await schema.dropTable('bindings').execute()
    await schema.alterTable('bindings_next').renameTo('bindings').execute()
    await schema.createIndex('bindings_credential').on('bindings').column('credential').execute()
    await schema.alterTable('proxy_keys').addColumn('only', 'text').execute()
    await schema.alterTable('grants').addColumn('credential', 'text').execute()
    await schema.createIndex('grants_credential').on('grants').column('credential').execute()
    await schema
      .createTable('flows')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('sealed', 'text', (c) => c.notNull())
      .addColumn('expires_at', 'bigint', (c) => c.notNull())
      .execute()
  },
}

interface Binding {
  connection: string
  scope: string
  credential: string
  stamp: string
}
