import type { Clock } from '../core/clock.ts'
import type { Store } from '../core/store.ts'
import type { Change } from '../core/words.ts'

/** How often the change feed is asked, ms. A quarter of the second within which changes are in force. */
const POLL = 250

/** Follows the store's change feed. One for each process. */
export class Feed {
  readonly #store: Store
  readonly #clock: Clock
  readonly #apply: (changes: readonly Change[]) => Promise<void>
  readonly #onfault: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #closed = false
  /** The sequence number up to which everything was applied. */
  seq = 0
  /** Unix ms at which the store last said that there is nothing newer than `seq`. */
  freshAt = 0

  constructor(x: {
    store: Store
    clock: Clock
    apply: (changes: readonly Change[]) => Promise<void>
    onfault: (error: unknown) => void
  }) {
    this.#store = x.store
    this.#clock = x.clock
    this.#apply = x.apply
    this.#onfault = x.onfault
  }

  /** Starts behind everything that has already happened. Throws store_unavailable. */
  async start(load: () => Promise<void>): Promise<void> {
    const at = this.#clock.now()
    this.seq = await this.#store.head()
    await load()
    this.freshAt = at
    this.#plan()
  }

  /** Asks now; what is already being asked is waited for, and then asked again. */
  async poll(): Promise<void> {
    while (this.#running) await this.#running
    this.#running = this.#ask().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #plan(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.poll().finally(() => this.#plan()), POLL)
    this.#timer.unref()
  }

  async #ask(): Promise<void> {
    const at = this.#clock.now()
    try {
      const head = await this.#store.head()
      if (head !== this.seq) {
        const changes = await this.#store.changes(this.seq)
        await this.#apply(changes)
        // The last one counts, even where it is behind: a store that was restored begins anew.
        this.seq = changes.at(-1)?.seq ?? head
      }
      this.freshAt = at
    } catch (error) {
      this.#onfault(error)
    }
  }
}
