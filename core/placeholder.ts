import { LocumError } from './errors.ts'
import { decodePercent } from './percent.ts'
import type { Json, JsonObject } from './secret.ts'
import { SHORTEST_SECRET } from './secret-forms.ts'
import type { StandIns } from './stand-ins.ts'
import type { AuthValues, Caller } from './words.ts'

/** `$Auth.Response.Body.items[0].id`, taken apart. */
export interface VariablePath {
  /** As it is written, with its `$`. */
  readonly text: string
  readonly root: 'Auth' | 'User' | 'Api'
  readonly steps: readonly (string | number)[]
}

/** What an administrator works out of variables. */
export interface Formula {
  /** For people: what it draws on. */
  readonly text: string
  /** As it is written. */
  readonly source: string
  /** `Auth` where anything of it is. */
  readonly root: VariablePath['root']
  readonly variables: readonly VariablePath[]
  /** Whether it may be another one the next time, for the same values. */
  readonly volatile: boolean
  /** `made`: what it made of secrets on the way. Throws placeholder_unknown where it has no value. */
  run(sources: VariableSources): { readonly value: Json; readonly made: readonly string[] }
}

/** What stands in a hole. */
export type Expression = VariablePath | Formula

/** Text with holes: `literals[0] expressions[0] literals[1] …`; there is one literal more than expressions. */
export interface Template {
  readonly literals: readonly string[]
  readonly expressions: readonly Expression[]
  /** Every variable that they draw on. */
  readonly paths: readonly VariablePath[]
}

/** What a template may draw on. `auth` is left out where no credential is open. */
export interface VariableSources {
  readonly auth?: AuthValues
  readonly caller: Caller
  /** Unix ms; this very moment where it is left out. */
  readonly now?: number
}

/** In the fields of a head, in a target, in a body: a few bytes each, they could ask for more than memory holds. */
const MOST = 256
const OPENING = /(?:<<|\{\{)\s*\$(?:auth|user|api)\b/i
/** Linear in the text: what is inside is trimmed afterwards. */
const HOLE = /<<(\s*\$[^<>]*)>>|\{\{([^{}]*)\}\}/g
const PATH = /^\$(Auth|User|Api)((?:\.[A-Za-z0-9_-]+|\[\d{1,6}\])+)$/
const STEP = /\.([A-Za-z0-9_-]+)|\[(\d+)\]/g
/** What could take a value's first characters for the rest of a percent-code. */
const HALF_CODE = /%[0-9A-Fa-f]?$/

/** Whether a client's text holds, or seems to hold, a placeholder. Other people's `{{…}}` do not count. */
export function mayHoldPlaceholder(text: string, standIns?: StandIns): boolean {
  return (text.includes('$') && OPENING.test(text)) || (standIns?.any.test(text) ?? false)
}

/** As `mayHoldPlaceholder`, for what stands in a request target or a form, where any of it may be percent-encoded. */
export function targetMayHoldPlaceholder(target: string, standIns?: StandIns): boolean {
  if (mayHoldPlaceholder(target, standIns)) return true
  if (!/[%+]/.test(target)) return false
  // In a query, many read `+` as a blank (URL Standard §5.1). No stand-in holds one.
  if (mayHoldPlaceholder(decodePercent(target.replaceAll('+', ' ')))) return true
  return standIns?.any.test(decodePercent(target)) ?? false
}

/** `$Auth.API_Key` → its steps. Undefined where the text is no path. */
export function parsePath(text: string): VariablePath | undefined {
  const match = PATH.exec(text)
  if (!match) return undefined
  const steps: (string | number)[] = []
  for (const step of (match[2] as string).matchAll(STEP)) steps.push(step[1] ?? Number(step[2]))
  if (typeof steps[0] === 'number') return undefined
  return { text, root: match[1] as VariablePath['root'], steps }
}

/** A placeholder in a text: where it stands, and what it is replaced by. */
export interface Hole {
  readonly from: number
  readonly to: number
  readonly path: VariablePath
}

/**
 * Every placeholder in a client's text, in order. `written`: the text in which stand-ins are looked
 * for, where it is another, character by character. Throws placeholder_unknown where something that
 * opens like a placeholder is not one, placeholder_not_allowed where one completes a percent-code:
 * the value would be read as another, and an echo of that would not be found.
 */
export function findHoles(text: string, standIns?: StandIns, written: string = text): readonly Hole[] {
  const holes: Hole[] = []
  let last = 0
  const between = (to: number) => {
    if (mayHoldPlaceholder(text.slice(last, to))) throw unclosed()
    if (!standIns) return
    for (const { 0: found, index } of written.slice(last, to).matchAll(standIns.each)) {
      const from = last + index
      holes.push({ from, to: from + found.length, path: standIns.paths.get(found) as VariablePath })
    }
  }
  for (const { 0: hole, 1: angled, 2: braced, index: from } of text.matchAll(HOLE)) {
    const inside = ((angled ?? braced) as string).trim()
    const path = parsePath(inside)
    if (path) {
      between(from)
      last = from + hole.length
      holes.push({ from, to: last, path })
    } else if (mayHoldPlaceholder(hole)) throw unknownPlaceholder(inside)
  }
  between(text.length)
  checkCount(holes.length)
  for (const { from } of holes) if (HALF_CODE.test(text.slice(Math.max(0, from - 2), from))) throw halfCode()
  return holes
}

/** Throws too_large for more placeholders than anybody needs. */
export function checkCount(count: number): void {
  if (count > MOST)
    throw new LocumError('too_large', `There are more than ${MOST} placeholders in one place.`)
}

/** The text around the holes, and what they are. */
export function cutAt(text: string, holes: readonly Hole[]): Template {
  const literals: string[] = []
  let last = 0
  for (const { from, to } of holes) {
    literals.push(text.slice(last, from))
    last = to
  }
  literals.push(text.slice(last))
  const paths = holes.map(({ path }) => path)
  return { literals, expressions: paths, paths }
}

/** A template of pieces. */
export function templateOf(literals: readonly string[], expressions: readonly Expression[]): Template {
  return { literals, expressions, paths: expressions.flatMap(variablesOf) }
}

/** What an expression draws on. */
function variablesOf(expression: Expression): readonly VariablePath[] {
  return 'run' in expression ? expression.variables : [expression]
}

/** Whether it may be another text the next time, for the same values. */
export function isVolatile({ expressions }: Pick<Template, 'expressions'>): boolean {
  return expressions.some((one) => 'run' in one && one.volatile)
}

/** A client's text (header value, decoded Basic) into a template. Throws as `findHoles`. */
export function parseClientTemplate(text: string, standIns?: StandIns): Template {
  return cutAt(text, findHoles(text, standIns))
}

function unclosed(): LocumError {
  return new LocumError('placeholder_unknown', 'A placeholder is opened but not closed.', {
    hint: 'Write it as <<$Auth.API_Key>> or {{$Auth.API_Key}}.',
  })
}

function halfCode(): LocumError {
  return new LocumError(
    'placeholder_not_allowed',
    'A placeholder stands right behind a percent sign, as if its value were part of a percent-code.',
    { hint: 'Put another character between the two.' },
  )
}

function unknownPlaceholder(inside: string): LocumError {
  const shown = /^[$\w.[\]-]{1,100}$/.test(inside) ? `\`${inside}\`` : 'What stands in it'
  return new LocumError('placeholder_unknown', `${shown} is not a variable.`, {
    hint: 'Variables are $Auth.NAME, $User.NAME and $Api.NAME; letters count as they are written.',
  })
}

function descend(from: Json | undefined, steps: readonly (string | number)[]): Json | undefined {
  let at = from
  for (const step of steps) {
    if (at === null || typeof at !== 'object') return undefined
    if (typeof step === 'number') at = Array.isArray(at) ? at[step] : undefined
    else at = !Array.isArray(at) && Object.hasOwn(at, step) ? (at as JsonObject)[step] : undefined
  }
  return at
}

/** The value of a path; undefined where there is none. */
export function lookUp(path: VariablePath, sources: VariableSources): Json | undefined {
  const [first, ...rest] = path.steps as [string, ...(string | number)[]]
  if (path.root === 'Auth') {
    const { auth } = sources
    if (!auth || !Object.hasOwn(auth.values, first)) return undefined
    const [second, third] = rest
    if (typeof third === 'string' && auth.caseless?.includes(`${first}.${second}`))
      return descend(auth.values[first], [second as string, third.toLowerCase(), ...rest.slice(2)])
    return descend(auth.values[first], rest)
  }
  const { principal, sessionId } = sources.caller
  if (path.root === 'Api') return first === 'Session_Id' && rest.length === 0 ? sessionId : undefined
  if (first === 'Claims') return descend(principal.claims, rest)
  if (rest.length > 0) return undefined
  if (first === 'Id') return principal.id
  if (first === 'Email') return principal.email
  if (first === 'Profile') return principal.profile
  return undefined
}

/** Whether a template draws on the credential. */
export function drawsOnAuth({ paths }: Pick<Template, 'paths'>): boolean {
  return paths.some(({ root }) => root === 'Auth')
}

/** Takes what a template was filled with, so that the answer can be searched for it. */
export type SecretCollector = (value: string) => void

/** Encodes a value, as text and as it is kept, for the place of its expression. */
export type Put = (value: string, expression: Expression, json: Json) => string

/**
 * Fills the holes, in one pass (R6). Objects and arrays become JSON text. `put` sees each value
 * before it stands in the text and may encode it. `collect` is told every text in a secret value, and what a
 * formula made of one. Throws placeholder_unknown where an expression has no value.
 */
export function fill(
  template: Template,
  sources: VariableSources,
  collect: SecretCollector,
  put: Put = (value) => value,
): string {
  let text = template.literals[0] as string
  for (let i = 0; i < template.expressions.length; i++) {
    const expression = template.expressions[i] as Expression
    const value = expressionValue(expression, sources, collect)
    const written = typeof value === 'string' ? value : JSON.stringify(value)
    const encoded = put(written, expression, value)
    if (expression.root === 'Auth' && sources.auth) {
      // As it stands in the request it may be encoded once more on its way back.
      const inside = withoutQuotes(encoded, value)
      if (inside !== written && isSearched(expression, written, sources.auth)) collect(inside)
    }
    text += encoded + template.literals[i + 1]
  }
  return text
}

/** The value of an expression; `collect` is told what is secret in it. Throws placeholder_unknown where there is none. */
function expressionValue(expression: Expression, sources: VariableSources, collect: SecretCollector): Json {
  if ('run' in expression) {
    const { value, made } = expression.run(sources)
    if (value === null) throw noValue(expression, sources)
    collectMade(expression, sources, [value, ...made], collect)
    return value
  }
  const value = lookUp(expression, sources)
  if (value === undefined || value === null) throw noValue(expression, sources)
  if (expression.root === 'Auth' && sources.auth)
    collectSecrets(expression.steps[0] as string, value, sources.auth, collect)
  return value
}

/** Of a formula: the secrets that it draws on, what it made of them on the way, and what came of it. */
function collectMade(
  { variables }: Formula,
  sources: VariableSources,
  made: readonly Json[],
  collect: SecretCollector,
): void {
  const { auth } = sources
  if (!auth) return
  let secret = false
  for (const path of variables) {
    if (path.root !== 'Auth') continue
    const name = path.steps[0] as string
    const value = lookUp(path, sources)
    if (value !== undefined) collectSecrets(name, value, auth, collect)
    secret ||= isSecret(name, auth)
  }
  if (secret) for (const one of made) collectTexts(one, collect)
}

function noValue({ text }: Expression, sources: VariableSources): LocumError {
  return new LocumError('placeholder_unknown', `\`${text}\` has no value for this caller and connection.`, {
    hint: hintFor(text, sources),
  })
}

/** The quotes around a JSON text are the body's own, and an echo that is masked stays JSON. */
function withoutQuotes(encoded: string, value: Json): string {
  return typeof value === 'string' && encoded === JSON.stringify(value) ? encoded.slice(1, -1) : encoded
}

function isSearched(expression: Expression, written: string, auth: AuthValues): boolean {
  if (Buffer.byteLength(written) < SHORTEST_SECRET) return false
  return variablesOf(expression).some(
    ({ root, steps }) => root === 'Auth' && !auth.plain.includes(steps[0] as string),
  )
}

/** Whether anything of it is searched for in answers. */
function isSecret(name: string, auth: AuthValues): boolean {
  const within = auth.within?.[name] ?? []
  return [name, ...within].some((one) => !auth.plain.includes(one))
}

function collectSecrets(name: string, value: Json, auth: AuthValues, collect: SecretCollector): void {
  if (!auth.plain.includes(name)) collectTexts(value, collect)
  for (const inner of auth.within?.[name] ?? []) {
    const innerValue = auth.values[inner]
    if (innerValue !== undefined && !auth.plain.includes(inner)) collectTexts(innerValue, collect)
  }
}

function collectTexts(value: Json, collect: SecretCollector): void {
  if (typeof value === 'string') {
    collect(value)
    // Blanks at the ends are lost in a head (RFC 9110 §5.5), and wherever an upstream takes them off.
    if (value.trim() !== value) collect(value.trim())
  } else if (typeof value === 'number') collect(String(value))
  else if (Array.isArray(value)) for (const item of value) collectTexts(item, collect)
  else if (value !== null && typeof value === 'object')
    for (const item of Object.values(value)) collectTexts(item, collect)
  if (value !== null && typeof value === 'object') collect(JSON.stringify(value))
}

function hintFor(text: string, sources: VariableSources): string {
  if (text.startsWith('$User'))
    return 'A caller has $User.Id, and $User.Email, $User.Profile and $User.Claims where they are known.'
  if (text.startsWith('$Api')) return 'There is $Api.Session_Id.'
  const names = Object.keys(sources.auth?.values ?? {})
  if (names.length === 0) return "This connection's method has no $Auth variables."
  return `Here there are: ${names.map((name) => `$Auth.${name}`).join(', ')}.`
}
