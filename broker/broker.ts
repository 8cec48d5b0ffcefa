import type { Clock } from '../core/clock.ts'
import { credentialPlace } from '../core/credential.ts'
import { type Destination, destinationText } from '../core/destination.ts'
import type { Broker, Directory, Material, OpenRequest } from '../core/directory.ts'
import { baseOf } from '../core/route.ts'
import { type Json, type JsonObject, Secret } from '../core/secret.ts'
import { checkPlaintext, checkUse, missingCredential, scopesFor } from '../core/source.ts'
import type { Sealer, Store } from '../core/store.ts'
import { type Change, type Connection, type Credential, type Scope, SYSTEM } from '../core/words.ts'
import { AHEAD, Grants } from './grants.ts'

/** Open credentials kept, for one caller, connection and destination each; the oldest go first. */
const OPEN_LIMIT = 10_000
/** An open credential that nobody used for this long is forgotten, ms. */
const IDLE_LIMIT = 300_000

interface Kept {
  readonly material: Material
  readonly caller: string
  readonly connection: string
  usedAt: number
}

/** Resolves whose credential serves, opens it and keeps it open, bounded, until something changes. */
export class StoreBroker implements Broker {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #grants: Grants
  readonly #kept = new Map<string, Kept>()
  readonly #underWay = new Map<string, Promise<Material>>()
  readonly #sweep: NodeJS.Timeout
  /** Grows with every change, so that what was read before it is not kept after it. */
  #epoch = 0

  constructor(x: {
    store: Store
    sealer: Sealer
    clock: Clock
    directory: Directory
    fetch: typeof globalThis.fetch
  }) {
    this.#store = x.store
    this.#sealer = x.sealer
    this.#clock = x.clock
    this.#grants = new Grants(x)
    x.directory.onchange((changes) => this.#forget(changes))
    this.#sweep = setInterval(() => this.#forgetIdle(), IDLE_LIMIT / 5)
    this.#sweep.unref()
  }

  close(): void {
    clearInterval(this.#sweep)
    this.#kept.clear()
  }

  open(request: OpenRequest): Material | Promise<Material> {
    const key = keyOf(request)
    const kept = this.#kept.get(key)
    const now = this.#clock.now()
    if (kept && (kept.material.expiresAt === undefined || kept.material.expiresAt - AHEAD > now)) {
      kept.usedAt = now
      return kept.material
    }
    const known = this.#underWay.get(key)
    if (known) return known
    return this.#start(key, request, undefined)
  }

  async renew(request: OpenRequest, material: Material): Promise<Material> {
    const key = keyOf(request)
    const kept = this.#kept.get(key)
    if (kept && kept.material.generation > material.generation) return kept.material
    return this.#start(key, request, material.generation)
  }

  #start(key: string, request: OpenRequest, refused: number | undefined): Promise<Material> {
    const work = this.#openNow(key, request, refused).finally(() => {
      if (this.#underWay.get(key) === work) this.#underWay.delete(key)
    })
    this.#underWay.set(key, work)
    return work
  }

  async #openNow(key: string, request: OpenRequest, refused: number | undefined): Promise<Material> {
    const epoch = this.#epoch
    const { caller, route, destination } = request
    const { connection, method } = route
    const scopes = scopesFor(connection, caller.principal)
    const found = await this.#store.bound(SYSTEM, connection.name, scopes)
    if (!found) throw missingCredential(connection, scopes)
    const { credential } = found
    const scope: Scope = found.binding.scope
    // A destination that is known is judged before anything is opened.
    if (destination) judge(connection, credential, scope, destination)
    const fields = this.#openFields(credential)
    const config = connection.methodConfig
    const held = method.acquire
      ? await this.#grants.hold({ route, credential, fields, caller, refused })
      : undefined
    const values = method.values({ config, fields, grant: held?.grant, caller })
    const base = destination ? undefined : baseOf(route, { auth: values, caller })
    if (base) judge(connection, credential, scope, base.candidate.destination)
    const material: Material = {
      credential: { id: credential.id, version: credential.version, scope },
      values: new Secret(values),
      base,
      expiresAt: held?.grant.expiresAt,
      generation: held?.version ?? 0,
    }
    if (epoch === this.#epoch)
      this.#keep(key, {
        material,
        caller: caller.principal.id,
        connection: connection.name,
        usedAt: this.#clock.now(),
      })
    return material
  }

  #openFields(credential: Credential): JsonObject {
    const fields: Record<string, Json> = {}
    for (const name of credential.fieldNames) {
      const plain = this.#sealer.open(
        credentialPlace(credential, name),
        credential.sealed[name] as Uint8Array,
      )
      Object.defineProperty(fields, name, { value: JSON.parse(plain.toString('utf8')), enumerable: true })
      plain.fill(0)
    }
    return fields
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key)
    if (this.#kept.size >= OPEN_LIMIT) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, kept)
  }

  #forget(changes: readonly Change[]): void {
    this.#epoch++
    const touched = (kept: Kept) =>
      changes.some(({ kind, id }) => {
        if (kind === 'credential') return kept.material.credential.id === id
        if (kind === 'connection') return kept.connection === id
        if (kind === 'principal') return kept.caller === id
        // A binding or a provider may change who is served at all; a grant is compared by its version.
        return kind === 'binding' || kind === 'provider' || kind === 'site'
      })
    for (const [key, kept] of this.#kept) if (touched(kept)) this.#kept.delete(key)
  }

  #forgetIdle(): void {
    const before = this.#clock.now() - IDLE_LIMIT
    for (const [key, kept] of this.#kept) if (kept.usedAt < before) this.#kept.delete(key)
  }
}

function judge(connection: Connection, credential: Credential, scope: Scope, destination: Destination): void {
  checkPlaintext(connection, destination)
  checkUse(connection, credential, scope, destination)
}

function keyOf({ caller, route, destination }: OpenRequest): string {
  const { id, profile } = caller.principal
  return `${route.connection.name}\n${destination ? destinationText(destination) : 'base'}\n${id}\n${profile ?? ''}\n${caller.sessionId}`
}
