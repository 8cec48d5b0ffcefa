import type { AuthMethod, Signed, SignInput } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { RequestHead } from '../../core/heads.ts'
import type { JsonObject } from '../../core/secret.ts'
import type { AuthValues } from '../../core/words.ts'
import { wrong } from '../reading.ts'
import { AsymmetricSigner } from './asymmetric.ts'
import { canonicalRequest, canonicalValue, EMPTY_HASH, sha256, signedNames } from './canonical.ts'
import { Resigning } from './chunks.ts'
import { type ClientSignature, clientSignature, SIGNATURE_FIELDS, withoutSignature } from './client.ts'
import { findScope, isMultiRegion, isS3, scopeFor } from './scope.ts'
import { type AwsKeys, Signer, stampOf } from './signature.ts'

/** Bytes of a body that is read whole, since its hash is signed and the client did not say it. */
const LARGEST_HASHED = 16 * 1024 * 1024
const HASH_FIELD = 'x-amz-content-sha256'
const UNSIGNED = 'UNSIGNED-PAYLOAD'
const STREAMED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
const STREAMED_WITH_TRAILERS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'
const STREAMED_UNSIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
const HASHES = [UNSIGNED, STREAMED, STREAMED_WITH_TRAILERS, STREAMED_UNSIGNED]
/** ms that two clocks may differ by: AWS takes five minutes. */
const TOLERATED = 4 * 60_000
/** ms beyond which no clock is believed: what is signed for another day is good on that day. */
const FURTHEST = 24 * 3_600_000

export const SIGNING_SCHEMA: { readonly [key: string]: JsonObject } = {
  region: { type: 'string', description: 'The region of AWS; found from the request when left out.' },
  service: {
    type: 'string',
    description: 'The service of AWS, as signatures name it; found from the request when left out.',
  },
}

/** Signature Version 4 on every request. The method's `values()` are made by `signingValues`. */
export const awsSigning = {
  variables: [],
  signsBody,
  sign,
  challenge: (_config, { status, fields }, now, then) => {
    const date = status === 400 || status === 403 ? Date.parse(fields.get('date') ?? '') : Number.NaN
    const wrong = Math.abs(date - then) > TOLERATED
    return wrong && Math.abs(date - now) < FURTHEST ? { clock: date - now } : undefined
  },
} satisfies Partial<AuthMethod>

/** No variable is drawn from keys: what is signed with stays here, and the token alone goes out. */
export function signingValues(keys: AwsKeys): AuthValues {
  const { sessionToken } = keys
  return {
    values: {},
    plain: [],
    signing: { ...keys },
    sent: sessionToken === undefined ? [] : [sessionToken],
  }
}

/** Throws bad_request. */
export function checkSigning(config: JsonObject): void {
  for (const key of Object.keys(SIGNING_SCHEMA)) {
    const value = config[key]
    if (value !== undefined && (typeof value !== 'string' || !/^[a-z0-9-]{1,64}$/.test(value)))
      throw wrong(
        `\`${key}\` is small letters, digits and hyphens, such as ${key === 'region' ? 'eu-west-1' : 's3'}`,
      )
  }
}

/** How many bytes may be read to hash them; undefined where the body passes as it comes. */
function signsBody(config: JsonObject, head: RequestHead, secure: boolean): number | undefined {
  if (head.fields.get(HASH_FIELD) !== undefined) return undefined
  const { service = '' } = findScope(config, clientSignature(head)?.scope, head.host ?? '')
  return secure && isS3(service) ? undefined : LARGEST_HASHED
}

function sign(
  { config, values, now, secure }: SignInput,
  head: RequestHead,
  body: Uint8Array | undefined,
): Signed {
  const keys = values.reveal().signing as unknown as AwsKeys
  const client = clientSignature(head)
  const host = head.host ?? ''
  const regions = client?.regions ?? (isMultiRegion(host) ? '*' : undefined)
  const asked = regions === undefined ? client?.scope : { region: 'all', ...client?.scope }
  const scope = scopeFor(config, asked, host)
  const once = isS3(scope.service)
  const stamp = stampOf(now)
  const signer =
    regions === undefined ? new Signer(keys, scope, stamp) : new AsymmetricSigner(keys, scope.service, stamp)
  const hash = payloadHash(head, body, once && secure)
  const { target, fields } = withoutSignature(head.target)
  const set: [string, string][] = [['X-Amz-Date', stamp]]
  for (const [name, value] of fields)
    if (head.fields.get(name) === undefined) set.push([name, canonicalValue(value)])
  if (regions !== undefined) set.push(['X-Amz-Region-Set', regions])
  if (keys.sessionToken !== undefined) set.push(['X-Amz-Security-Token', keys.sessionToken])
  if (once || head.fields.get(HASH_FIELD) !== undefined) set.push(['X-Amz-Content-Sha256', hash])
  const headers = headersToSign(head, set, client)
  const [path = '', query = ''] = target.split(/\?(.*)/s)
  const canonical = canonicalRequest({ method: head.method, path, query, headers, hash }, { once })
  const signature = signer.signRequest(canonical)
  const authorization = `${signer.algorithm} Credential=${keys.accessKeyId}/${signer.scope}, SignedHeaders=${signedNames(headers)}, Signature=${signature}`
  const trailers = hash === STREAMED_WITH_TRAILERS
  const chunks = trailers || hash === STREAMED
  if (chunks && !(signer instanceof Signer)) throw mixed()
  return {
    remove: SIGNATURE_FIELDS,
    set: [...set, ['Authorization', authorization]],
    target,
    body: chunks ? new Resigning(signer as Signer, signature, { trailers }) : undefined,
  }
}

function mixed(): LocumError {
  return new LocumError(
    'bad_request',
    'Chunks are signed for one region, and the request is for several (SigV4a).',
    {
      hint: 'Have the client send UNSIGNED-PAYLOAD, or chunks that are not signed.',
    },
  )
}

/** What stands for the payload in the signature. Throws bad_request for a hash that is none. */
function payloadHash({ fields }: RequestHead, body: Uint8Array | undefined, mayBeUnsigned: boolean): string {
  const said = fields.get(HASH_FIELD)
  if (said !== undefined && HASHES.includes(said)) return said
  // What Locum put into it makes another hash.
  if (body !== undefined) return body.length === 0 ? EMPTY_HASH : sha256(body)
  if (said !== undefined) {
    if (/^[0-9a-f]{64}$/.test(said)) return said
    throw new LocumError(
      'bad_request',
      'The client says a hash of the body (X-Amz-Content-Sha256) that is none.',
    )
  }
  if (mayBeUnsigned) return UNSIGNED
  throw new LocumError('internal', 'A body that was not read is to be signed.')
}

/** Fields that are signed whatever the client did; all that begins with x-amz- is, too. */
const ALWAYS = ['content-md5', 'content-type', 'date', 'host']
/** Fields that others on the way may alter, or that are made again. */
const NEVER = [
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'transfer-encoding',
  'user-agent',
  'via',
]

function headersToSign(
  head: RequestHead,
  set: readonly (readonly [string, string])[],
  client: ClientSignature | undefined,
): [string, string][] {
  const made = set.map(([name, value]) => [name.toLowerCase(), value] as const)
  const signed = new Map<string, string>([['host', head.host ?? ''], ...made])
  const own = made.map(([name]) => name)
  const { names, values } = head.fields
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    if (SIGNATURE_FIELDS.includes(name) || own.includes(name) || NEVER.includes(name)) continue
    if (!ALWAYS.includes(name) && !name.startsWith('x-amz-') && !client?.headers.includes(name)) continue
    const before = signed.get(name)
    const value = canonicalValue(values[i] as string)
    signed.set(name, before === undefined ? value : `${before},${value}`)
  }
  return [...signed].sort(([a], [b]) => (a < b ? -1 : 1))
}
