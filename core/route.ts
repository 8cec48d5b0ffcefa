import type { AuthMethod, AuthMethods } from './auth-method.ts'
import { type BodyRules, compileBodyRules } from './body.ts'
import { type CommonParameter, compileParameters } from './common-query.ts'
import { parseConfiguredTemplate } from './configured.ts'
import { covers, type Destination, destinationText } from './destination.ts'
import { LocumError } from './errors.ts'
import { drawsOnAuth, fill, isVolatile, type Template, type VariableSources } from './placeholder.ts'
import { checkHeaderName, compileSlots, type SlotRules } from './slots.ts'
import { type Base, parseBase } from './target.ts'
import type { Connection, Principal } from './words.ts'

/** A connection made ready for the hot path. Made once for each version of the connection. */
export interface Route {
  readonly connection: Connection
  readonly method: AuthMethod
  /** Common headers, then what the method sets where they do not: lower-case name, spelling, template. */
  readonly sets: readonly { readonly name: string; readonly spelled: string; readonly template: Template }[]
  /** Whether any of `sets`, `query` or `base` draws on `$Auth`, or requests are signed: a credential is always needed. */
  readonly needsCredential: boolean
  readonly slots: SlotRules
  /** Set in every query. */
  readonly query: readonly CommonParameter[]
  /** Whether it draws on `$Auth`. */
  readonly secretQuery: boolean
  /** Undefined: every body passes as it is. */
  readonly body: BodyRules | undefined
  readonly base: Template | undefined
  /** Whether `sets` or `query` may be others the next time, for the same values. */
  readonly volatile: boolean
  readonly paths: readonly Glob[]
}

/** A path with `*` in it, taken apart at them. `literal`: how many characters stand before the first. */
interface Glob {
  readonly literal: number
  readonly parts: readonly string[]
}

/** Throws bad_request for an unknown method, a header that cannot be set, a slot that cannot be, or a template that is none. */
export function compileRoute(connection: Connection, methods: AuthMethods): Route {
  const method = methods.get(connection.method)
  if (!method) {
    throw new LocumError('bad_request', `There is no method \`${connection.method}\`.`, {
      hint: `Methods are ${[...methods.keys()].join(', ')}.`,
    })
  }
  const sets: { name: string; spelled: string; template: Template }[] = []
  for (const [spelled, text] of [
    ...connection.headers,
    ...(method.inject?.(connection.methodConfig) ?? []),
  ]) {
    checkHeaderName(spelled)
    const name = spelled.toLowerCase()
    if (sets.some((set) => set.name === name)) continue
    sets.push({ name, spelled, template: parseConfiguredTemplate(text) })
  }
  const slots = compileSlots(connection)
  const query = compileParameters(connection.query ?? [])
  const secretQuery = query.some(({ template }) => drawsOnAuth(template))
  const base = connection.base === undefined ? undefined : compileBase(connection.base)
  return {
    connection,
    method,
    sets,
    needsCredential:
      method.sign !== undefined ||
      sets.some((set) => drawsOnAuth(set.template)) ||
      secretQuery ||
      (base !== undefined && drawsOnAuth(base)),
    slots,
    query,
    secretQuery,
    body: compileBodyRules(connection, slots),
    base,
    volatile: [...sets, ...query].some(({ template }) => isVolatile(template)),
    paths: (connection.allow.paths ?? []).map((glob) => {
      const parts = glob.split('*')
      return { literal: (parts[0] as string).length, parts }
    }),
  }
}

/** Throws bad_request where it would lead elsewhere each time. */
export function compileBase(text: string): Template {
  const base = parseConfiguredTemplate(text)
  if (!isVolatile(base)) return base
  throw new LocumError('bad_request', 'A base cannot be another one each time.', {
    hint: 'Leave now() and uuid() out of it.',
  })
}

/** Whether the path is what the glob describes. Each part is taken where it first stands, so nothing is tried twice. */
function matches({ parts }: Glob, path: string): boolean {
  const first = parts[0] as string
  const last = parts[parts.length - 1] as string
  if (parts.length === 1) return path === first
  if (!path.startsWith(first)) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = path.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return path.length - last.length >= at && path.endsWith(last)
}

/** What a request asks for, as far as `allow` looks. */
export interface Asked {
  readonly method: string
  /** Without its query; undefined while a base that draws on the credential is not known yet. */
  readonly path: string | undefined
}

/** Whether `allow` lets this caller use the connection at all. */
export function allowsCaller(route: Pick<Route, 'connection'>, principal: Principal): boolean {
  const { profiles, projects } = route.connection.allow
  if (profiles && !(principal.profile !== undefined && profiles.includes(principal.profile))) return false
  return !projects || projects.some((project) => principal.projects.includes(project))
}

/** The longest literal prefix of `allow.paths` that matches; 0 where there is no rule; -1 where none matches. */
function pathRank(route: Route, path: string | undefined): number {
  if (route.paths.length === 0 || path === undefined) return 0
  let best = -1
  for (const glob of route.paths) if (glob.literal > best && matches(glob, path)) best = glob.literal
  return best
}

/**
 * The one connection that serves this request, among those that reach the destination (R2).
 * `named` is the client's `Locum-Connection`. Throws connection_not_found, not_allowed,
 * connection_ambiguous.
 */
export function chooseRoute(
  routes: readonly Route[],
  principal: Principal,
  asked: Asked,
  destination: string,
  named: string | undefined,
): Route {
  if (routes.length === 0) throw noConnection(destination)
  let best: Route | undefined
  let bestRank = -1
  let tied: string[] = []
  let nameFits = false
  for (const route of routes) {
    if (named !== undefined && route.connection.name !== named) continue
    nameFits = true
    if (!allowsCaller(route, principal) || route.connection.allow.methods?.includes(asked.method) === false)
      continue
    const rank = pathRank(route, asked.path)
    if (rank < 0 || rank < bestRank) continue
    if (rank > bestRank) tied = []
    tied.push(route.connection.name)
    best = route
    bestRank = rank
  }
  if (named !== undefined && !nameFits) throw noConnection(destination, named)
  if (!best) {
    throw new LocumError(
      'not_allowed',
      `No connection to ${destination} lets this caller use ${asked.method} on this path.`,
      {
        hint: "See the connection's `allow`, or run `locum explain`.",
      },
    )
  }
  if (tied.length > 1) {
    throw new LocumError(
      'connection_ambiguous',
      `More than one connection to ${destination} fits: ${tied.join(', ')}.`,
      {
        hint: 'Name one in the header `Locum-Connection`.',
      },
    )
  }
  return best
}

export function noConnection(destination: string, named?: string): LocumError {
  const what =
    named === undefined
      ? `There is no connection to ${destination}.`
      : `No connection of that name reaches ${destination}.`
  return new LocumError('connection_not_found', what, {
    hint: '`locum connection ls` lists the connections; add one to the file.',
  })
}

/** Whether the connection names the host, at whatever scheme and port, or covers it with a wildcard. */
export function namesHost(connection: Connection, host: string): boolean {
  return connection.destinations.some((declared) => covers(declared, { ...declared, host, wildcard: false }))
}

/** Whether the connection reaches the exact destination. */
export function reaches(connection: Connection, asked: Destination): boolean {
  return connection.destinations.some((declared) => covers(declared, asked))
}

/**
 * Where `/c/NAME/…` leads: the connection's `base`, or else its only exact destination. Throws
 * bad_request where there is neither, placeholder_unknown where a variable of it has no value,
 * connection_not_found where it leads outside the connection.
 */
export function baseOf(route: Route, sources: VariableSources): Base {
  if (route.base && route.base.paths.length > 0) return readBase(route, sources)
  let base = fixedBases.get(route)
  if (!base) {
    base = readBase(route, sources)
    fixedBases.set(route, base)
  }
  return base
}

/** The bases that hold no variable. */
const fixedBases = new WeakMap<Route, Base>()

function readBase(route: Route, sources: VariableSources): Base {
  const { connection } = route
  if (!route.base) {
    const [only, more] = connection.destinations
    if (!only || more || only.wildcard) {
      throw new LocumError(
        'bad_request',
        `The connection \`${connection.name}\` does not say which of its destinations the gateway means.`,
        {
          hint: 'Give it a `base`: https://host/path/',
        },
      )
    }
    return parseBase(destinationText(only))
  }
  const base = parseBase(fill(route.base, sources, () => {}))
  if (!reaches(connection, base.candidate.destination)) {
    // Without the name: it may be drawn from a credential.
    throw new LocumError(
      'connection_not_found',
      `The base of \`${connection.name}\` leads outside its destinations.`,
      {
        hint: "What its variables stand for must make a host that is among the connection's destinations.",
      },
    )
  }
  if (!route.base.paths.some(({ root }) => root === 'Auth')) return base
  const text = fill(
    route.base,
    sources,
    () => {},
    (value, { root }) => (root === 'Auth' ? '*' : value),
  )
  const path = text.indexOf('/', text.indexOf('//') + 2)
  const end = path < 0 ? text.length : path
  return { ...base, shown: { origin: text.slice(0, end), prefix: text.slice(end).replace(/\/+$/, '') } }
}
