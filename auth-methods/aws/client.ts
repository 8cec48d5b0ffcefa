import type { RequestHead } from '../../core/heads.ts'
import { ALGORITHM_V4A } from './asymmetric.ts'
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
/** Parameters of a presigned query. */
const PARAMETERS =
  /^x-amz-(?:algorithm|credential|date|expires|region-set|security-token|signature|signedheaders)$/i
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
  if (!/[?&]x-amz-algorithm=/i.test(head.target)) return undefined
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

/** A target without the parameters of a presigned query. */
export function withoutSignature(target: string): string {
  const at = target.indexOf('?')
  if (at < 0 || !/[?&]x-amz-/i.test(target)) return target
  const kept = target
    .slice(at + 1)
    .split('&')
    .filter((pair) => !PARAMETERS.test(nameOf(pair)))
  return kept.length === 0 ? target.slice(0, at) : `${target.slice(0, at)}?${kept.join('&')}`
}

/** Of a parameter; what cannot be decoded is no name of these. */
function nameOf(pair: string): string {
  const name = pair.split('=', 1)[0] as string
  return name.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
