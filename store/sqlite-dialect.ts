import { setTimeout as pause } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import type { DatabaseConnection, SqliteDatabase, SqliteStatement } from 'kysely'
import { CompiledQuery, SqliteAdapter, SqliteDialect, type SqliteDialectConfig, SqliteDriver } from 'kysely'
import { LocumError } from '../core/errors.ts'

/** ms to wait for another process's transaction, without blocking. */
const WRITE_WAIT = 10_000
const WRITE_POLL = { first: 2, most: 50 } as const
/** Statements kept prepared; the store has about sixty. */
const PREPARED = 200

/** By SQLite's primary result code (sqlite.org/rescode.html): what to tell people, and what to do next. */
const FAILURES: Readonly<Record<string, readonly [detail: string, hint: string]>> = {
  SQLITE_FULL: ['The disk that holds the database is full.', 'Free some space; nothing was changed.'],
  SQLITE_BUSY: ['The database is busy in another process.', 'Try again; look for a process that hangs.'],
  SQLITE_LOCKED: ['The database is busy in another process.', 'Try again; look for a process that hangs.'],
  SQLITE_READONLY: ['The database cannot be written.', 'Look at the permissions of its file and folder.'],
  SQLITE_CANTOPEN: ['The database cannot be opened.', 'Look at the permissions of its file and folder.'],
  SQLITE_PERM: ['The database cannot be opened.', 'Look at the permissions of its file and folder.'],
  SQLITE_CORRUPT: ['The database file is damaged.', 'Restore it from a backup.'],
  SQLITE_NOTADB: ['The database file is not an SQLite database.', 'Name the right file, or restore it.'],
  SQLITE_IOERR: ['The disk failed under the database.', 'Look at the disk and the system log.'],
  SQLITE_NOMEM: ['The database ran out of memory.', 'Give the process more memory.'],
}

/** An error of the database as store_unavailable; another one as it is. Chosen by SQLite's code alone. */
export function explainSqlite(thrown: unknown): unknown {
  if (!(thrown instanceof Sqlite.SqliteError)) return thrown
  const primary = thrown.code.split('_').slice(0, 2).join('_')
  const [detail, hint] = FAILURES[primary] ?? ['The database failed.', 'The log has the cause.']
  return new LocumError('store_unavailable', detail, { hint, cause: thrown })
}

/** Runs it, and explains what it throws. */
export function explained<T>(work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw explainSqlite(thrown)
  }
}

/** better-sqlite3 as kysely wants it, with its errors explained and its statements kept. */
export class ExplainedSqlite implements SqliteDatabase {
  readonly #inner: Sqlite.Database
  readonly #prepared = new Map<string, SqliteStatement>()

  constructor(inner: Sqlite.Database) {
    this.#inner = inner
  }

  prepare(sql: string): SqliteStatement {
    if (!this.#inner.open) throw new LocumError('store_unavailable', 'The store was closed.')
    const kept = this.#prepared.get(sql)
    if (kept) return kept
    const inner = explained(() => this.#inner.prepare<[readonly unknown[]]>(sql))
    const statement: SqliteStatement = {
      reader: inner.reader,
      all: (values) => explained(() => inner.all(values)),
      run: (values) => explained(() => inner.run(values)),
      iterate: (values) => explained(() => inner.iterate(values)),
    }
    if (this.#prepared.size < PREPARED) this.#prepared.set(sql, statement)
    return statement
  }

  get inTransaction(): boolean {
    return this.#inner.inTransaction
  }

  close(): void {
    this.#inner.close()
  }
}

/**
 * Transactions take the write lock at once: a reader that becomes a writer half-way would fail with
 * SQLITE_BUSY_SNAPSHOT whenever another process wrote in between. They wait without blocking the thread.
 */
class ImmediateDriver extends SqliteDriver {
  readonly #database: ExplainedSqlite

  constructor(database: ExplainedSqlite) {
    super({ database })
    this.#database = database
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await whileBusy(() => connection.executeQuery(CompiledQuery.raw('begin immediate')))
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // A full disk or an I/O error has ended the transaction already.
    if (this.#database.inTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'))
  }
}

/** Repeats what fails because another process is at work, for 10 s, without blocking this one. */
export async function whileBusy<T>(step: () => T | Promise<T>): Promise<T> {
  const end = performance.now() + WRITE_WAIT
  for (let wait: number = WRITE_POLL.first; ; wait = Math.min(wait * 2, WRITE_POLL.most)) {
    try {
      return await step()
    } catch (thrown) {
      if (!isBusy(thrown) || performance.now() > end) throw thrown
    }
    await pause(wait * (0.5 + Math.random()))
  }
}

function isBusy(thrown: unknown): boolean {
  const cause = thrown instanceof LocumError ? thrown.cause : thrown
  return cause instanceof Sqlite.SqliteError && cause.code.startsWith('SQLITE_BUSY')
}

/** SQLite does roll DDL back; kysely says no only because some people switch foreign keys off meanwhile. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** Of this database alone: its transactions, its errors. */
export class LocumSqliteDialect extends SqliteDialect {
  readonly #database: ExplainedSqlite

  constructor(database: ExplainedSqlite) {
    super({ database } satisfies SqliteDialectConfig)
    this.#database = database
  }

  override createDriver(): SqliteDriver {
    return new ImmediateDriver(this.#database)
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }
}
