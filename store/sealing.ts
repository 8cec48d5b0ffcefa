import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import type { SealedPlace, Sealer } from '../core/store.ts'
import type { Sealed } from '../core/words.ts'
import { encodeCanonically } from './canonical.ts'
import { type DataKey, KEY_ID_BYTES, type Keyring, type Random } from './keyring.ts'

/** The format: version 1 | data key's id, 8 | salt, 16 | nonce, 12 | ciphertext | tag, 16. */
const FORMAT = 1
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SALT_AT = 1 + KEY_ID_BYTES
const NONCE_AT = SALT_AT + SALT_BYTES
const TEXT_AT = NONCE_AT + NONCE_BYTES
const INFO = 'locum sealed value 1'

/**
 * AES-256-GCM under a key of the value's own (HKDF-SHA-256, RFC 5869, of a data key with a random
 * salt), so that no nonce is ever used twice under one key however many values there are. The
 * additional data binds it to its place, the site and the data key (R25).
 */
export function makeSealer(keyring: Keyring, random: Random): Sealer {
  const sealer: Sealer = {
    seal(place, plaintext) {
      const dataKey = keyring.current
      const salt = random(SALT_BYTES)
      const nonce = random(NONCE_BYTES)
      const key = deriveKey(dataKey, salt)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      key.fill(0)
      cipher.setAAD(encodePlace(keyring.site, dataKey.id, place))
      const text = Buffer.concat([cipher.update(plaintext), cipher.final()])
      return Buffer.concat([Buffer.of(FORMAT), dataKey.idBytes, salt, nonce, text, cipher.getAuthTag()])
    },

    open(place, sealed) {
      const dataKey = keyOf(keyring, sealed)
      const key = deriveKey(dataKey, sealed.subarray(SALT_AT, NONCE_AT))
      const nonce = sealed.subarray(NONCE_AT, TEXT_AT)
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
      key.fill(0)
      decipher.setAAD(encodePlace(keyring.site, dataKey.id, place))
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
      const text = decipher.update(sealed.subarray(TEXT_AT, sealed.length - TAG_BYTES))
      try {
        decipher.final()
      } catch (cause) {
        text.fill(0)
        throw notSealedHere(cause)
      }
      return text
    },

    move(from, to, sealed) {
      const plain = sealer.open(from, sealed)
      try {
        return sealer.seal(to, plain)
      } finally {
        plain.fill(0)
      }
    },
  }
  return sealer
}

function keyOf(keyring: Keyring, sealed: Sealed): DataKey {
  if (sealed.length < TEXT_AT + TAG_BYTES || sealed[0] !== FORMAT) throw notSealedHere()
  const id = Buffer.from(sealed.subarray(1, SALT_AT)).toString('hex')
  const dataKey = keyring.find(id)
  if (!dataKey) throw notSealedHere()
  return dataKey
}

function deriveKey(dataKey: DataKey, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', dataKey.key, salt, INFO, 32))
}

function encodePlace(site: string, key: string, place: SealedPlace): Buffer {
  const { table, row, field, version, owner, audience } = place
  return encodeCanonically([INFO, site, table, row, field, version, key, owner, audience])
}

function notSealedHere(cause?: unknown): LocumError {
  return new LocumError('internal', 'A sealed value was changed, or was not sealed for this place.', {
    hint: 'Somebody edited the database outside Locum, or restored a part of it: enter the credential again.',
    cause,
  })
}
