import type { KeyObject } from 'node:crypto'

const HASHES = ['256', '384', '512']
/** Each curve's own, and no other (RFC 7518 §3.4). */
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

/** Signing algorithms (RFC 7518 §3.1, RFC 8037). None of them takes a shared secret. */
export const ALGORITHMS = [
  ...['RS', 'PS', 'ES'].flatMap((kind) => HASHES.map((bits) => kind + bits)),
  'EdDSA',
]

/** What the key can sign with, the usual one first. */
export function algorithmsOf(key: KeyObject): readonly string[] {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return ['RS', 'PS'].flatMap((kind) => HASHES.map((bits) => kind + bits))
    case 'ec': {
      const own = CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
      return own === undefined ? [] : [own]
    }
    case 'ed25519':
      return ['EdDSA']
    default:
      return []
  }
}
