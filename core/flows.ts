import { createHash } from 'node:crypto'
import type { Clock } from './clock.ts'
import type { Json, JsonObject } from './secret.ts'
import type { SealedPlace, Sealer, Store } from './store.ts'
import { SYSTEM } from './words.ts'

/** ms until somebody who was sent away has to be back, unless told. */
const WAIT = 10 * 60_000

/**
 * What waits, sealed, for somebody to come back with a token that only they were given. `kind` keeps apart what waits
 * for different things: one kind's token is none of another's.
 */
export class Flows {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #clock: Clock

  constructor({ store, sealer, clock }: { store: Store; sealer: Sealer; clock: Clock }) {
    this.#store = store
    this.#sealer = sealer
    this.#clock = clock
  }

  /** `wait`: ms that it is kept. */
  async put(kind: string, token: string, value: JsonObject, wait = WAIT): Promise<void> {
    const row = rowOf(kind, token)
    const sealed = this.#sealer.seal(placeOf(row, kind), Buffer.from(JSON.stringify(value), 'utf8'))
    await this.#store.addFlow(SYSTEM, row, { sealed, expiresAt: this.#clock.now() + wait })
  }

  /** Once, to one of all who ask; undefined where nothing waits, or waits no more. */
  async take(kind: string, token: string): Promise<Json | undefined> {
    const row = rowOf(kind, token)
    return this.#open(row, kind, await this.#store.takeFlow(SYSTEM, row))
  }

  /** As `take`, and it goes on waiting. */
  async see(kind: string, token: string): Promise<Json | undefined> {
    const row = rowOf(kind, token)
    return this.#open(row, kind, await this.#store.flow(SYSTEM, row))
  }

  #open(row: string, kind: string, sealed: Uint8Array | undefined): Json | undefined {
    if (!sealed) return undefined
    const plain = this.#sealer.open(placeOf(row, kind), sealed)
    try {
      return JSON.parse(plain.toString('utf8')) as Json
    } finally {
      plain.fill(0)
    }
  }
}

function rowOf(kind: string, token: string): string {
  return createHash('sha256').update(`${kind}\n${token}`).digest('hex')
}

function placeOf(row: string, field: string): SealedPlace {
  return { table: 'flows', row, field, version: 1, owner: 'site', audience: [] }
}
