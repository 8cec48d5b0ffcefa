import { LocumError } from '../core/errors.ts'
import type { JsonObject } from '../core/secret.ts'

/** Bytes of a token: what a client library puts in a header, with room for many groups. */
const LARGEST = 16 * 1024
/** What a token may call itself (RFC 7519 §5.1, RFC 9068 §2.1); in lower case, without `application/`. */
const TYPES = new Set(['jwt', 'at+jwt'])
const SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/
const ENCRYPTED = /^[\w-]+(?:\.[\w-]*){4}$/

/** A token as it reads, before anything in it is believed. */
export interface ReadToken {
  readonly alg: string
  readonly claims: JsonObject
}

/** Why a token lets nobody in. Its texts never hold what stands in the token. */
export function refuseToken(detail: string, hint: string, retryAfter?: number): never {
  throw new LocumError('caller_unauthenticated', detail, { hint, retryAfter })
}

/** Throws caller_unauthenticated: too large, no JWT, or one of those that say something else than who calls. */
export function readToken(text: string): ReadToken {
  if (text.length > LARGEST)
    refuseToken(
      `The token is larger than ${LARGEST >> 10} KiB.`,
      'Ask the issuer to put fewer claims into it, such as groups.',
    )
  if (ENCRYPTED.test(text))
    refuseToken('The token is encrypted.', 'Ask the issuer for tokens that are signed and not encrypted.')
  const [head, body] = SHAPE.test(text) ? text.split('.') : []
  const header = head === undefined ? undefined : objectIn(head)
  const claims = body === undefined ? undefined : objectIn(body)
  if (!header || !claims)
    refuseToken(
      'What was sent as a key is neither a proxy key nor a JWT that can be read in one way.',
      'Send `Bearer`, and the token as the issuer gave it, or a key that begins with lcm_.',
    )
  const { alg, typ = 'JWT' } = header
  if (typeof alg !== 'string')
    refuseToken('The token does not say how it is signed.', 'Send the token as the issuer gave it.')
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : ''
  // A logout token is a JWT of the same issuer for the same audience (OpenID Connect Back-Channel Logout §2.4).
  if (!TYPES.has(type) || claims.events !== undefined)
    refuseToken(
      'The token is of a kind that does not say who calls.',
      'Send an access token (typ at+jwt or JWT) or an ID token.',
    )
  // RFC 9449 §7.1, RFC 8705 §3: whoever stole it would be taken for its holder.
  if (claims.cnf !== undefined)
    refuseToken(
      'The token is bound to a key of its holder, which Locum does not ask for.',
      'Ask the issuer for a bearer token.',
    )
  return { alg, claims }
}

/** Undefined where it is no object, or not one that every reader takes for the same. */
function objectIn(part: string): JsonObject | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(part, 'base64url'),
    )
    const value: unknown = JSON.parse(text)
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
    return namesTwice(text) ? undefined : (value as JsonObject)
  } catch {
    return undefined
  }
}

/** Whether an object in a valid JSON text has two members of one name (RFC 7515 §4, RFC 7519 §4). */
function namesTwice(json: string): boolean {
  const open: (Set<string> | undefined)[] = []
  let name: string | undefined
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,]/g)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':' && name !== undefined) {
      const names = open.at(-1)
      if (names?.has(name)) return true
      names?.add(name)
    }
    name = token.startsWith('"') ? (JSON.parse(token) as string) : undefined
  }
  return false
}
