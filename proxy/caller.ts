import type { Clock } from '../core/clock.ts'
import { parseAuthority } from '../core/destination.ts'
import type { Directory, Named } from '../core/directory.ts'
import { type Entrance, LocumError } from '../core/errors.ts'
import { isFederatedId, type TokenCallers } from '../core/identity.ts'
import { isLoopbackHost } from '../core/listen.ts'
import { isProxyKey, proxyKeyHash } from '../core/proxy-key.ts'
import { Secret } from '../core/secret.ts'
import type { Caller, ShownCertificate } from '../core/words.ts'
import { inForce, type Room, type Session, type Shown } from './room.ts'
import type { Fields, ServerExchange } from './wire/message.ts'

/** The header in which a caller shows who they are. */
export const CALLER_HEADER = {
  forward: 'proxy-authorization',
  connect: 'proxy-authorization',
  gateway: 'locum-authorization',
} as const

type Who = Pick<Room, 'directory' | 'clock' | 'tokens'>

/**
 * Who calls: by a key, by a token of an issuer, by the client certificate of the connection, or else the
 * default principal. Where a key or a token and a certificate are shown they name the same principal. Throws
 * (or rejects with) caller_unauthenticated, which does not tell an unknown id from a wrong key (R29), and
 * store_unavailable.
 */
export function identify(
  who: Who,
  { head, session }: Pick<ServerExchange<Session>, 'head' | 'session'>,
  entrance: Entrance,
): Caller | Promise<Caller> {
  const { directory, clock } = who
  const { fields } = head
  const { tunnel, certificate } = session
  if (tunnel) {
    const { opener } = tunnel
    if (opener.token && opener.keyHash !== undefined)
      return callerOfToken(who, entrance, { token: opener.token, keyHash: opener.keyHash }, undefined)
    if (opener.keyHash !== undefined)
      return callerOfKey(directory, clock, entrance, opener.keyHash, undefined, undefined)
    if (opener.certificate) return callerOfCertificate(directory, clock, entrance, opener.certificate, fields)
    return defaultCaller(directory, session, fields, undefined)
  }
  const name = CALLER_HEADER[entrance]
  const at = fields.names.indexOf(name)
  // Whoever shows two keys does not say who they are.
  if (at >= 0 && fields.names.includes(name, at + 1)) throw unauthenticated(entrance)
  if (at < 0) {
    if (certificate) return callerOfCertificate(directory, clock, entrance, certificate, fields)
    return defaultCaller(directory, session, fields, entrance === 'gateway' ? head.host : undefined, entrance)
  }
  const header = fields.values[at] as string
  let shown = session.shown
  if (shown?.header !== header) {
    shown = readHeader(header, who.tokens !== undefined)
    if (!shown) throw unauthenticated(entrance)
    session.shown = shown
  }
  const { token, keyHash, id } = shown
  if (token) return callerOfToken(who, entrance, { token, keyHash, id }, certificate)
  return callerOfKey(directory, clock, entrance, keyHash, id, certificate)
}

/**
 * `Basic base64(id:key)` or `Bearer key`; and where there are issuers, a token in the key's place. Undefined
 * where it is neither, or the key is no key.
 */
function readHeader(header: string, takesTokens: boolean): Shown | undefined {
  const match = /^(basic|bearer) +(\S+)$/i.exec(header)
  if (!match) return undefined
  let key = match[2] as string
  let id: string | undefined
  if (/^basic$/i.test(match[1] as string)) {
    const text = Buffer.from(key, 'base64').toString('utf8')
    const colon = text.indexOf(':')
    if (colon < 0) return undefined
    id = text.slice(0, colon)
    key = text.slice(colon + 1)
  }
  if (isProxyKey(key))
    return id === '' ? undefined : { header, keyHash: proxyKeyHash(key), id, token: undefined }
  // What means to be a key is never looked at as anything else.
  if (!takesTokens || key.startsWith('lcm_')) return undefined
  return { header, keyHash: proxyKeyHash(key), id, token: new Secret(key) }
}

/** What stands for the id of a user who comes by a token, where a client's proxy setting wants one. */
const TOKEN_ID = 'jwt'

function callerOfToken(
  { tokens, clock }: Pick<Who, 'tokens' | 'clock'>,
  entrance: Entrance,
  { token, keyHash, id }: { token: Secret; keyHash: string; id?: string | undefined },
  certificate: ShownCertificate | undefined,
): Caller | Promise<Caller> {
  const judge = (caller: Caller): Caller => {
    const named = id === undefined || id === '' || id === TOKEN_ID || id === caller.principal.id
    if (!named || !inForce(caller, clock.now())) throw unauthenticated(entrance)
    if (certificate !== undefined && certificate.id !== caller.principal.id) throw unauthenticated(entrance)
    return caller
  }
  const known = tokens?.caller(keyHash)
  if (known) return judge(known)
  return (tokens as TokenCallers).verify(keyHash, token).then(judge)
}

function callerOfKey(
  directory: Directory,
  clock: Clock,
  entrance: Entrance,
  keyHash: string,
  id: string | undefined,
  certificate: ShownCertificate | undefined,
): Caller | Promise<Caller> {
  const judge = (caller: Caller | null): Caller => {
    if (!caller || !inForce(caller, clock.now()) || (id !== undefined && caller.principal.id !== id))
      throw unauthenticated(entrance)
    // A page's key is good for nothing where no browser says which page calls.
    if (caller.only && entrance !== 'gateway') throw unauthenticated(entrance)
    // One that does not hold names nobody: it agrees with no key.
    if (certificate !== undefined && certificate.id !== caller.principal.id) throw unauthenticated(entrance)
    return caller
  }
  const known = directory.caller(keyHash)
  return known === undefined ? directory.fetchCaller(keyHash).then(judge) : judge(known)
}

/**
 * A browser shows a certificate by itself, to whatever page makes it call: so a certificate alone serves
 * no browser's request, as the default principal does not (R21).
 */
function callerOfCertificate(
  directory: Directory,
  clock: Clock,
  entrance: Entrance,
  certificate: ShownCertificate,
  fields: Fields,
): Caller | Promise<Caller> {
  const { id } = certificate
  if (id === undefined || isFromBrowser(fields)) throw unauthenticated(entrance)
  const judge = (named: Named | null): Caller => {
    const caller = certifiedCaller(named, certificate)
    if (!caller || !inForce(caller, clock.now())) throw unauthenticated(entrance)
    return caller
  }
  const known = directory.named(id)
  return known === undefined ? directory.fetchNamed(id).then(judge) : judge(known)
}

/**
 * The holder of a certificate; null where there is none, or where it was revoked since the certificate was issued.
 * A user of an issuer has no certificate: theirs are the issuer's tokens alone.
 */
export function certifiedCaller(named: Named | null, certificate: ShownCertificate): Caller | null {
  if (!named) return null
  const { caller, revokedAt } = named
  if (isFederatedId(caller.principal.id)) return null
  if (revokedAt !== undefined && certificate.notBefore <= revokedAt) return null
  return { ...caller, certificate, expiresAt: certificate.notAfter }
}

/**
 * The sidecar's own caller: only on a loopback or unix listener, never for a browser's request, and
 * at the gateway only under a loopback name (R21).
 */
function defaultCaller(
  directory: Directory,
  session: Session,
  fields: Fields,
  host: string | undefined,
  entrance: Entrance = 'forward',
): Caller {
  const caller = directory.defaultCaller()
  if (!caller || !session.local || isFromBrowser(fields)) throw unauthenticated(entrance)
  if (host !== undefined && !isLoopbackHost(parseAuthority(host)?.host ?? '')) throw unauthenticated(entrance)
  return caller
}

/**
 * A browser sends Sec-Fetch-Site and -Dest with every Sec-Fetch-Mode (Fetch Metadata §2), and no page can
 * keep it from that, nor its Origin from what it asks of others in the mode `cors`. Node's fetch sends
 * `Sec-Fetch-Mode: cors` and neither of them.
 */
function isFromBrowser({ names, values }: Fields): boolean {
  return names.some(
    (name, i) =>
      name === 'origin' ||
      (name.startsWith('sec-fetch-') && !(name === 'sec-fetch-mode' && values[i] === 'cors')),
  )
}

function unauthenticated(entrance: Entrance): LocumError {
  return new LocumError('caller_unauthenticated', 'No valid key of a caller came with this request.', {
    hint:
      entrance === 'gateway'
        ? 'Send `Locum-Authorization: Bearer lcm_…`.'
        : 'Give the proxy URL your id and key: http://ID:lcm_…@HOST:PORT',
  })
}

/** Throws not_allowed where a page's key comes from another page, or is for other connections. */
export function checkBounds({ only }: Caller, origin: string | undefined, connection: string): void {
  if (!only) return
  if (origin !== only.origin) {
    throw new LocumError('not_allowed', 'This key was given to a page of another origin.', {
      hint: 'Each page signs in by itself.',
    })
  }
  if (only.connections && !only.connections.includes(connection)) {
    throw new LocumError('not_allowed', `This key is not for the connection \`${connection}\`.`, {
      hint: 'Name it among the `connections` of the session.',
    })
  }
}

/** Whose connection it is from now on: it is counted with theirs, and ends with their right to it. Throws overloaded. */
export function recognize(
  { limiter, live }: Pick<Room, 'limiter' | 'live'>,
  session: Session,
  caller: Caller,
): void {
  const { client, held, rest } = session
  limiter.recognize(client, caller)
  if (held) {
    if (held.caller === caller) return
    held.caller = caller
    held.judged = caller
  } else if (rest && !client.left) {
    session.held = { caller, cut: rest }
    live.hold(session.held)
  }
}
