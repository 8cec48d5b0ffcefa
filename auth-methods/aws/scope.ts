import { LocumError } from '../../core/errors.ts'
import { OF_ONE_PLACE, PARTITIONS, signingName } from './services.ts'
import type { Scope } from './signature.ts'

/** What a host tells of region and service; what it does not is left out. */
export interface HostScope extends Partial<Scope> {
  /** Where it is signed for when nothing says a region. */
  readonly otherwise?: string
}

const REGION = /^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/
const SUFFIX = new RegExp(`\\.(${Object.keys(PARTITIONS).join('|').replaceAll('.', '\\.')})$`)

/** Hosts remembered; they are read anew beyond it. */
const LIMIT = 1024
const kept = new Map<string, HostScope>()

/** `host`: with or without a port. */
function scopeOfHost(host: string): HostScope {
  const known = kept.get(host)
  if (known) return known
  if (kept.size >= LIMIT) kept.clear()
  const scope = readHost(host)
  kept.set(host, scope)
  return scope
}

function readHost(host: string): HostScope {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  const [end, suffix] = SUFFIX.exec(name) ?? []
  if (end === undefined || suffix === undefined) return {}
  const labels = name
    .slice(0, -end.length)
    .split('.')
    .filter((label) => label !== 'dualstack')
    .map((label) => label.replace(/-fips$/, ''))
  // Of a private endpoint (AWS PrivateLink): vpce-1-2.s3.us-east-1.vpce.
  if (labels.at(-1) === 'vpce') labels.pop()
  const at = labels.findLastIndex((label) => REGION.test(label))
  const last = labels.at(-1) as string
  // A bucket can be called like a region.
  if (at < 0 || (at < labels.length - 1 && last.startsWith('s3')))
    return withoutRegion(labels, PARTITIONS[suffix] as string)
  const service = signingName(at === labels.length - 1 ? labels.slice(0, at) : labels.slice(at + 1))
  const region = labels[at] as string
  return service === undefined ? { region } : { region, service }
}

function withoutRegion(labels: readonly string[], home: string): HostScope {
  const last = labels.at(-1) as string
  if (last === 'us-gov') return { region: 'us-gov-west-1', ...named(labels.slice(0, -1)) }
  if (last === 'global') return { region: home, ...named(labels.slice(0, -1)) }
  if (last === 's3-external-1') return { region: 'us-east-1', service: 's3' }
  // s3-eu-west-1, as it once was written.
  const old = /^s3-(.+)$/.exec(last)?.[1]
  if (old !== undefined && REGION.test(old)) return { service: 's3', region: old }
  const service = signingName(labels)
  // Which leads to a bucket wherever it is.
  if (last === 's3') return { service: 's3', otherwise: home }
  return service !== undefined && OF_ONE_PLACE.includes(service) ? { region: home, service } : named(labels)
}

function named(labels: readonly string[]): { service?: string } {
  const service = signingName(labels)
  return service === undefined ? {} : { service }
}

/** Services that take a payload whose hash is not signed, over TLS. Their paths are encoded once. */
const UNSIGNED = ['s3', 's3express', 's3-object-lambda', 's3-outposts']

export function isS3(service: string): boolean {
  return UNSIGNED.includes(service)
}

/** The scope of a request, as `findScope` finds it. Throws bad_request where nothing tells. */
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

/**
 * The region is the connection's, else the host's, which takes no other; else the client's. The service, whose name in
 * hosts can be another, is the connection's, else the client's, else the host's.
 */
export function findScope(
  config: { readonly region?: string; readonly service?: string },
  client: Partial<Scope> | undefined,
  host: string,
): Partial<Scope> {
  const told = config.region === undefined || config.service === undefined ? scopeOfHost(host) : undefined
  return {
    region: config.region ?? told?.region ?? client?.region ?? told?.otherwise,
    service: config.service ?? client?.service ?? told?.service,
  }
}
