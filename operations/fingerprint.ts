import { createHmac } from 'node:crypto'
import { canonicalJson } from '../core/canonical-json.ts'
import type { JsonObject } from '../core/secret.ts'
import type { SealedPlace } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import type { Context } from './operation.ts'

/** The vault's name for the key under which fingerprints are made. */
const ITEM = 'fingerprint'

function place(version: number): SealedPlace {
  return { table: 'vault', row: ITEM, field: 'key', version, owner: 'site', audience: [] }
}

/** HMAC-SHA-256 of a credential's fields, in hex. Bound to the id, so that equal secrets do not look equal. */
export type Fingerprint = (id: string, fields: JsonObject) => string

function withKey(key: Uint8Array): Fingerprint {
  return (id, fields) =>
    createHmac('sha256', key)
      .update(`${id}\n${canonicalJson(fields)}`)
      .digest('hex')
}

/** With the site's key, made where there is none yet. */
export async function openFingerprint({
  store,
  sealer,
  random,
}: Pick<Context, 'store' | 'sealer' | 'random'>): Promise<Fingerprint> {
  const item =
    (await store.vaultItem(SYSTEM, ITEM)) ??
    (await store.addVaultItem(SYSTEM, ITEM, { sealed: sealer.seal(place(1), random(32)), open: {} }))
  return withKey(sealer.open(place(item.version), item.sealed))
}

/** As `openFingerprint`, writing nothing: undefined where no credential was ever entered. */
export async function findFingerprint({
  store,
  sealer,
}: Pick<Context, 'store' | 'sealer'>): Promise<Fingerprint | undefined> {
  const item = await store.vaultItem(SYSTEM, ITEM)
  return item && withKey(sealer.open(place(item.version), item.sealed))
}
