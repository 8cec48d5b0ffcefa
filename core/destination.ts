import { domainToASCII } from 'node:url'
import { LocumError } from './errors.ts'

/** Scheme, host and port. `host` is lower-case ASCII; an IPv6 address keeps its brackets. */
export interface Destination {
  readonly scheme: 'http' | 'https'
  /** With one left-most `*.` where `wildcard`. */
  readonly host: string
  readonly port: number
  readonly wildcard: boolean
}

export const DEFAULT_PORT = { http: 80, https: 443 } as const

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/

/** True for a dotted-quad IPv4 address in its usual spelling, or an IPv6 address in brackets. */
export function isAddress(host: string): boolean {
  return host.startsWith('[') || IPV4.test(host)
}

/**
 * One spelling for each host: lower case, no trailing dot, IPv4 in four decimal parts only, IPv6 in
 * brackets in its canonical form (RFC 5952). Undefined where the text is no host or a number in
 * disguise (`0x7f.1`, `2130706433`): those are refused rather than understood.
 */
export function canonicalHost(text: string): string | undefined {
  if (text.length === 0 || text.length > 255) return undefined
  if (text.startsWith('[')) return canonicalIpv6(text)
  const host = text.toLowerCase().replace(/\.$/, '')
  if (host.length === 0 || host.length > 253 || !/^[a-z0-9._-]+$/.test(host)) return undefined
  if (IPV4.test(host)) return host
  const labels = host.split('.')
  if (!labels.every((label) => LABEL.test(label))) return undefined
  // WHATWG URL: a last label that is a number makes the whole an IPv4 address in some spelling.
  const last = labels[labels.length - 1] as string
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(last)) return undefined
  if (host.includes('xn--') && domainToASCII(host) !== host) return undefined
  return host
}

function canonicalIpv6(text: string): string | undefined {
  if (!/^\[[0-9a-fA-F:.]{2,45}\]$/.test(text) || !URL.canParse(`http://${text}/`)) return undefined
  return new URL(`http://${text}/`).hostname
}

/** `host` or `host:port` → both. The port is decimal digits, 1–65535. Undefined where it is neither. */
export function parseAuthority(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text)
  if (!match) return undefined
  const host = canonicalHost(match[1] as string)
  if (host === undefined) return undefined
  if (match[2] === undefined) return { host, port: undefined }
  const port = Number(match[2])
  return port >= 1 && port <= 65_535 ? { host, port } : undefined
}

/**
 * `https://api.example.com`, `https://*.crm.example:8443` → a destination.
 * Throws bad_request: another scheme, a path, user information, a wildcard that is not one whole
 * left-most label of at least three, an unusual spelling of an address.
 */
export function parseDestination(text: string): Destination {
  const match = /^(https?):\/\/([^/?#@\\\s]+)\/?$/i.exec(text)
  if (!match) {
    throw new LocumError('bad_request', `\`${text}\` is not a destination.`, {
      hint: 'Write scheme and host, and a port where it is not the usual one: https://api.example.com',
    })
  }
  const scheme = (match[1] as string).toLowerCase() as 'http' | 'https'
  const authority = match[2] as string
  const wildcard = authority.startsWith('*.')
  const parsed = parseAuthority(wildcard ? authority.slice(2) : authority)
  if (!parsed)
    throw new LocumError('bad_request', `\`${authority}\` is not a host that can be named plainly.`)
  if (wildcard && (isAddress(parsed.host) || !parsed.host.includes('.'))) {
    throw new LocumError('bad_request', `The wildcard in \`${text}\` covers too much.`, {
      hint: 'A wildcard is one whole label before at least two others: https://*.crm.example',
    })
  }
  return {
    scheme,
    host: wildcard ? `*.${parsed.host}` : parsed.host,
    port: parsed.port ?? DEFAULT_PORT[scheme],
    wildcard,
  }
}

/** `host`, or `host:port` where the port is not the scheme's own. */
export function authorityOf(d: Destination): string {
  return d.port === DEFAULT_PORT[d.scheme] ? d.host : `${d.host}:${d.port}`
}

/** The one text of a destination: `https://host`, `https://host:8443`. */
export function destinationText(d: Destination): string {
  return `${d.scheme}://${authorityOf(d)}`
}

/** Whether `declared` (exact, or with a wildcard) covers the exact destination `asked` (R2). */
export function covers(declared: Destination, asked: Destination): boolean {
  if (declared.scheme !== asked.scheme || declared.port !== asked.port) return false
  if (!declared.wildcard) return declared.host === asked.host
  if (isAddress(asked.host)) return false
  const dot = asked.host.indexOf('.')
  return dot > 0 && asked.host.slice(dot) === declared.host.slice(1)
}

/** Whether an approved audience entry (canonical text) covers what is asked. */
export function audienceCovers(audience: readonly string[], asked: Destination): boolean {
  return audience.some((entry) => entry.includes('://') && covers(parseDestination(entry), asked))
}
