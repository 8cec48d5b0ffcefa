import { hash } from 'node:crypto'
import type { Stamps } from './stamps.ts'
import type { Database, StampedTable, Tables } from './tables.ts'

/** What a transaction did to stamped rows: `TABLE/ID` → the row's mark, null where it was removed. */
export type WrittenRows = Map<string, string | null>

/** Which columns tell a row from the others of its table. */
const IDS: { readonly [T in StampedTable]: (row: Tables[T]) => string } = {
  site: ({ id }) => id,
  principals: ({ id }) => id,
  proxy_keys: ({ hash: id }) => id,
  projects: ({ name }) => name,
  connections: ({ name }) => name,
  providers: ({ name }) => name,
  credential_types: ({ name }) => name,
  credentials: ({ id }) => id,
  bindings: ({ connection, scope }) => `${connection} for ${scope}`,
  grants: ({ key }) => key,
  certificates: ({ name }) => name,
}

const TABLES = Object.keys(IDS) as StampedTable[]

/** Of a row that does not carry its own seal: no record ever says this. */
const UNSEALED = 'unsealed'

/** `TABLE/ID`. The table has no slash in its name; an id may have. */
export function rowName<T extends StampedTable>(table: T, row: Tables[T]): string {
  return `${table}/${IDS[table](row)}`
}

/**
 * Stands for all that the row says: 22 characters of a digest of its stamp. The stamp is keyed, so
 * that a mark gives nothing away. The same content has the same mark.
 */
export function markOf({ stamp }: { readonly stamp: string }): string {
  return hash('sha256', `locum row mark\n${stamp}`, 'base64url').slice(0, 22)
}

/** The rows that are there now: `TABLE/ID` → mark. */
export async function readMarks(db: Database, stamps: Stamps): Promise<ReadonlyMap<string, string>> {
  const marks = new Map<string, string>()
  for (const table of TABLES) {
    for (const row of await db.selectFrom(table).selectAll().execute()) {
      marks.set(rowName(table, row as never), stamps.holds(table, row) ? markOf(row) : UNSEALED)
    }
  }
  return marks
}
