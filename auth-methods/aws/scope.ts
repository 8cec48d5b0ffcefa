import { LocumError } from '../../core/errors.ts'
import type { Scope } from './signature.ts'

/**
 * Region and service of a host (AWS General Reference, "Service endpoints and quotas"). What a host does not tell is
 * left out.
 */

const SUFFIX = /\.(?:amazonaws\.com(?:\.cn)?|api\.aws|on\.aws)$/
const REGION = /^[a-z]{2,3}(?:-[a-z]+)+-\d{1,2}$/
/** Services whose name in signatures is not the one in their hosts. */
const SIGNED_AS: Readonly<Record<string, string>> = {
  'appsync-api': 'appsync',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-runtime': 'bedrock',
  email: 'ses',
  'email-smtp': 'ses',
  'lambda-url': 'lambda',
  queue: 'sqs',
  's3-accelerate': 's3',
  's3-global': 's3',
  's3-accesspoint': 's3',
  's3-control': 's3',
}
/** Services of one place, by partition. */
const GLOBAL = ['cloudfront', 'iam', 'organizations', 'route53', 's3', 'shield', 'sts', 'support', 'waf']
const GLOBAL_REGION: Readonly<Record<string, string>> = {
  '.amazonaws.com': 'us-east-1',
  '.amazonaws.com.cn': 'cn-north-1',
}

/** `host`: with or without a port. */
export function scopeOfHost(host: string): Partial<Scope> {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  const suffix = SUFFIX.exec(name)?.[0]
  if (suffix === undefined) return {}
  const labels = name
    .slice(0, -suffix.length)
    .split('.')
    .filter((label) => label !== 'dualstack')
    .map((label) => label.replace(/-fips$/, ''))
  const last = labels.at(-1) as string
  // s3-eu-west-1, as it once was written.
  const old = /^s3-(.+)$/.exec(last)?.[1]
  if (old !== undefined && REGION.test(old)) return { service: 's3', region: old }
  const at = labels.findLastIndex((label) => REGION.test(label))
  // A bucket can be called like a region.
  if (at < 0 || (at < labels.length - 1 && last.startsWith('s3'))) {
    const service = signedAs(last)
    const region = GLOBAL.includes(last) ? GLOBAL_REGION[suffix] : undefined
    return region === undefined ? { service } : { service, region }
  }
  const label = labels[at === labels.length - 1 ? at - 1 : at + 1]
  const region = labels[at] as string
  return label === undefined ? { region } : { region, service: signedAs(label) }
}

function signedAs(label: string): string {
  return SIGNED_AS[label] ?? label
}

/** Services that take a payload whose hash is not signed, over TLS. Their paths are encoded once. */
const UNSIGNED = ['s3', 's3express', 's3-object-lambda', 's3-outposts']

export function isS3(service: string): boolean {
  return UNSIGNED.includes(service)
}

/**
 * The scope of a request: what the connection says, else what the client signed for, else what the host tells. Throws
 * bad_request where nothing does.
 */
export function scopeFor(
  config: { readonly region?: string; readonly service?: string },
  client: Partial<Scope> | undefined,
  host: string,
): Scope {
  const found = findScope(config, client, host)
  const { region, service } = found
  if (region !== undefined && service !== undefined) return { region, service }
  const missing = region === undefined ? (service === undefined ? 'region and service' : 'region') : 'service'
  throw new LocumError('bad_request', `Nothing says for which ${missing} of AWS this request is.`, {
    hint: 'The connection can: auth: { method: …, region: eu-west-1, service: s3 }; or the client, by signing with any keys.',
  })
}

/** A multi-region access point: a bucket in several regions, for which one region’s signature is no good. */
export function isMultiRegion(host: string): boolean {
  return /\.accesspoint\.s3-global\.amazonaws\.com(?::\d+)?$/i.test(host)
}

export function findScope(
  config: { readonly region?: string; readonly service?: string },
  client: Partial<Scope> | undefined,
  host: string,
): Partial<Scope> {
  const told = { ...client, ...config }
  return told.region !== undefined && told.service !== undefined ? told : { ...scopeOfHost(host), ...told }
}
