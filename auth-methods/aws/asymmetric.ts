import { createECDH, createHmac, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { sha256 } from './canonical.ts'
import type { AwsKeys } from './signature.ts'

/** Signature Version 4A: one signature for several regions, by a P-256 key that both sides derive from the secret key. */
export const ALGORITHM_V4A = 'AWS4-ECDSA-P256-SHA256'

/** The order of P-256, less two (FIPS 186-4, D.1.2.3). */
const MOST = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n - 2n
const MOST_TRIALS = 254
const derived = new WeakMap<AwsKeys, KeyObject>()

export class AsymmetricSigner {
  readonly algorithm = ALGORITHM_V4A
  readonly scope: string
  readonly stamp: string
  readonly #key: KeyObject

  constructor(keys: AwsKeys, service: string, stamp: string) {
    this.stamp = stamp
    this.scope = `${stamp.slice(0, 8)}/${service}/aws4_request`
    this.#key = keyFor(keys)
  }

  /** Of a canonical request: DER in hex, another each time. */
  signRequest(canonical: string): string {
    const text = `${ALGORITHM_V4A}\n${this.stamp}\n${this.scope}\n${sha256(canonical)}`
    return sign('sha256', Buffer.from(text, 'latin1'), this.#key).toString('hex')
  }
}

/** Derived once for as long as what it is derived from is held. */
function keyFor(keys: AwsKeys): KeyObject {
  let key = derived.get(keys)
  if (!key) {
    key = privateKey(derive(keys))
    derived.set(keys, key)
  }
  return key
}

/** NIST SP 800-108 in counter mode, until it gives a number below the curve's order. */
export function derive({ accessKeyId, secretAccessKey }: AwsKeys): Buffer {
  for (let trial = 1; trial <= MOST_TRIALS; trial++) {
    const input = `\0\0\0\x01${ALGORITHM_V4A}\0${accessKeyId}${String.fromCharCode(trial)}\0\0\x01\0`
    const digest = createHmac('sha256', `AWS4A${secretAccessKey}`).update(input, 'latin1').digest('hex')
    const number = BigInt(`0x${digest}`)
    if (number <= MOST) return Buffer.from((number + 1n).toString(16).padStart(64, '0'), 'hex')
  }
  throw new Error('no key can be derived')
}

function privateKey(scalar: Buffer): KeyObject {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(scalar)
  // 0x04, x, y.
  const point = curve.getPublicKey()
  const part = (bytes: Buffer) => bytes.toString('base64url')
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: part(scalar),
    x: part(point.subarray(1, 33)),
    y: part(point.subarray(33)),
  }
  return createPrivateKey({ key: jwk, format: 'jwk' })
}
