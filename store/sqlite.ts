import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely } from 'kysely'
import { LocumError } from '../core/errors.ts'
import { ExplainedSqlite, explained, LocumSqliteDialect, whileBusy } from './sqlite-dialect.ts'
import type { Tables } from './tables.ts'

/** ms that SQLite itself waits, blocking this thread, while another process starts or stops on the file. */
const OPENING_WAIT = 5_000
/** ms that SQLite itself waits later on: reads never wait in WAL mode, and writes wait in `whileBusy`. */
const BLOCKING_WAIT = 20

/** `reads` never waits for a transaction of this process; only `writes` can change anything. */
export interface Connections {
  readonly reads: Kysely<Tables>
  readonly writes: Kysely<Tables>
  close(): Promise<void>
}

/**
 * Opens the file, making it (0600; SQLite gives its -wal and -shm the same mode) and its folder
 * (0700) where they are missing. Throws store_unavailable.
 */
export async function openSqlite(path: string): Promise<Connections> {
  makePrivately(path)
  // Two processes that switch a new file to WAL at once collide, and SQLite's own waiting does not cover it.
  const writes = await whileBusy(() =>
    connect(path, [
      'journal_mode = WAL',
      // NORMAL would lose the last commits in a power failure: a proxy key shown once, a rotated refresh token.
      'synchronous = FULL',
      'foreign_keys = ON',
      `busy_timeout = ${BLOCKING_WAIT}`,
    ]),
  )
  try {
    const reads = await whileBusy(() =>
      connect(path, [
        'query_only = ON',
        // A first read waits for a recovery by another process; later ones find the file in use, and none happens.
        'schema_version',
        `busy_timeout = ${BLOCKING_WAIT}`,
      ]),
    )
    return {
      reads: reads.database,
      writes: writes.database,
      async close() {
        reads.inner.close()
        writes.inner.close()
      },
    }
  } catch (thrown) {
    writes.inner.close()
    throw thrown
  }
}

function connect(path: string, pragmas: readonly string[]) {
  const inner = explained(() => new Sqlite(path, { timeout: OPENING_WAIT }))
  try {
    explained(() => {
      for (const pragma of pragmas) inner.pragma(pragma)
    })
  } catch (thrown) {
    inner.close()
    throw thrown
  }
  return {
    inner,
    database: new Kysely<Tables>({ dialect: new LocumSqliteDialect(new ExplainedSqlite(inner)) }),
  }
}

function makePrivately(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
  } catch (thrown) {
    throw new LocumError('store_unavailable', `The database cannot be opened or made at ${path}.`, {
      hint: 'Look at the permissions of its folder, and whether the disk is full or read-only.',
      cause: thrown,
    })
  }
}
