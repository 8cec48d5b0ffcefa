import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import { encodeCanonically } from './canonical.ts'
import type { DataKeyRow } from './tables.ts'

/** Bytes of a key's id; in the database it is their hex. */
export const KEY_ID_BYTES = 8
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const FORMAT = 1
const STAMP_INFO = 'locum row stamp 1'

/** An opened data key. The `KeyObject`s keep the bytes out of reach of logs and serialisers. */
export interface DataKey {
  readonly id: string
  readonly idBytes: Uint8Array
  /** Sealing keys are derived from it, one a value. */
  readonly key: KeyObject
  /** For the stamps of rows. */
  readonly stampKey: KeyObject
}

/** `n` random bytes, as `crypto.randomBytes` gives them. */
export type Random = (n: number) => Buffer

/** A new data key, wrapped: AES-256-GCM under the master key, bound to the site and the key's id. */
export function makeDataKey(master: KeyObject, site: string, random: Random, now: number): DataKeyRow {
  const id = random(KEY_ID_BYTES).toString('hex')
  const bytes = random(KEY_BYTES)
  const nonce = random(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', master, nonce).setAAD(wrapPlace(site, id))
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()])
  bytes.fill(0)
  const wrapped = Buffer.concat([Buffer.of(FORMAT), nonce, sealed, cipher.getAuthTag()])
  return { id, wrapped: wrapped.toString('base64'), created_at: now }
}

function wrapPlace(site: string, id: string): Buffer {
  return encodeCanonically(['locum data key', site, id])
}

/** Throws internal: another master key, or a row that was changed. */
function openDataKey(master: KeyObject, site: string, row: DataKeyRow): DataKey {
  const wrapped = Buffer.from(String(row.wrapped), 'base64')
  const idBytes = Buffer.from(String(row.id), 'hex')
  const whole = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES
  if (wrapped.length !== whole || wrapped[0] !== FORMAT || idBytes.length !== KEY_ID_BYTES) {
    throw wrongMaster()
  }
  const decipher = createDecipheriv('aes-256-gcm', master, wrapped.subarray(1, 1 + NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(wrapPlace(site, row.id)).setAuthTag(wrapped.subarray(-TAG_BYTES))
  const bytes = decipher.update(wrapped.subarray(1 + NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    bytes.fill(0)
    throw wrongMaster(cause)
  }
  const derived = new Uint8Array(hkdfSync('sha256', bytes, Buffer.alloc(0), STAMP_INFO, KEY_BYTES))
  const opened = { id: row.id, idBytes, key: createSecretKey(bytes), stampKey: createSecretKey(derived) }
  bytes.fill(0)
  derived.fill(0)
  return opened
}

function wrongMaster(cause?: unknown): LocumError {
  return new LocumError('internal', "The master key does not open this site's data keys.", {
    hint: 'Start with the key that made this site: LOCUM_MASTER_KEY, LOCUM_MASTER_KEY_FILE or master.key in the data folder. Nothing was changed.',
    cause,
  })
}

/** The site's data keys, opened. The newest seals; all of them open. */
export class Keyring {
  readonly site: string
  readonly #master: KeyObject
  readonly #keys = new Map<string, DataKey>()
  #current: DataKey | undefined

  constructor(site: string, master: KeyObject) {
    this.site = site
    this.#master = master
  }

  /** Takes the rows as they are now. Throws internal where the master key does not open one. */
  load(rows: readonly DataKeyRow[]): void {
    const ordered = [...rows].sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1))
    for (const row of ordered) {
      const key = this.#keys.get(row.id) ?? openDataKey(this.#master, this.site, row)
      this.#keys.set(row.id, key)
      this.#current = key
    }
  }

  get current(): DataKey {
    if (!this.#current) throw new LocumError('internal', 'The site has no data key.')
    return this.#current
  }

  find(id: string): DataKey | undefined {
    return this.#keys.get(id)
  }
}

/** Whether two digests are the same, in constant time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
