import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Whom an issuer names, of a principal that came by its tokens. */
export const federated: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const name of ['issuer', 'subject_claim', 'subject'])
      await db.schema.alterTable('principals').addColumn(name, 'text').execute()
  },
}
