import { FOR_HEADER, refuseActing } from '../../core/act-for.ts'
import type { Directory } from '../../core/directory.ts'
import { type Entrance, LocumError } from '../../core/errors.ts'
import { holdsProxyKey } from '../../core/proxy-key.ts'
import { baseOf, chooseRoute, noConnection, type Route } from '../../core/route.ts'
import { fieldMayHoldPlaceholder } from '../../core/scan.ts'
import { isReadAsOne } from '../../core/slots.ts'
import {
  type Base,
  type Candidate,
  parseAbsolute,
  parseGateway,
  parseInTunnel,
  pathOnly,
  type Target,
} from '../../core/target.ts'
import type { Caller } from '../../core/words.ts'
import { stripBrowserFields } from '../gateway.ts'
import type { Session } from '../room.ts'
import type { RequestHead, ServerExchange } from '../wire/message.ts'

/** What a request asks for, and the one connection that serves it. */
export interface Found {
  readonly route: Route
  /** Undefined where the connection's base draws on the credential: the broker says it then. */
  readonly candidate: Candidate | undefined
  /** At the gateway. */
  readonly base: Base | undefined
  /** Path and query; behind the base's own path at the gateway. */
  readonly path: string
  /** What `Locum-Connection` said; at the gateway the path names the connection. */
  readonly named: string | undefined
}

/**
 * Reads the target, finds and permits the connection, and takes Locum's own headers out of the
 * request. Throws bad_request, authority_mismatch, connection_not_found, connection_ambiguous,
 * not_allowed.
 */
export function findRoute(
  directory: Directory,
  caller: Caller,
  x: ServerExchange<Session>,
  entrance: Entrance,
): Found {
  const { head, session } = x
  const named = takeOwnFields(head, caller)
  if (entrance === 'gateway') return findNamed(directory, caller, head)
  const { tunnel } = session
  if (tunnel?.misnamed) {
    throw new LocumError('authority_mismatch', 'The TLS server name is not the host of the tunnel.', {
      hint: 'CONNECT to the host that is meant.',
    })
  }
  const target: Target = tunnel
    ? parseInTunnel(head.target, head.host, tunnel.target, tunnel.secure)
    : parseAbsolute(head.target, head.host)
  const { candidate, routes } = declaredOf(directory, target.candidates)
  const route = chooseRoute(
    routes,
    caller.principal,
    { method: head.method, path: pathOnly(target.path) },
    candidate.text,
    named,
  )
  return { route, candidate, base: undefined, path: target.path, named }
}

/** The first that some connection declares; http before the https that it may stand for. */
function declaredOf(
  directory: Directory,
  candidates: readonly Candidate[],
): { candidate: Candidate; routes: readonly Route[] } {
  for (const candidate of candidates) {
    const routes = directory.routesTo(candidate.destination)
    if (routes.length > 0) return { candidate, routes }
  }
  return { candidate: candidates[candidates.length - 1] as Candidate, routes: [] }
}

function findNamed(directory: Directory, caller: Caller, head: RequestHead): Found {
  const asked = parseGateway(head.target)
  if (!asked) throw new LocumError('connection_not_found', 'The gateway answers under /c/NAME/… only.')
  const route = directory.routeNamed(asked.name)
  if (!route) throw noConnection('that name')
  stripBrowserFields(head.fields)
  const fromCredential = route.base?.paths.some((path) => path.root === 'Auth') === true
  const base = fromCredential ? undefined : baseOf(route, { caller })
  checkAllowed(route, caller, head.method, base, asked.rest)
  return { route, candidate: base?.candidate, base, path: asked.rest, named: undefined }
}

/**
 * Judges a request at the gateway by its connection's `allow`; the path where the base is known.
 * Throws not_allowed.
 */
export function checkAllowed(
  route: Route,
  caller: Caller,
  method: string,
  base: Base | undefined,
  rest: string,
): void {
  const path = base && base.prefix + pathOnly(rest)
  // What was drawn from a credential is told to nobody.
  const known = base?.shown === undefined ? base?.candidate.text : undefined
  const where = known ?? `the base of \`${route.connection.name}\``
  chooseRoute([route], caller.principal, { method, path }, where, undefined)
}

/**
 * Judges a path with its values in as the one that was asked for was: a value must not lead to what
 * another connection serves, or this one does not allow. Throws not_allowed.
 */
export function checkFilled(
  directory: Directory,
  caller: Caller,
  { route, candidate, named }: Found,
  x: { method: string; base: Base | undefined; path: string },
): void {
  if (x.base) {
    checkAllowed(route, caller, x.method, x.base, x.path)
    return
  }
  if (!candidate) throw new LocumError('internal', 'The request has no destination.')
  const asked = { method: x.method, path: pathOnly(x.path) }
  const routes = directory.routesTo(candidate.destination)
  let chosen: Route | undefined
  try {
    chosen = chooseRoute(routes, caller.principal, asked, candidate.text, named)
  } catch (thrown) {
    // Which of them would fit may tell of the value.
    if (!(thrown instanceof LocumError)) throw thrown
  }
  if (chosen?.connection.name === route.connection.name) return
  throw new LocumError(
    'not_allowed',
    `With its values in, the path is none that \`${route.connection.name}\` serves.`,
    { hint: "See the connection's `allow`." },
  )
}

/** Whether a field speaks to Locum: by its lower-case name, or since its value asks for a secret. */
export function speaksToLocum(name: string, value: string): boolean {
  return isOwnField(name) || fieldMayHoldPlaceholder(value, undefined)
}

function isOwnField(name: string): boolean {
  return name.startsWith('locum-')
}

/** Removes what speaks to Locum; gives the value of Locum-Connection. */
function takeOwnFields(head: RequestHead, caller: Caller): string | undefined {
  const { fields } = head
  let named: string | undefined
  for (let i = fields.names.length - 1; i >= 0; i--) {
    const name = fields.names[i] as string
    if (name === 'proxy-authorization' || name === 'proxy_authorization') fields.removeAt(i)
    else if (isOwnField(name) || name.startsWith('locum_')) {
      // Served as themselves, they would use the wrong person's credential.
      if (name === FOR_HEADER && caller.actor === undefined) refuseActing()
      if (name !== FOR_HEADER && isReadAsOne(name, [FOR_HEADER])) throw misspelledFor()
      if (name === 'locum-connection') named = fields.values[i]
      fields.removeAt(i)
    } else if (holdsProxyKey(fields.values[i] as string)) throw misplacedKey(`the header \`${name}\``)
  }
  if (holdsProxyKey(head.target)) throw misplacedKey('the target')
  // HTTP/2 in clear text would carry requests that nobody judges (RFC 9113 §3.1).
  if (head.upgrade !== undefined && /\bh2c?\b/i.test(head.upgrade)) head.upgrade = undefined
  fields.delete('http2-settings')
  return named
}

function misspelledFor(): LocumError {
  return new LocumError('bad_request', 'For whom the request is stands in a header with an underscore.', {
    hint: 'Write `Locum-For: user:ID`.',
  })
}

/** A key for Locum in what goes on is somebody's mistake, and would be the upstream's gain. */
function misplacedKey(where: string): LocumError {
  return new LocumError('bad_request', `A proxy key stands in ${where}, where the upstream would see it.`, {
    hint: 'It belongs in Proxy-Authorization, or at the gateway in Locum-Authorization.',
  })
}
