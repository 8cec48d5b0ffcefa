import { createHash } from 'node:crypto'
import { namedOf } from '../core/act-for.ts'
import type { AuthMethods } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { type Destination, destinationText } from '../core/destination.ts'
import type { Directory, Named } from '../core/directory.ts'
import { LocumError } from '../core/errors.ts'
import { servesCalls } from '../core/proxy-key.ts'
import { compileRoute, namesHost, type Route, reaches } from '../core/route.ts'
import type { Store } from '../core/store.ts'
import {
  type Caller,
  type Change,
  type KeyBounds,
  type Principal,
  type PrincipalRecord,
  SYSTEM,
} from '../core/words.ts'
import { Feed } from './feed.ts'

/** How long what is known serves while the store does not answer, ms. */
export const STALE_LIMIT = 30_000
/** Callers and destinations remembered; the oldest go first. */
const CACHE_LIMIT = 10_000

/** The store's connections and callers, held in memory and kept within a second of the truth. */
export class StoreDirectory implements Directory {
  readonly feed: Feed
  readonly #store: Store
  readonly #methods: AuthMethods
  readonly #clock: Clock
  readonly #default: string | undefined
  readonly #onfault: (error: unknown) => void
  readonly #listeners: ((changes: readonly Change[]) => void)[] = []
  #routes = new Map<string, Route>()
  #reached = new Map<string, readonly Route[]>()
  readonly #callers = new Map<string, Caller | null>()
  readonly #named = new Map<string, Named | null>()
  #defaultCaller: Caller | null = null
  /** Grows whenever callers are forgotten. */
  #callersSince = 0

  constructor(x: {
    store: Store
    methods: AuthMethods
    clock: Clock
    /** The id of the principal that stands for a sidecar's callers. */
    defaultPrincipal?: string
    onfault: (error: unknown) => void
  }) {
    this.#store = x.store
    this.#methods = x.methods
    this.#clock = x.clock
    this.#default = x.defaultPrincipal
    this.#onfault = x.onfault
    this.feed = new Feed({
      store: x.store,
      clock: x.clock,
      apply: (changes) => this.#apply(changes),
      onfault: x.onfault,
    })
  }

  /** Throws store_unavailable. */
  async start(): Promise<void> {
    await this.feed.start(async () => {
      await this.#loadRoutes(() => true)
      await this.#loadDefault()
    })
  }

  close(): Promise<void> {
    return this.feed.close()
  }

  routesTo(destination: Destination): readonly Route[] {
    const text = destinationText(destination)
    let routes = this.#reached.get(text)
    if (!routes) {
      routes = [...this.#routes.values()].filter((route) => reaches(route.connection, destination))
      if (this.#reached.size >= CACHE_LIMIT) this.#reached.clear()
      this.#reached.set(text, routes)
    }
    return routes
  }

  declaresHost(host: string): boolean {
    for (const { connection } of this.#routes.values()) if (namesHost(connection, host)) return true
    return false
  }

  routeNamed(name: string): Route | undefined {
    return this.#routes.get(name)
  }

  caller(keyHash: string): Caller | null | undefined {
    return this.#callers.get(keyHash)
  }

  async fetchCaller(keyHash: string): Promise<Caller | null> {
    const since = this.#callersSince
    const holder = await this.#store.keyHolder(SYSTEM, keyHash)
    const caller =
      holder && !holder.principal.disabled && servesCalls(holder.key.managedBy)
        ? callerOf(holder.principal, 'key', {
            keyHash,
            expiresAt: holder.key.expiresAt,
            only: holder.key.only,
          })
        : null
    this.#remember(this.#callers, keyHash, caller, since)
    return caller
  }

  named(id: string): Named | null | undefined {
    return this.#named.get(id)
  }

  async fetchNamed(id: string): Promise<Named | null> {
    const since = this.#callersSince
    const record = await this.#store.principal(SYSTEM, id)
    const keys = record?.revokedAt === undefined ? [] : await this.#store.keys(SYSTEM, id)
    const named =
      record && !record.disabled ? namedOf(record, callerOf(record, 'certificate', {}), keys) : null
    this.#remember(this.#named, id, named, since)
    return named
  }

  /** What was asked for before callers were forgotten may be older than the change. */
  #remember<T>(known: Map<string, T>, name: string, value: T, since: number): void {
    if (since !== this.#callersSince) return
    if (known.size >= CACHE_LIMIT) known.delete(known.keys().next().value as string)
    known.set(name, value)
  }

  defaultCaller(): Caller | null {
    return this.#defaultCaller
  }

  checkFresh(): void {
    if (this.#clock.now() - this.feed.freshAt > STALE_LIMIT) {
      throw new LocumError(
        'store_unavailable',
        'The store has not answered for too long to rely on what is remembered.',
      )
    }
  }

  onchange(listener: (changes: readonly Change[]) => void): void {
    this.#listeners.push(listener)
  }

  async #apply(changes: readonly Change[]): Promise<void> {
    const all = changes.some((change) => change.kind === 'site' && change.id === '*')
    const has = (...kinds: Change['kind'][]) => all || changes.some((change) => kinds.includes(change.kind))
    if (has('connection', 'provider')) {
      const named = new Set(changes.filter(({ kind }) => kind === 'connection').map(({ id }) => id))
      const whole = changes.some(({ kind, id }) => kind === 'provider' || (kind === 'site' && id === '*'))
      await this.#loadRoutes((name) => whole || named.has(name))
    }
    if (has('principal', 'key')) {
      this.#callersSince++
      this.#callers.clear()
      this.#named.clear()
      await this.#loadDefault()
    }
    for (const listener of this.#listeners) listener(changes)
  }

  /** `changed`: its version does not tell; one that was removed and made again begins anew. */
  async #loadRoutes(changed: (name: string) => boolean): Promise<void> {
    const routes = new Map<string, Route>()
    for (const connection of await this.#store.connections(SYSTEM)) {
      const known = this.#routes.get(connection.name)
      if (known?.connection.version === connection.version && !changed(connection.name)) {
        routes.set(connection.name, known)
        continue
      }
      try {
        routes.set(connection.name, compileRoute(connection, this.#methods))
      } catch (error) {
        // One connection that a newer program made does not take the others down; it is refused as unknown.
        this.#onfault(error)
      }
    }
    this.#routes = routes
    this.#reached = new Map()
  }

  async #loadDefault(): Promise<void> {
    if (this.#default === undefined) return
    const record = await this.#store.principal(SYSTEM, this.#default)
    this.#defaultCaller = record && !record.disabled ? callerOf(record, 'default', {}) : null
  }
}

function callerOf(
  record: PrincipalRecord,
  via: Principal['via'],
  key: { keyHash?: string; expiresAt?: number; only?: KeyBounds },
): Caller {
  const { id, kind, profile, email, projects, admin, mayActFor, limits } = record
  return {
    principal: { id, kind, profile, email, projects, admin, via: key.only ? 'session' : via, limits },
    // Nobody reaches a user's credential without showing who they are, and no administrator does (R28); a page
    // calls for nobody but the one who uses it.
    mayActFor: via === 'default' || admin || key.only ? undefined : mayActFor,
    keyHash: key.keyHash,
    only: key.only,
    expiresAt: key.expiresAt,
    sessionId: createHash('sha256')
      .update(`session\n${id}\n${key.keyHash ?? via}`)
      .digest('base64url')
      .slice(0, 22),
  }
}
