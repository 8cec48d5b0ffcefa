import type { Directory } from './directory.ts'
import { LocumError } from './errors.ts'
import { allowsCaller, noConnection, type Route } from './route.ts'
import { type TunnelTarget, tunnelCandidates } from './target.ts'
import type { Caller } from './words.ts'

/**
 * What becomes of a CONNECT. `open`: what is inside is read and judged. `untouched`: it passes as it is, by
 * a connection that says so; `secure`: it has to be TLS. `unmatched`: it passes to a host that no
 * connection names.
 */
export type TunnelWay =
  | { readonly kind: 'open' }
  | { readonly kind: 'untouched'; readonly route: Route; readonly secure: boolean }
  | { readonly kind: 'unmatched' }

/** The only port to which a tunnel leads that no connection declares (R16). */
const UNMATCHED_PORT = 443

/**
 * Permits a CONNECT: the port of a declared destination that this caller may use, so that no leaf is
 * minted for anything else (R16, R18); or, where `passesUnmatched`, port 443 of a host that is declared
 * nowhere and no connection is named. `named` is the client's `Locum-Connection`. Whoever may act for
 * others is judged with each request inside, which says for whom; what passes untouched is the caller's
 * own. Throws connection_not_found, not_allowed, connection_ambiguous where the connections that the
 * caller may use do not agree.
 */
export function chooseTunnel(
  directory: Pick<Directory, 'routesTo' | 'declaresHost'>,
  { principal, mayActFor }: Pick<Caller, 'principal' | 'mayActFor'>,
  target: TunnelTarget,
  x: { named: string | undefined; passesUnmatched: boolean },
): TunnelWay {
  const where = `${target.host}:${target.port}`
  const reached = tunnelCandidates(target).flatMap(({ destination }) =>
    directory.routesTo(destination).map((route) => ({ route, destination })),
  )
  if (reached.length === 0) {
    const isUnmatched = target.port === UNMATCHED_PORT && !directory.declaresHost(target.host)
    // Whoever names a connection means it: without it placeholders would leave as they stand.
    if (x.passesUnmatched && isUnmatched && x.named === undefined) return { kind: 'unmatched' }
    throw noConnection(where, x.named)
  }
  const meant = reached.filter(({ route }) => x.named === undefined || route.connection.name === x.named)
  if (meant.length === 0) throw noConnection(where, x.named)
  const usable = meant.filter(({ route }) => allowsCaller(route, principal))
  if (usable.length === 0) {
    if (mayActFor !== undefined && meant.some(({ route }) => route.connection.intercept !== false))
      return { kind: 'open' }
    throw new LocumError('not_allowed', `No connection to ${where} lets this caller use it.`)
  }
  // Of `http://host` that stands for `https://host` only what is inside tells: bytes would go to another port.
  const direct = usable.filter(({ destination }) => destination.port === target.port)
  const passes = direct.filter(({ route }) => route.connection.intercept === false)
  if (passes.length === 0) return { kind: 'open' }
  const [{ route }] = passes as [(typeof passes)[0]]
  if (direct.some((other) => other.route !== route)) {
    const names = [...new Set(direct.map((other) => other.route.connection.name))].join(', ')
    throw new LocumError(
      'connection_ambiguous',
      `More than one connection to ${where} fits, and what is inside is not read to tell them apart: ${names}.`,
      { hint: 'Name one in the header `Locum-Connection` of the CONNECT.' },
    )
  }
  return {
    kind: 'untouched',
    route,
    secure: passes.every(({ destination }) => destination.scheme === 'https'),
  }
}
