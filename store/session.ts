import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Principal } from '../core/words.ts'
import type { RowJournal } from './row-journal.ts'
import { markOf, rowName, type WrittenRows } from './row-marks.ts'
import type { Stamps } from './stamps.ts'
import type { Database, StampedTable, Tables } from './tables.ts'

/** A transaction under way in the asynchronous context that began it. */
interface Running {
  readonly db: Database
  /** False once it has ended: what was started inside and lives longer goes to the database itself again. */
  open: boolean
  failure: { readonly thrown: unknown } | undefined
  readonly rows: WrittenRows
}

/** What the files of the store share: the database, the stamps, the clock. */
export class Session {
  readonly stamps: Stamps
  readonly clock: Clock
  readonly #reads: Database
  readonly #writes: Database
  readonly #journal: RowJournal
  readonly #running = new AsyncLocalStorage<Running>()

  constructor(
    connections: { reads: Database; writes: Database },
    stamps: Stamps,
    clock: Clock,
    journal: RowJournal,
  ) {
    this.#reads = connections.reads
    this.#writes = connections.writes
    this.stamps = stamps
    this.clock = clock
    this.#journal = journal
  }

  /** For reading: inside a transaction, what that transaction sees. */
  get db(): Database {
    return this.#transaction()?.db ?? this.#reads
  }

  get inTransaction(): boolean {
    return this.#transaction() !== undefined
  }

  #transaction(): Running | undefined {
    const running = this.#running.getStore()
    return running?.open ? running : undefined
  }

  /**
   * Runs `work` in a transaction, the one under way where there is one: so a call within a
   * transaction cannot wait for itself. What fails inside fails the whole, even if it is caught.
   */
  async write<T>(as: Principal, work: (db: Database) => Promise<T>): Promise<T> {
    demandAdmin(as)
    return this.record(work)
  }

  /** As `write`, for what the program keeps about itself on nobody's behalf. */
  async record<T>(work: (db: Database) => Promise<T>): Promise<T> {
    const outer = this.#transaction()
    if (outer) {
      try {
        return await work(outer.db)
      } catch (thrown) {
        outer.failure ??= { thrown }
        throw thrown
      }
    }
    let write: number | undefined
    const outcome = await this.#writes.transaction().execute(async (db) => {
      const running: Running = { db, open: true, failure: undefined, rows: new Map() }
      try {
        const result = await this.#running.run(running, () => work(db))
        if (running.failure) throw running.failure.thrown
        if (running.rows.size > 0) write = await this.#journal.begin(db, running.rows)
        return result
      } finally {
        running.open = false
      }
    })
    if (write !== undefined) this.#journal.kept(write)
    return outcome
  }

  /** The row with its stamp, to be written in the transaction under way, which will be known to have. */
  stamp<T extends StampedTable>(table: T, row: Omit<Tables[T], 'stamp'>): Tables[T] {
    const stamped = this.stamps.add(table, row) as unknown as Tables[T]
    this.#written().set(rowName(table, stamped), markOf(stamped))
    return stamped
  }

  /** Says that the transaction under way removed the row; its columns that are no part of its id do not count. */
  removed<T extends StampedTable>(table: T, row: Partial<Tables[T]>): void {
    this.#written().set(rowName(table, row as Tables[T]), null)
  }

  #written(): WrittenRows {
    const running = this.#transaction()
    if (!running) throw new Error('A stamped row is written in a transaction only.')
    return running.rows
  }
}

/** Throws not_allowed. */
export function demandAdmin(as: Principal): void {
  if (as.admin) return
  throw new LocumError('not_allowed', 'Only an administrator may do this.')
}
