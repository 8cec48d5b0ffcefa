import { servedFor } from '../core/act-for.ts'
import type { Clock } from '../core/clock.ts'
import type { Directory } from '../core/directory.ts'
import { asLocumError, type Code } from '../core/errors.ts'
import type { TokenCallers } from '../core/identity.ts'
import type { Caller, Change, Principal } from '../core/words.ts'
import { certifiedCaller } from './caller.ts'
import { inForce } from './room.ts'

/** How often keys with an end date, and the age of what is known, are looked at, ms. */
const SWEEP = 500

/** Something that is under way for a caller: a request, a tunnel, an upgraded connection. */
export interface Living {
  readonly caller: Caller
  /** Set where it goes on long after it was permitted: then a change of these ends it. */
  readonly connection?: string
  readonly credential?: string
  /** Where other connections decide too whether it may go on: asked when any of them changes. */
  isPermitted?(): boolean
  /** Its place in Live's list; nobody else's business, and so is the next. */
  place?: number
  /** The caller as they were found when they were judged last: a key's end may have been moved. */
  judged?: Caller
  /** Ends it at once; `code` says why. */
  cut(code: Code): void
}

/** A connection that is kept open, with whoever showed a key on it last. */
export type Held = Omit<Living, 'caller'> & { caller: Caller }

/** Knows what is under way, and ends what a change no longer allows. */
export class Live {
  /**
   * Not a Set: at the pace of requests, the tables that it outgrows would, once old, keep ended requests
   * alive until the next full garbage collection.
   */
  readonly #all: Living[] = []
  /** Connections by whoever they were recognized as: judged like the rest, and not under way. */
  readonly #held = new Set<Held>()
  readonly #directory: Directory
  readonly #tokens: TokenCallers | undefined
  readonly #clock: Clock
  readonly #onfault: (error: unknown) => void
  readonly #timer: NodeJS.Timeout
  /** The store did not answer when callers were to be judged. */
  #owed = false
  #stale = false

  /** `tokens` has heard of a change before this has. */
  constructor(x: {
    directory: Directory
    tokens?: TokenCallers | undefined
    clock: Clock
    onfault: (error: unknown) => void
  }) {
    this.#directory = x.directory
    this.#tokens = x.tokens
    this.#clock = x.clock
    this.#onfault = x.onfault
    x.directory.onchange((changes) => this.#judge(changes))
    this.#timer = setInterval(() => this.#sweep(), SWEEP)
    this.#timer.unref()
  }

  get size(): number {
    return this.#all.length
  }

  add(living: Living): void {
    if (living.place !== undefined) return
    living.place = this.#all.length
    this.#all.push(living)
  }

  /** A connection that is kept open for a caller ends with their right to it. */
  hold(held: Held): void {
    this.#held.add(held)
  }

  release(held: Held): void {
    this.#held.delete(held)
  }

  remove(living: Living): void {
    const { place } = living
    if (place === undefined) return
    living.place = undefined
    const last = this.#all.pop() as Living
    if (last === living) return
    last.place = place
    this.#all[place] = last
  }

  /** Ends everything. */
  close(): void {
    clearInterval(this.#timer)
    for (const living of [...this.#all]) living.cut('overloaded')
  }

  #sweep(): void {
    const now = this.#clock.now()
    const stale = this.#isStale()
    // Twice in a row: a machine that slept, or a clock that jumped, knows better in a moment.
    const over = stale && this.#stale
    this.#stale = stale
    for (const living of [...this.#all, ...this.#held]) {
      const { expiresAt } = living.judged ?? living.caller
      if (over) living.cut('store_unavailable')
      else if (expiresAt !== undefined && expiresAt <= now) living.cut('caller_unauthenticated')
    }
    if (this.#owed) void this.#judgeCallers()
  }

  #isStale(): boolean {
    try {
      this.#directory.checkFresh()
      return false
    } catch (thrown) {
      const error = asLocumError(thrown)
      if (error.code !== 'store_unavailable') this.#onfault(error)
      return error.code === 'store_unavailable'
    }
  }

  #judge(changes: readonly Change[]): void {
    const all = changes.some(({ kind, id }) => kind === 'site' && id === '*')
    const touches = (kind: Change['kind'], id: string | undefined) =>
      id !== undefined && (all || changes.some((change) => change.kind === kind && change.id === id))
    const connections = all || changes.some(({ kind }) => kind === 'connection')
    for (const living of [...this.#all]) {
      if (
        touches('connection', living.connection) ||
        touches('binding', living.connection) ||
        touches('credential', living.credential) ||
        (connections && living.isPermitted?.() === false)
      )
        living.cut('not_allowed')
    }
    if (all || changes.some(({ kind }) => kind === 'key' || kind === 'principal')) void this.#judgeCallers()
  }

  /** Where the store does not answer, it is asked again: until then nobody is let go unjudged. */
  async #judgeCallers(): Promise<void> {
    this.#owed = false
    const known = new Map<string, Promise<Caller | Code>>()
    for (const living of [...this.#all, ...this.#held]) {
      const name = nameOf(living.caller)
      let asking = known.get(name)
      if (!asking) {
        asking = this.#callerNow(living.caller)
        known.set(name, asking)
      }
      try {
        const now = await asking
        if (typeof now === 'string') living.cut(now)
        else if (!stands(living, now) || !inForce(now, this.#clock.now()))
          living.cut('caller_unauthenticated')
        else living.judged = now
      } catch (thrown) {
        this.#owed = true
        const error = asLocumError(thrown)
        if (error.code !== 'store_unavailable') this.#onfault(error)
      }
    }
  }

  /** The caller as it would be let in now, or why it would not. */
  async #callerNow(before: Caller): Promise<Caller | Code> {
    const shown = await this.#shownNow(before)
    if (!shown) return 'caller_unauthenticated'
    if (!before.actor) return shown
    if (shown.principal.id !== before.actor.id) return 'caller_unauthenticated'
    const named = await this.#directory.fetchNamed(before.principal.id)
    try {
      return servedFor(shown, named)
    } catch (thrown) {
      return asLocumError(thrown).code
    }
  }

  async #shownNow(before: Caller): Promise<Caller | null> {
    const { keyHash, certificate, token } = before
    if (token) return this.#tokens?.recall(before) ?? null
    if (keyHash !== undefined) return this.#directory.fetchCaller(keyHash)
    if (certificate?.id === undefined) return this.#directory.defaultCaller()
    return certifiedCaller(await this.#directory.fetchNamed(certificate.id), certificate)
  }
}

/** The same for callers who showed the same and call for the same. */
function nameOf({ keyHash, certificate, actor, principal }: Caller): string {
  const { id, notBefore, notAfter } = certificate ?? {}
  const shown = keyHash ?? `${id} ${notBefore} ${notAfter}`
  return `${shown}\n${actor ? principal.id : ''}`
}

/** Whether the caller is still who was let in; for what goes on for long, with the same rights. */
function stands({ caller, connection }: Living, now: Caller): boolean {
  const rights = ({ profile, projects }: Principal) => JSON.stringify([profile, projects])
  if (now.principal.id !== caller.principal.id) return false
  return connection === undefined || rights(now.principal) === rights(caller.principal)
}
