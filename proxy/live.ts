import type { Clock } from '../core/clock.ts'
import type { Directory } from '../core/directory.ts'
import type { Caller, Change } from '../core/words.ts'

/** How often keys with an end date are looked at, ms. */
const EXPIRY_SWEEP = 500

/** Something that is under way for a caller: a request, a tunnel, an upgraded connection. */
export interface Living {
  readonly caller: Caller
  /** Set where it goes on long after it was permitted: then a change of these ends it. */
  readonly connection?: string
  readonly credential?: string
  /** Ends it at once. */
  cut(): void
}

/** Knows what is under way, and ends what a change no longer allows. */
export class Live {
  readonly #all = new Set<Living>()
  readonly #directory: Directory
  readonly #clock: Clock
  readonly #timer: NodeJS.Timeout

  constructor(x: { directory: Directory; clock: Clock; onfault: (error: unknown) => void }) {
    this.#directory = x.directory
    this.#clock = x.clock
    x.directory.onchange((changes) => void this.#judge(changes).catch(x.onfault))
    this.#timer = setInterval(() => this.#expire(), EXPIRY_SWEEP)
    this.#timer.unref()
  }

  get size(): number {
    return this.#all.size
  }

  add(living: Living): void {
    this.#all.add(living)
  }

  remove(living: Living): void {
    this.#all.delete(living)
  }

  /** Ends everything. */
  close(): void {
    clearInterval(this.#timer)
    for (const living of [...this.#all]) living.cut()
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const living of [...this.#all]) {
      const { expiresAt } = living.caller
      if (expiresAt !== undefined && expiresAt <= now) living.cut()
    }
  }

  async #judge(changes: readonly Change[]): Promise<void> {
    const all = changes.some((change) => change.kind === 'site')
    const touches = (kind: Change['kind'], id: string | undefined) =>
      id !== undefined && (all || changes.some((change) => change.kind === kind && change.id === id))
    const callers = all || changes.some(({ kind }) => kind === 'key' || kind === 'principal')
    const verdicts = new Map<string, boolean>()
    for (const living of [...this.#all]) {
      if (
        touches('connection', living.connection) ||
        touches('binding', living.connection) ||
        touches('credential', living.credential)
      ) {
        living.cut()
      } else if (callers) {
        const key = living.caller.keyHash ?? ''
        let stands = verdicts.get(key)
        if (stands === undefined) {
          stands = await this.#stands(living.caller)
          verdicts.set(key, stands)
        }
        if (!stands) living.cut()
      }
    }
  }

  /** Whether the caller is still who was let in. */
  async #stands({ keyHash, principal }: Caller): Promise<boolean> {
    const now =
      keyHash === undefined ? this.#directory.defaultCaller() : await this.#directory.fetchCaller(keyHash)
    return now?.principal.id === principal.id
  }
}
