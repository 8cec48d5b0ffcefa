import { hash } from 'node:crypto'

/**
 * The canonical request of Signature Version 4 (AWS, "Create a signed AWS API request"). Every text is latin1: one
 * character a byte, as it stands on the wire.
 */

/** SHA-256 of nothing. */
export const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

export interface CanonicalInput {
  readonly method: string
  /** The path as it goes out, without a query. */
  readonly path: string
  /** The query as it goes out, without its `?`. */
  readonly query: string
  /** Those that are signed, by lower-case names, sorted; a name that comes twice has its values joined. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Of the payload: hex, or a word for what is not hashed. */
  readonly hash: string
}

/** `once`: the path is encoded once and never normalised, which S3 alone wants. */
export function canonicalRequest(x: CanonicalInput, { once }: { readonly once: boolean }): string {
  let headers = ''
  for (const [name, value] of x.headers) headers += `${name}:${value}\n`
  const path = once ? encodeOnce(x.path) : encodePath(normalized(x.path))
  return `${x.method}\n${path}\n${canonicalQuery(x.query)}\n${headers}\n${signedNames(x.headers)}\n${x.hash}`
}

export function signedNames(headers: CanonicalInput['headers']): string {
  return headers.map(([name]) => name).join(';')
}

/** A value with its blanks at the ends taken off and each run of blanks in it made one. Bytes beyond ASCII are none. */
export function canonicalValue(value: string): string {
  return UNTIDY.test(value) ? value.replace(BLANKS, ' ').replace(/^ | $/g, '') : value
}

export function sha256(value: string | Uint8Array): string {
  return hash('sha256', typeof value === 'string' ? Buffer.from(value, 'latin1') : value, 'hex')
}

const BLANKS = /[\t\n\v\f\r ]+/g
const UNTIDY = /^ | $| {2}|[\t\n\v\f\r]/
const RESERVED = /[^A-Za-z0-9\-._~]/g
const RESERVED_IN_PATH = /[^A-Za-z0-9\-._~/]/g
const CODED = /%([0-9A-Fa-f]{2})/g

function coded(char: string): string {
  const hex = char.charCodeAt(0).toString(16).toUpperCase()
  return hex.length < 2 ? `%0${hex}` : `%${hex}`
}

function encodePath(path: string): string {
  return path.replace(RESERVED_IN_PATH, coded)
}

/** What may be encoded already, decoded and encoded in the one way. A slash that is encoded stays so. */
function encodeOnce(path: string): string {
  if (!/[^A-Za-z0-9\-._~/]/.test(path)) return path
  return path
    .split('/')
    .map((segment) => decoded(segment).replace(RESERVED, coded))
    .join('/')
}

/** Percent-codes as the bytes that they are. */
export function decoded(text: string): string {
  return text.replace(CODED, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** Without dot segments and empty ones (RFC 3986 §6.2.2.3); a slash at the end stays. */
function normalized(path: string): string {
  if (!/\/\/|\/\./.test(path)) return path
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  const ends = /\/\.{0,2}$/.test(path) && kept.length > 0
  return `/${kept.join('/')}${ends ? '/' : ''}`
}

/** Each name and value decoded and encoded in the one way, sorted by name and then by value. */
function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=')
      const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
      return [component(name), component(value)] as const
    })
  pairs.sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
  return pairs.map(([name, value]) => `${name}=${value}`).join('&')
}

/** `+` is a blank in a query. */
function component(text: string): string {
  if (!/[^A-Za-z0-9\-._~]/.test(text)) return text
  return decoded(text.replaceAll('+', ' ')).replace(RESERVED, coded)
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
