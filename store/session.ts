import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Principal } from '../core/words.ts'
import type { Stamps } from './stamps.ts'
import type { Database } from './tables.ts'

/** A transaction under way in the asynchronous context that began it. */
interface Running {
  readonly db: Database
  /** False once it has ended: what was started inside and lives longer goes to the database itself again. */
  open: boolean
  failure: { readonly thrown: unknown } | undefined
}

/** What the files of the store share: the database, the stamps, the clock. */
export class Session {
  readonly stamps: Stamps
  readonly clock: Clock
  readonly #reads: Database
  readonly #writes: Database
  readonly #running = new AsyncLocalStorage<Running>()

  constructor(connections: { reads: Database; writes: Database }, stamps: Stamps, clock: Clock) {
    this.#reads = connections.reads
    this.#writes = connections.writes
    this.stamps = stamps
    this.clock = clock
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
    return this.#writes.transaction().execute(async (db) => {
      const running: Running = { db, open: true, failure: undefined }
      try {
        const result = await this.#running.run(running, () => work(db))
        if (running.failure) throw running.failure.thrown
        return result
      } finally {
        running.open = false
      }
    })
  }
}

/** Throws not_allowed. */
export function demandAdmin(as: Principal): void {
  if (as.admin) return
  throw new LocumError('not_allowed', 'Only an administrator may do this.')
}
