import { FOR_HEADER, readFor, refuseActing, servedFor } from './act-for.ts'
import { BASE, barredSlots, checkSlots } from './approval.ts'
import { type BodyKind, isMerged, kindOfBody } from './body.ts'
import { checkCharset } from './charset.ts'
import { placesOf } from './common-body.ts'
import type { Destination } from './destination.ts'
import type { Named } from './directory.ts'
import { type Code, type Entrance, LocumError, statusOf } from './errors.ts'
import { type CredentialExplanation, judgeCredential, takesCredential } from './explain-credential.ts'
import { type Expression, fill, type Template, templateOf, type VariablePath } from './placeholder.ts'
import { baseOf, chooseRoute, namesHost, noConnection, type Route, reaches } from './route.ts'
import { findPlaceholders } from './scan.ts'
import type { SlotRules } from './slots.ts'
import { type Candidate, parseAbsolute, parseGateway, pathOnly } from './target.ts'
import { findInTarget } from './target-slots.ts'
import { chooseTunnel } from './tunnel.ts'
import type { Binding, Caller, Credential, Provider, Scope, Source } from './words.ts'

/** A request that nobody sends. */
export interface Question {
  readonly method: string
  /** `https://host/path`, or `/c/NAME/path` for the gateway. */
  readonly url: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly caller: Caller
  /** Whom a `Locum-For` among the headers names. */
  named(id: string): Promise<Named | null>
  readonly routes: readonly Route[]
  readonly providers: readonly Provider[]
  bound(
    place: string,
    scopes: readonly Scope[],
  ): Promise<{ readonly binding: Binding; readonly credential: Credential } | undefined>
}

/** What would happen to it, and why. No value of a secret, no query, nothing that was opened. */
export interface Explanation {
  readonly method: string
  /** Without its query. */
  readonly url: string
  readonly entrance: Entrance
  readonly caller: { readonly id: string; readonly kind: string; readonly profile?: string }
  /** The user as whom it is served, where `Locum-For` names one. */
  readonly for?: { readonly id: string; readonly profile?: string }
  /** What is dialled; absent where the base draws on the credential. */
  readonly destination?: string
  /** Connections that reach it. */
  readonly considered: readonly { readonly connection: string; readonly fits: boolean }[]
  readonly connection?: {
    readonly name: string
    readonly method: string
    readonly source: Source
    readonly fallback: readonly string[]
  }
  readonly credential?: CredentialExplanation
  /** The client's placeholders, where they stand. */
  readonly slots: readonly SlotExplanation[]
  /** Where in a body of the type that is named a placeholder would be replaced too. */
  readonly bodySlots: readonly string[]
  /** What the connection sets by itself. */
  readonly sets: readonly SetExplanation[]
  /** What a CONNECT for it would do, where that is not to open it: `unmatched` only on a server that is told to. */
  readonly connect?: 'untouched' | 'unmatched'
  /** How it would end, where it would not reach the upstream. */
  readonly error?: {
    readonly code: Code
    readonly status: number
    readonly detail: string
    readonly hint?: string
  }
}

/** One of the first three, and the variables that it draws on. */
export interface SetExplanation {
  readonly header?: string
  readonly query?: string
  /** `json:/tenant`, `form:tenant`, `text`. */
  readonly body?: string
  readonly variables: readonly string[]
}

export interface SlotExplanation {
  /** Lower-case name of a header, `path`, `query:NAME`; `(target)` where it is none. */
  readonly place: string
  readonly placeholders: readonly string[]
  readonly replaced: boolean
}

/** Filled in as far as the request gets. */
type Draft = { -readonly [K in keyof Explanation]: Explanation[K] }

/**
 * Walks a request through the rules of the data plane, in its order, with its functions, and stops
 * where it would be refused. Decrypts nothing. Rejects with what is no LocumError, and with what
 * `bound` does.
 */
export async function explain(question: Question): Promise<Explanation> {
  const { method, url, caller } = question
  const { id, kind, profile } = caller.principal
  const draft: Draft = {
    method,
    url: pathOnly(url),
    entrance: url.startsWith('/') ? 'gateway' : 'forward',
    caller: { id, kind, profile },
    considered: [],
    slots: [],
    bodySlots: [],
    sets: [],
  }
  try {
    await walk(question, draft)
  } catch (thrown) {
    if (!(thrown instanceof LocumError)) throw thrown
    const { code, detail, hint } = thrown
    draft.error = { code, status: statusOf(code, draft.entrance), detail, hint }
  }
  return draft
}

/** How a client that asks for a tunnel would pass untouched; undefined where it would not. */
function passageOf({ url, headers, caller, routes }: Question): Explanation['connect'] {
  if (url.startsWith('/')) return undefined
  const named = headers.find(([name]) => name.toLowerCase() === 'locum-connection')?.[1]
  const directory = {
    routesTo: (asked: Destination) => routes.filter(({ connection }) => reaches(connection, asked)),
    declaresHost: (host: string) => routes.some(({ connection }) => namesHost(connection, host)),
  }
  try {
    const [asked] = parseAbsolute(url, undefined).candidates as [Candidate]
    const { kind } = chooseTunnel(directory, caller, asked.destination, {
      named,
      passesUnmatched: true,
    })
    return kind === 'open' ? undefined : kind
  } catch (thrown) {
    // That, the walk tells.
    if (!(thrown instanceof LocumError)) throw thrown
    return undefined
  }
}

async function walk(written: Question, draft: Draft): Promise<void> {
  checkTarget(written.url)
  const question = { ...written, caller: await servedCaller(written, draft) }
  draft.connect = passageOf(question)
  const { route, candidate, path } = choose(question, draft)
  const { connection } = route
  draft.connection = {
    name: connection.name,
    method: connection.method,
    source: connection.source,
    fallback: connection.fallback,
  }
  draft.sets = [
    ...route.sets.map(({ spelled, template }) => ({ header: spelled, variables: variablesIn(template) })),
    ...route.query.map(({ label, template }) => ({ query: label, variables: variablesIn(template) })),
  ]
  const asked = readSlots(question, route, path, draft)
  const own = readBody(question, route, draft)
  const credential =
    takesCredential(question, route) &&
    (route.needsCredential || [...asked, ...own].some(({ root }) => root === 'Auth'))
      ? await judgeCredential(question, route, candidate, (one) => {
          draft.credential = one
        })
      : undefined
  const barred = credential && barredSlots(connection, credential)
  if (barred) {
    const drawn = draft.slots.filter(({ placeholders }) =>
      placeholders.some((text) => text.startsWith('$Auth.')),
    )
    const names = drawn.flatMap(({ place }) => place.split(', '))
    const scope = draft.credential?.scope as Scope
    checkSlots(connection, barred, candidate ? names : [BASE, ...names], scope)
  }
  const set = [...route.sets, ...route.query].flatMap(({ template }) => template.expressions)
  for (const one of [...asked, ...set, ...own]) checkExpression(one, route, question, credential)
}

/** What the wire refuses before anything else is read. */
function checkTarget(url: string): void {
  if (/^[\x21-\x7e]+$/.test(url) && !/[#\\]/.test(url)) return
  throw new LocumError(
    'bad_request',
    'The URL holds a blank, a fragment or a character that no request can.',
    {
      hint: 'Percent-encode it, and leave out what follows a #.',
    },
  )
}

/** As whom the caller is served. */
async function servedCaller({ caller, headers, named }: Question, draft: Draft): Promise<Caller> {
  const [first, second] = headers.filter(([name]) => name.toLowerCase() === FOR_HEADER)
  if (!first) return caller
  if (caller.mayActFor === undefined) refuseActing()
  if (second) throw new LocumError('bad_request', 'A request is for one user only.')
  const served = servedFor(caller, await named(readFor(first[1])))
  const { id, profile } = served.principal
  draft.for = { id, profile }
  return served
}

/** Headers that speak to Locum never stand in the request that goes on. */
function isOwn(name: string): boolean {
  return /^(?:proxy-authorization$|locum[-_])/i.test(name)
}

function choose(
  question: Question,
  draft: Draft,
): { route: Route; candidate: Candidate | undefined; path: string } {
  const { method, url, headers, caller, routes } = question
  if (draft.entrance === 'gateway') {
    const asked = parseGateway(url)
    if (!asked) throw new LocumError('connection_not_found', 'The gateway answers under /c/NAME/… only.')
    const route = routes.find(({ connection }) => connection.name === asked.name)
    if (!route) throw noConnection('that name')
    const open = route.base?.paths.some(({ root }) => root === 'Auth') !== true
    const base = open ? baseOf(route, { caller }) : undefined
    draft.destination = base?.candidate.text
    const path = base && base.prefix + pathOnly(asked.rest)
    consider([route], question, path, draft)
    const where = draft.destination ?? `the base of \`${asked.name}\``
    chooseRoute([route], caller.principal, { method, path }, where, undefined)
    return { route, candidate: base?.candidate, path: asked.rest }
  }
  const target = parseAbsolute(url, undefined)
  const reaching = (candidate: Candidate) =>
    routes.filter(({ connection }) => reaches(connection, candidate.destination))
  const candidate = (target.candidates.find((each) => reaching(each).length > 0) ??
    target.candidates.at(-1)) as Candidate
  draft.destination = candidate.text
  const path = pathOnly(target.path)
  consider(reaching(candidate), question, path, draft)
  const named = headers.find(([name]) => name.toLowerCase() === 'locum-connection')?.[1]
  const asked = { method, path }
  return {
    route: chooseRoute(reaching(candidate), caller.principal, asked, candidate.text, named),
    candidate,
    path: target.path,
  }
}

/** Each connection that reaches the destination, judged on its own. */
function consider(
  routes: readonly Route[],
  { caller, method }: Question,
  path: string | undefined,
  draft: Draft,
): void {
  draft.considered = routes.map((route) => {
    let fits = true
    try {
      chooseRoute([route], caller.principal, { method, path }, '', undefined)
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      fits = false
    }
    return { connection: route.connection.name, fits }
  })
}

/** Says of every place whether it is a slot; then throws what the first that is none throws. */
function readSlots({ headers }: Question, route: Route, path: string, draft: Draft): VariablePath[] {
  const { slots, secretQuery } = route
  const found: SlotExplanation[] = []
  const variables: VariablePath[] = []
  let refusal: LocumError | undefined
  let inTarget = false
  const read = (place: string, find: () => readonly [place: string, paths: readonly VariablePath[]][]) => {
    try {
      for (const [slot, paths] of find()) {
        variables.push(...paths)
        found.push({ place: slot, placeholders: paths.map(({ text }) => text), replaced: true })
      }
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      found.push({ place, placeholders: [], replaced: false })
      refusal ??= thrown
    }
  }
  read('(target)', () => {
    const use = findInTarget(path, slots)
    if (!use) return []
    inTarget = true
    const inQuery = use.names.filter((name) => name !== 'path').join(', ')
    const places: [string, readonly VariablePath[]][] = []
    if (use.path.paths.length > 0) places.push(['path', use.path.paths])
    if (inQuery !== '') places.push([inQuery, use.query?.paths ?? []])
    return places
  })
  for (const [spelled, value] of headers) {
    if (isOwn(spelled)) continue
    const name = spelled.toLowerCase()
    const fields = fieldsOf([[name, value]])
    read(name, () => findPlaceholders(fields, slots).map(({ template }) => [name, template.paths]))
  }
  draft.slots = found
  if (refusal) throw refusal
  if (inTarget || secretQuery) checkCharset(fieldsOf(headers))
  return variables
}

/** A body is known by its Content-Type alone: without one there is none. Its own placeholders are not. */
function readBody({ method, headers }: Question, route: Route, draft: Draft): Expression[] {
  if (!route.body) return []
  const { slots, common } = route.body
  const fields = fieldsOf(headers)
  const empty = !fields.names.includes('content-type')
  const kind = kindOfBody(route.body, { method, fields }, empty)
  if (kind === undefined) return []
  if (!empty) draft.bodySlots = bodySlotsOf(kind, slots)
  if (common?.kind !== kind || !isMerged(method)) return []
  const places = placesOf(common)
  const sets = places.map((place) => ({ body: place.name, variables: variablesIn(place) }))
  draft.sets = [...draft.sets, ...sets]
  return places.flatMap(({ expressions }) => expressions)
}

/** Each once. */
function variablesIn({ paths }: Pick<Template, 'paths'>): string[] {
  return [...new Set(paths.map(({ text }) => text))]
}

function bodySlotsOf(kind: BodyKind, { json, form }: SlotRules): string[] {
  if (kind === 'text') return []
  if (kind === 'json') return json.map(({ text }) => `json:${text}`)
  return [...form].map((name) => `form:${Buffer.from(name, 'latin1')}`)
}

function fieldsOf(pairs: readonly (readonly [string, string])[]) {
  const names = pairs.map(([name]) => name.toLowerCase())
  const values = pairs.map(([, value]) => value)
  return { names, values, get: (asked: string) => values[names.indexOf(asked)] }
}

/** As far as names go: what a variable of the credential is, or what comes of it, only the credential itself could say. */
function checkExpression(
  expression: Expression,
  { method }: Route,
  { caller }: Question,
  credential: Credential | undefined,
): void {
  const { text, root } = expression
  if (root !== 'Auth') {
    fill(templateOf(['', ''], [expression]), { caller }, () => {})
    return
  }
  const known = method.variables ?? credential?.fieldNames ?? []
  const drawn = 'run' in expression ? [] : [String(expression.steps[0])]
  if (drawn.every((name) => known.includes(name))) return
  throw new LocumError('placeholder_unknown', `\`${text}\` has no value for this caller and connection.`)
}
