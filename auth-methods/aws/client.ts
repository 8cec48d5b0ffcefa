import { LocumError } from '../../core/errors.ts'
import type { RequestHead } from '../../core/heads.ts'
import { ALGORITHM_V4A } from './asymmetric.ts'
import { decoded } from './canonical.ts'
import type { Scope } from './signature.ts'

/** What a client signed with keys of its own: dummies, since Locum signs with the real ones. */
export interface ClientSignature {
  readonly scope: Partial<Scope>
  /** Of one that is good in several regions (SigV4a): which. */
  readonly regions?: string
  /** Lower-case names. */
  readonly headers: readonly string[]
}

const SCOPE_V4A = /^[^/]{0,128}\/\d{8}\/([a-z0-9-]{1,64})\/aws4_request$/
const REGIONS = /^[a-z0-9*,-]{1,256}$/
const SCOPE = /^[^/]{0,128}\/\d{8}\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/
/** Parameters of a presigned query; its hash is made anew. */
const PARAMETERS =
  /^x-amz-(?:algorithm|content-sha256|credential|date|expires|region-set|security-token|signature|signedheaders)$/
/** Of one by Signature Version 2, which SDKs still make for S3 (Amazon S3, "Signing and authenticating REST requests"). */
const PARAMETERS_V2 =
  /^(?:awsaccesskeyid|expires|signature|signaturemethod|signatureversion|timestamp|x-amz-security-token)$/
/** Whether a query is presigned, and how. */
const PRESIGNED = /[?&](?:x-amz-algorithm|x-amz-signature)=/i
const PRESIGNED_V2 = /[?&]awsaccesskeyid=/i
/** Header fields of a signature. */
export const SIGNATURE_FIELDS: readonly string[] = [
  'authorization',
  'x-amz-date',
  'x-amz-region-set',
  'x-amz-security-token',
]

/** Undefined where it signed nothing. Throws bad_request for a signature of another kind. */
export function clientSignature(head: Pick<RequestHead, 'target' | 'fields'>): ClientSignature | undefined {
  const authorization = head.fields.get('authorization')
  if (authorization?.startsWith('AWS4-')) {
    return readSignature({
      algorithm: authorization.slice(0, authorization.indexOf(' ')),
      credential: /[ ,]Credential=([^,\s]*)/.exec(authorization)?.[1],
      headers: /[ ,]SignedHeaders=([^,\s]*)/.exec(authorization)?.[1],
      regions: head.fields.get('x-amz-region-set'),
    })
  }
  if (!PRESIGNED.test(head.target)) return undefined
  const parameters = new URLSearchParams(head.target.slice(head.target.indexOf('?') + 1))
  const named = (name: string) => [...parameters].find(([one]) => one.toLowerCase() === name)?.[1]
  return readSignature({
    algorithm: named('x-amz-algorithm') ?? '',
    credential: named('x-amz-credential'),
    headers: named('x-amz-signedheaders'),
    regions: named('x-amz-region-set'),
  })
}

function readSignature(x: {
  algorithm: string
  credential: string | undefined
  headers: string | undefined
  regions: string | undefined
}): ClientSignature | undefined {
  const headers = (x.headers ?? '').toLowerCase().split(';')
  if (x.algorithm === ALGORITHM_V4A) {
    const [, service] = SCOPE_V4A.exec(x.credential ?? '') ?? []
    const { regions = '*' } = x
    return service !== undefined && REGIONS.test(regions)
      ? { scope: { service }, regions, headers }
      : undefined
  }
  const scope = SCOPE.exec(x.credential ?? '')
  return scope ? { scope: { region: scope[1], service: scope[2] }, headers } : undefined
}

/** What is left of a request's target when its signature is taken off. */
export interface Bare {
  readonly target: string
  /** Header fields, by lower-case names, that a presigned query held in their place. */
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/**
 * A target without the parameters of a presigned query. What an SDK put there of the headers (`x-amz-acl`) is a header
 * again: in the query it counts only where that is what is signed. Throws bad_request for one that no header can be.
 */
export function withoutSignature(target: string): Bare {
  const v4 = PRESIGNED.test(target)
  const v2 = PRESIGNED_V2.test(target)
  if (!v4 && !v2) return { target, fields: [] }
  const at = target.indexOf('?')
  const kept: string[] = []
  const fields: (readonly [string, string])[] = []
  for (const pair of target.slice(at + 1).split('&')) {
    const name = nameOf(pair).toLowerCase()
    if ((v4 && PARAMETERS.test(name)) || (v2 && PARAMETERS_V2.test(name))) continue
    if (name.startsWith('x-amz-')) fields.push([name, fieldOf(name, pair.slice(pair.indexOf('=') + 1))])
    else kept.push(pair)
  }
  const path = target.slice(0, at)
  return { target: kept.length === 0 ? path : `${path}?${kept.join('&')}`, fields }
}

/** One character a byte. */
function fieldOf(name: string, text: string): string {
  const value = decoded(text.replaceAll('+', ' '))
  if (/^[a-z0-9-]{1,128}$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value
  throw new LocumError('bad_request', 'A presigned query holds what no header field can be.', {
    hint: 'Have the client send it as a header, or not at all.',
  })
}

/** Of a parameter; what cannot be decoded is no name of these. */
function nameOf(pair: string): string {
  return decoded(pair.split('=', 1)[0] as string)
}
