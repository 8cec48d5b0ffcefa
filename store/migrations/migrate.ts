import type { Migration } from 'kysely/migration'
import { DEFAULT_MIGRATION_TABLE, Migrator } from 'kysely/migration'
import { LocumError } from '../../core/errors.ts'
import type { Database } from '../tables.ts'
import { first } from './0001-first.ts'
import { rowWrites } from './0002-row-writes.ts'
import { actFor } from './0003-act-for.ts'
import { limits } from './0004-limits.ts'
import { providers } from './0005-providers.ts'
import { federated } from './0006-federated.ts'
import { types } from './0007-types.ts'
import { people } from './0008-people.ts'

/** In order; names are never changed once released. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first': first,
  '0002-row-writes': rowWrites,
  '0003-act-for': actFor,
  '0004-limits': limits,
  '0005-providers': providers,
  '0006-federated': federated,
  '0007-types': types,
  '0008-people': people,
}

/**
 * Whether every migration of this program has run. Throws store_unavailable where the database
 * knows one that this program does not.
 */
export async function isCurrent(db: Database): Promise<boolean> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === DEFAULT_MIGRATION_TABLE)) return false
  const rows = await db
    .$extendTables<{ [DEFAULT_MIGRATION_TABLE]: { name: string } }>()
    .selectFrom(DEFAULT_MIGRATION_TABLE)
    .select('name')
    .execute()
  const unknown = rows.find((row) => !Object.hasOwn(MIGRATIONS, row.name))
  if (unknown) {
    throw new LocumError('store_unavailable', 'The database was made by a newer Locum than this one.', {
      hint: `Start the newer program again; this one does not know the step ${JSON.stringify(unknown.name)}.`,
    })
  }
  return rows.length === Object.keys(MIGRATIONS).length
}

/** Brings the tables up to date. `db` is a transaction that nobody else can write beside. */
export async function migrate(db: Database): Promise<void> {
  if (await isCurrent(db)) return
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...MIGRATIONS }) } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}
