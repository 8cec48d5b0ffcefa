import { DEFAULT_PORT, type Destination, destinationText, parseAuthority } from './destination.ts'
import { LocumError } from './errors.ts'
import { ownCopy } from './heads.ts'

/**
 * Request targets (RFC 9112 §3.2), read once into the one value that is judged and dialled (R1).
 * The wire has checked the bytes (0x21–0x7E, no `#`, no backslash).
 */

/** A destination that a target may mean, with its text. */
export interface Candidate {
  readonly destination: Destination
  readonly text: string
}

export interface Target {
  /** In the order in which they are asked for: `http` as declared, or else the same host's `https`. */
  readonly candidates: readonly Candidate[]
  /** Path and query as they go upstream. */
  readonly path: string
}

/** Host and port of a tunnel. */
export interface TunnelTarget {
  readonly host: string
  readonly port: number
}

const DOT_SEGMENT = /(?:\/|%(?:25)*(?:2f|5c))(?:\.|%(?:25)*2e){1,2}(?=[/;]|%(?:25)*(?:2f|5c|3b)|$)/i
const UNSAFE = /[<>{}]/
const CACHE_LIMIT = 4096
const absolutes = new Map<string, readonly Candidate[]>()
const plainInside = new WeakMap<TunnelTarget, readonly Candidate[]>()
const secureInside = new WeakMap<TunnelTarget, readonly Candidate[]>()

/**
 * Checks a path with its query and makes it ready to go upstream: `<`, `>`, `{` and `}` leave
 * percent-encoded. Throws bad_request for a dot segment, raw or encoded (R9).
 */
export function checkPath(path: string): string {
  if (holdsDotSegment(pathOnly(path))) {
    throw new LocumError('bad_request', 'The path holds a dot segment.', {
      hint: 'Send the path that is meant.',
    })
  }
  return UNSAFE.test(path)
    ? path.replace(/[<>{}]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    : path
}

/** Whether a path, without its query, holds a dot segment, raw or encoded (R9). */
export function holdsDotSegment(path: string): boolean {
  return (path.includes('/.') || path.includes('%')) && DOT_SEGMENT.test(path)
}

/** The path without its query. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

function candidate(scheme: 'http' | 'https', host: string, port: number): Candidate {
  const destination: Destination = { scheme, host, port, wildcard: false }
  return { destination, text: destinationText(destination) }
}

/** What `scheme://host:port` asks for: http is declared as such, or else https is meant. */
function candidatesFor(
  scheme: 'http' | 'https',
  host: string,
  port: number | undefined,
): readonly Candidate[] {
  if (scheme === 'https') return [candidate('https', host, port ?? DEFAULT_PORT.https)]
  const plain = port ?? DEFAULT_PORT.http
  return [
    candidate('http', host, plain),
    candidate('https', host, plain === DEFAULT_PORT.http ? DEFAULT_PORT.https : plain),
  ]
}

function badAuthority(): LocumError {
  return new LocumError(
    'bad_request',
    'The target names no host, or spells it in a way that could be read twice.',
    {
      hint: 'Write a host name, an IPv4 address in four decimal parts or an IPv6 address in brackets, and a decimal port.',
    },
  )
}

function checkHost(host: string | undefined, { destination: first, text }: Candidate): void {
  if (host === undefined || host === text.slice(first.scheme.length + 3)) return
  const named = parseAuthority(host)
  if (!named || named.host !== first.host || (named.port ?? DEFAULT_PORT[first.scheme]) !== first.port)
    throw mismatch()
}

function mismatch(): LocumError {
  return new LocumError('authority_mismatch', 'The names in this request contradict each other.', {
    hint: 'Target, Host, CONNECT target and TLS server name must be the same host and port.',
  })
}

/**
 * `http://host:port/path` beside its Host. Throws bad_request (another scheme, user information, an
 * ambiguous host, dot segments), authority_mismatch.
 */
export function parseAbsolute(target: string, host: string | undefined): Target {
  let end = target.indexOf('://') + 3
  while (end < target.length && target[end] !== '/' && target[end] !== '?') end++
  const origin = target.slice(0, end)
  let candidates = absolutes.get(origin)
  if (!candidates) {
    candidates = readOrigin(origin)
    if (absolutes.size >= CACHE_LIMIT) absolutes.clear()
    absolutes.set(ownCopy(origin), candidates)
  }
  checkHost(host, candidates[0] as Candidate)
  const rest = target.slice(end)
  return { candidates, path: checkPath(rest.startsWith('/') ? rest : `/${rest}`) }
}

function readOrigin(origin: string): readonly Candidate[] {
  const match = /^(https?):\/\/(.*)$/i.exec(origin)
  if (!match) throw new LocumError('bad_request', 'The target is neither http:// nor https://, nor a path.')
  const authority = match[2] as string
  if (authority.includes('@')) throw new LocumError('bad_request', 'The target holds user information.')
  const parsed = parseAuthority(authority)
  if (!parsed) throw badAuthority()
  return candidatesFor((match[1] as string).toLowerCase() as 'http' | 'https', parsed.host, parsed.port)
}

/** `host:port` of a CONNECT beside its Host (whose port may be left out). Throws bad_request, authority_mismatch. */
export function parseConnect(target: string, host: string | undefined): TunnelTarget {
  const parsed = parseAuthority(target)
  if (!parsed) throw badAuthority()
  if (parsed.port === undefined) {
    throw new LocumError('bad_request', 'CONNECT names no port.', { hint: 'CONNECT host:443' })
  }
  if (host !== undefined && host !== target) {
    const named = parseAuthority(host)
    if (!named || named.host !== parsed.host || (named.port !== undefined && named.port !== parsed.port))
      throw mismatch()
  }
  return { host: parsed.host, port: parsed.port }
}

/** What a CONNECT may turn out to carry: TLS to that port, or plain HTTP for it. */
export function tunnelCandidates(tunnel: TunnelTarget): readonly Candidate[] {
  const plain = candidatesFor('http', tunnel.host, tunnel.port)
  const secure = candidate('https', tunnel.host, tunnel.port)
  return plain.some(({ text }) => text === secure.text) ? plain : [...plain, secure]
}

/**
 * A request inside a tunnel: a path, or an absolute form that says the same as the tunnel.
 * `secure`: it came in TLS. Throws bad_request, authority_mismatch.
 */
export function parseInTunnel(
  target: string,
  host: string | undefined,
  tunnel: TunnelTarget,
  secure: boolean,
): Target {
  const known = secure ? secureInside : plainInside
  let candidates = known.get(tunnel)
  if (!candidates) {
    candidates = candidatesFor(secure ? 'https' : 'http', tunnel.host, tunnel.port)
    known.set(tunnel, candidates)
  }
  if (target.startsWith('/')) {
    checkHost(host, candidates[0] as Candidate)
    return { candidates, path: checkPath(target) }
  }
  if (target === '*') throw new LocumError('bad_request', 'The target `*` reaches no upstream.')
  const absolute = parseAbsolute(target, host)
  if (absolute.candidates[0]?.text !== candidates[0]?.text) throw mismatch()
  return { candidates, path: absolute.path }
}

const GATEWAY = /^\/c\/([A-Za-z0-9._-]{1,128})(?:([/?].*))?$/

/** The connection that `/c/NAME/…` names, whatever follows it. Undefined where it is something else. */
export function gatewayName(target: string): string | undefined {
  return GATEWAY.exec(target)?.[1]
}

/** `/c/NAME/rest?query` → name and `/rest?query`. Undefined where it is something else; throws bad_request as `checkPath`. */
export function parseGateway(target: string): { name: string; rest: string } | undefined {
  const match = GATEWAY.exec(target)
  if (!match) return undefined
  const rest = match[2] ?? '/'
  return { name: match[1] as string, rest: checkPath(rest.startsWith('/') ? rest : `/${rest}`) }
}

export interface Base {
  readonly candidate: Candidate
  /** Without a slash at its end. */
  readonly prefix: string
  /** Where it was drawn from a credential: what may be shown of it, with `*` for what was drawn. */
  readonly shown?: { readonly origin: string; readonly prefix: string }
}

/**
 * `https://host/api/` → destination and prefix. Throws bad_request for a query, a fragment, dot
 * segments or a host that is none; the error holds nothing of the text, which may be drawn from a credential.
 */
export function parseBase(text: string): Base {
  const match = /^(https?):\/\/([^/?#@\\\s]+)(\/[^?#\\\s]*)?$/i.exec(text)
  if (!match)
    throw new LocumError('bad_request', 'The base is not an URL of scheme, host and path.', {
      hint: 'https://api.example.com/v1/',
    })
  const scheme = (match[1] as string).toLowerCase() as 'http' | 'https'
  const authority = parseAuthority(match[2] as string)
  if (!authority)
    throw new LocumError(
      'bad_request',
      'The base names no host, or spells it in a way that could be read twice.',
      {
        hint: 'A base names one host, without a wildcard: https://api.example.com/v1/',
      },
    )
  const path = match[3] ?? '/'
  if (!/^[\x21-\x7e]*$/.test(path))
    throw new LocumError('bad_request', 'The base holds a character that an URL cannot hold.')
  return {
    candidate: candidate(scheme, authority.host, authority.port ?? DEFAULT_PORT[scheme]),
    prefix: checkPath(path).replace(/\/+$/, ''),
  }
}
