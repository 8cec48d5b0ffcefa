import { createHmac } from 'node:crypto'
import { sha256 } from './canonical.ts'

export const ALGORITHM = 'AWS4-HMAC-SHA256'

/** What requests are signed with. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary keys. */
  readonly sessionToken?: string
}

/** Where a signature holds. */
export interface Scope {
  readonly region: string
  readonly service: string
}

let lastSecond = Number.NaN
let lastStamp = ''

/** A moment as signatures have it: `20150830T123600Z`. The last one is kept: a second has many requests. */
export function stampOf(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastStamp = `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
  }
  return lastStamp
}

/** Signs in one scope and at one moment. */
export class Signer {
  readonly algorithm = ALGORITHM
  readonly scope: string
  readonly stamp: string
  readonly #key: Buffer

  constructor(keys: AwsKeys, { region, service }: Scope, stamp: string) {
    this.stamp = stamp
    this.scope = `${stamp.slice(0, 8)}/${region}/${service}/aws4_request`
    this.#key = keyFor(keys, this.scope)
  }

  /** Of a canonical request. */
  signRequest(canonical: string): string {
    return this.sign(ALGORITHM, sha256(canonical))
  }

  /** Of hashes, in lines. `previous`: the signature that this one follows. */
  sign(algorithm: string, hashes: string, previous?: string): string {
    const chain = previous === undefined ? '' : `${previous}\n`
    const text = `${algorithm}\n${this.stamp}\n${this.scope}\n${chain}${hashes}`
    return createHmac('sha256', this.#key).update(text, 'latin1').digest('hex')
  }
}

/** Keys that were derived, for as long as what they were derived from is held: by scope, a day's at most. */
const derived = new WeakMap<AwsKeys, Map<string, Buffer>>()
/** Scopes of one key; they begin anew beyond it. A client chooses regions. */
const MOST_SCOPES = 64

function keyFor(keys: AwsKeys, scope: string): Buffer {
  let known = derived.get(keys)
  if (!known) {
    known = new Map()
    derived.set(keys, known)
  }
  let key = known.get(scope)
  if (!key) {
    key = derive(keys.secretAccessKey, scope)
    if (known.size >= MOST_SCOPES) known.clear()
    known.set(scope, key)
  }
  return key
}

function derive(secret: string, scope: string): Buffer {
  let key = Buffer.from(`AWS4${secret}`, 'utf8')
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  return key
}
