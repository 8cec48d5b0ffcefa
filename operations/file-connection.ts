import { isLocalName, judgeAddress, mayDial } from '../core/addresses.ts'
import type { AuthMethod, AuthMethods } from '../core/auth-method.ts'
import { parseConfiguredTemplate } from '../core/configured.ts'
import {
  covers,
  type Destination,
  destinationText,
  isAddress,
  parseDestination,
} from '../core/destination.ts'
import { type Budgets, parseBudget } from '../core/limits.ts'
import { compileBase, compileRoute } from '../core/route.ts'
import type { JsonObject } from '../core/secret.ts'
import { checkHeaderName, headerText } from '../core/slots.ts'
import { parseBase } from '../core/target.ts'
import type { Connection, Source } from '../core/words.ts'
import type { Path } from './document.ts'
import { readCa, withFiles } from './file-certificates.ts'
import { checkUntouched } from './file-intercept.ts'
import type { ConnectionEntry } from './file-schema.ts'
import { checkSlots, readBody, readQuery, readSlots, type VariableCheck } from './file-slots.ts'
import { attempt, type Report } from './report.ts'
import { unknownKey } from './schema.ts'
import type { ReadText } from './secret-source.ts'

const FALLBACKS: Readonly<Record<Source, readonly string[]>> = {
  shared: [],
  'per-profile': ['shared'],
  'per-user': ['profile', 'shared'],
}

/** Stands for a variable while a base is checked. */
const HOLE = 'locum-variable'

/** An entry of the file as a connection. What is wrong with it is reported; undefined where that leaves none. */
export async function toConnection(
  entry: ConnectionEntry,
  methods: AuthMethods,
  readText: ReadText,
  report: Report,
): Promise<Omit<Connection, 'version' | 'managedBy'> | undefined> {
  let sound = true
  const problem: Report = (...args) => {
    sound = false
    report(...args)
  }
  const { method: id, ...given } = entry.auth as { method: string } & JsonObject
  const method = methods.get(id)
  const { provider, written } = splitProvider(given, method, problem)
  const methodConfig = await withFiles(written, method?.configFiles ?? [], readText, problem, ['auth'])
  if (!method) problem(['auth', 'method'], `unknown method; there are ${[...methods.keys()].join(', ')}`)
  else checkMethod(method, methodConfig, entry, problem)

  const destinations = readDestinations(entry, problem)
  const source = entry.source ?? 'shared'
  checkFallback(source, entry.fallback ?? [], problem)
  if (entry.base !== undefined) checkBase(entry.base, destinations, method, problem)
  checkHeaders(entry, method, problem)
  const variables: VariableCheck = (paths, path) => checkVariables(paths, method, path, problem)
  checkSlots(entry, variables, problem)
  const query = readQuery(entry, variables, problem)
  const body = readBody(entry, variables, problem)
  checkOrigins(entry.cors?.origins ?? [], problem)
  if (entry.intercept === false) checkUntouched(entry, problem)
  const ca = entry.ca === undefined ? undefined : await readCa(entry.ca, readText, problem)

  const connection: Omit<Connection, 'version' | 'managedBy'> = {
    name: entry.name,
    destinations,
    ownedWildcard: entry.ownedWildcard ?? false,
    base: entry.base,
    method: id,
    methodConfig,
    provider,
    calls: sound ? method?.endpoints?.(methodConfig) : undefined,
    source,
    fallback: entry.fallback ?? [],
    allow: entry.allow ?? {},
    headers: Object.entries(entry.headers ?? {}),
    slots: readSlots(entry),
    placeholders: entry.placeholders,
    query,
    body,
    corsOrigins: entry.cors?.origins ?? [],
    redact: entry.redact === false ? 'off' : entry.redact,
    allowPrivateNetwork: entry.allowPrivateNetwork ?? false,
    allowPlaintext: entry.allowPlaintext ?? false,
    ca,
    intercept: entry.intercept === false ? false : undefined,
    budget: readBudgets(entry),
  }
  if (!sound) return undefined
  attempt(problem, [], () => compileRoute({ ...connection, version: 1 }, methods))
  return sound ? connection : undefined
}

/** The name of the provider, apart from the method's own keys. Whether there is one is seen when it is applied. */
function splitProvider(
  given: JsonObject,
  method: AuthMethod | undefined,
  problem: Report,
): { provider?: string; written: JsonObject } {
  if (!method?.provider) return { written: given }
  const { provider, ...written } = given
  if (typeof provider === 'string' && provider !== '') return { provider, written }
  if (provider !== undefined) problem(['auth', 'provider'], 'expected the name of a provider')
  else if (method.provider.required)
    problem(['auth'], `\`${method.id}\` needs \`provider\` beside it: the name of one`)
  return { written }
}

function readBudgets({ budget }: ConnectionEntry): Budgets | undefined {
  if (budget === undefined) return undefined
  const { total, perCaller } = budget
  if (total === undefined && perCaller === undefined) return undefined
  return {
    total: total === undefined ? undefined : parseBudget(total),
    perCaller: perCaller === undefined ? undefined : parseBudget(perCaller),
  }
}

function checkMethod(method: AuthMethod, config: JsonObject, entry: ConnectionEntry, problem: Report): void {
  for (const key of Object.keys(config)) {
    if (!method.configKeys.includes(key)) {
      const known = ['method', ...(method.provider ? ['provider'] : []), ...method.configKeys]
      problem(['auth', key], unknownKey(key, known), 'key')
    }
  }
  attempt(problem, ['auth'], () => method.checkConfig?.(config))
  if (method.id === 'basic' && entry.source === undefined) {
    problem(['auth'], 'basic needs `source` beside it: shared, per-profile or per-user')
  }
}

function readDestinations(entry: ConnectionEntry, problem: Report): Destination[] {
  const read: Destination[] = []
  entry.destinations.forEach((text, i) => {
    const path = ['destinations', String(i)]
    const destination = attempt(problem, path, () => parseDestination(text))
    if (!destination) return
    if (read.some((other) => destinationText(other) === destinationText(destination))) {
      problem(path, 'this destination is named twice')
    }
    const kind = kindOfHost(destination.host)
    if (kind !== undefined && !mayDial(kind, entry.allowPrivateNetwork ?? false)) {
      const way = mayDial(kind, true) ? '; say `allowPrivateNetwork: true` if that is meant' : ''
      problem(path, `${destination.host} is a ${kind} address${way}`)
    }
    read.push(destination)
  })
  return read
}

/** What a literal address is, and `localhost`, which is loopback without asking (RFC 6761 §6.3); undefined for a name. */
export function kindOfHost(host: string): ReturnType<typeof judgeAddress> | undefined {
  if (isLocalName(host)) return 'loopback'
  return isAddress(host) ? judgeAddress(host.replace(/^\[|\]$/g, '')) : undefined
}

function checkFallback(source: Source, fallback: readonly string[], problem: Report): void {
  fallback.forEach((name, i) => {
    const path = ['fallback', String(i)]
    if (!FALLBACKS[source].includes(name)) {
      const may = FALLBACKS[source].join(' or ')
      problem(
        path,
        may === '' ? `a ${source} source has no fallback` : `a ${source} source can fall back to ${may} only`,
      )
    } else if (fallback.indexOf(name) < i) problem(path, 'this fallback is named twice')
  })
}

function checkBase(
  text: string,
  destinations: readonly Destination[],
  method: AuthMethod | undefined,
  problem: Report,
): void {
  const template = attempt(problem, ['base'], () => compileBase(text))
  if (!template) return
  checkVariables(template.paths, method, ['base'], problem)
  // Where all of it is somebody's own, each request judges where it leads.
  if (template.literals[0] === '') return
  const base = attempt(problem, ['base'], () => parseBase(template.literals.join(HOLE)))
  if (!base || destinations.some((declared) => covers(declared, base.candidate.destination))) return
  problem(['base'], 'is outside the destinations of this connection')
}

function checkHeaders(entry: ConnectionEntry, method: AuthMethod | undefined, problem: Report): void {
  const seen = new Set<string>()
  for (const [name, text] of Object.entries(entry.headers ?? {})) {
    const path = ['headers', name]
    attempt(problem, path, () => checkHeaderName(name), 'key')
    if (seen.has(name.toLowerCase())) problem(path, 'this header is named twice', 'key')
    seen.add(name.toLowerCase())
    const template = attempt(problem, path, () => parseConfiguredTemplate(text))
    if (!template) continue
    checkVariables(template.paths, method, path, problem)
    if (
      attempt(
        () => {},
        [],
        () => headerText(template.literals.join(''), name),
      ) === undefined
    ) {
      problem(path, 'a header cannot hold line breaks or control characters')
    }
  }
}

/** `$Auth` names that the method does not have would fail each request. */
function checkVariables(
  paths: readonly { readonly text: string; readonly root: string; readonly steps: readonly unknown[] }[],
  method: AuthMethod | undefined,
  path: Path,
  problem: Report,
): void {
  if (!method?.variables) return
  for (const variable of paths) {
    if (variable.root !== 'Auth' || method.variables.includes(String(variable.steps[0]))) continue
    const known = method.variables.map((name) => `$Auth.${name}`).join(', ')
    const says = known === '' ? `\`${method.id}\` has no $Auth variables` : `\`${method.id}\` has ${known}`
    problem(path, `unknown variable ${variable.text}; ${says}`)
  }
}

/** Exact origins (R21): as a browser writes them, never `*` or `null`. */
function checkOrigins(origins: readonly string[], problem: Report): void {
  origins.forEach((origin, i) => {
    const exact =
      URL.canParse(origin) &&
      /^https?:/.test(origin) &&
      new URL(origin).origin === origin &&
      !origin.includes('*')
    if (!exact) problem(['cors', 'origins', String(i)], 'expected an exact origin: https://app.example.com')
  })
}
