import { CHARSET_FIELD, checkCharsetParameter } from './charset.ts'
import { LocumError } from './errors.ts'
import { decodeName, decodePlaces, encodePercent, encodeSegment } from './percent.ts'
import {
  checkCount,
  cutAt,
  drawsOnAuth,
  type Expression,
  fill,
  findHoles,
  type Hole,
  type SecretCollector,
  type Template,
  targetMayHoldPlaceholder,
  type VariableSources,
} from './placeholder.ts'
import type { SlotRules } from './slots.ts'
import type { StandIns } from './stand-ins.ts'
import { holdsDotSegment, pathOnly } from './target.ts'

/** A client's placeholders in path and query. */
export interface TargetUse {
  readonly path: Template
  /** Without its question mark; undefined where there is none. */
  readonly query: Template | undefined
  /** `path`, `query:NAME`. */
  readonly names: readonly string[]
  readonly drawsOnAuth: boolean
}

/**
 * Finds every placeholder in path and query, raw or percent-encoded. Undefined where there is none.
 * Throws placeholder_not_allowed for one outside a slot, placeholder_unknown for one that is none,
 * bad_request where a parameter names an encoding that hides it.
 */
export function findInTarget(target: string, slots: SlotRules): TargetUse | undefined {
  const { standIns } = slots
  if (!targetMayHoldPlaceholder(target, standIns)) return undefined
  const names = new Set<string>()
  const path = pathOnly(target)
  const inPath = targetMayHoldPlaceholder(path, standIns)
  if (inPath) {
    if (!slots.path) throw outsidePath()
    names.add('path')
  }
  const pathTemplate = cutAt(path, inPath ? holesIn(path, standIns) : [])
  if (path.length === target.length) {
    return { path: pathTemplate, query: undefined, names: [...names], drawsOnAuth: drawsOnAuth(pathTemplate) }
  }
  const query = target.slice(path.length + 1)
  const holes: Hole[] = []
  for (const { name, from, to } of parametersOf(query)) {
    const parameter = query.slice(from, to)
    if (name === CHARSET_FIELD) checkCharsetParameter(parameter.slice(valueStart(parameter)))
    if (!targetMayHoldPlaceholder(parameter, standIns)) continue
    const value = from + valueStart(parameter)
    if (targetMayHoldPlaceholder(query.slice(from, value), standIns) || !slots.query.has(name)) {
      throw outsideQuery(name)
    }
    for (const hole of holesInValue(query.slice(value, to), standIns)) {
      holes.push({ ...hole, from: value + hole.from, to: value + hole.to })
    }
    names.add(`query:${Buffer.from(name, 'latin1')}`)
  }
  checkCount(holes.length)
  const queryTemplate = cutAt(query, holes)
  const draws = drawsOnAuth(pathTemplate) || drawsOnAuth(queryTemplate)
  return { path: pathTemplate, query: queryTemplate, names: [...names], drawsOnAuth: draws }
}

/** Parameters of a query or a form. `name` is decoded: UTF-8 bytes as latin1 text. */
export function* parametersOf(text: string): Generator<{ name: string; from: number; to: number }> {
  for (let from = 0; from <= text.length; ) {
    const and = text.indexOf('&', from)
    const to = and < 0 ? text.length : and
    const parameter = text.slice(from, to)
    const start = valueStart(parameter)
    const name = parameter[start - 1] === '=' ? parameter.slice(0, start - 1) : parameter
    yield { name: decodeName(name), from, to }
    from = to + 1
  }
}

/** Where the value begins in `name=value`; at the end where there is none. */
export function valueStart(parameter: string): number {
  const equals = parameter.indexOf('=')
  return equals < 0 ? parameter.length : equals + 1
}

/** Holes in percent-encoded text, where they stand in it; `+` is a blank to placeholders. */
export function holesIn(text: string, standIns: StandIns | undefined): readonly Hole[] {
  const { text: decoded, starts } = decodePlaces(text)
  const blanked = text.includes('+') ? decodePlaces(text.replaceAll('+', ' ')).text : decoded
  const holes = findHoles(blanked, standIns, decoded)
  if (!starts) return holes
  return holes.map(({ from, to, path }) => ({ from: starts[from] as number, to: starts[to] as number, path }))
}

/**
 * As `holesIn`, in the value of a parameter. Throws placeholder_not_allowed beside a bare `;`: many
 * readers end a parameter there (HTML 4 §B.2.2), and would find the value in another one.
 */
export function holesInValue(text: string, standIns: StandIns | undefined): readonly Hole[] {
  const holes = holesIn(text, standIns)
  if (holes.length === 0 || !text.includes(';')) return holes
  throw new LocumError(
    'placeholder_not_allowed',
    'There is a placeholder in a parameter with a semicolon, behind which many begin another one.',
    { hint: 'Percent-encode the semicolon: %3B' },
  )
}

/**
 * Path and query with their values, percent-encoded. Throws placeholder_unknown, and
 * placeholder_not_allowed for a value that cannot stand there: one with a control character (R9), and
 * in a path one that is empty or makes a dot segment.
 */
export function fillTarget(use: TargetUse, sources: VariableSources, collect: SecretCollector): string {
  const path = fill(use.path, sources, collect, (value, variable) => {
    if (value === '') throw unfit(variable, 'a path', 'it is empty')
    checkControls(value, variable, 'a path')
    return encodeSegment(value)
  })
  if (use.path.paths.length > 0 && holdsDotSegment(path)) {
    throw unfit(use.path.expressions[0] as Expression, 'this path', 'it would lead to another one')
  }
  return use.query ? `${path}?${fill(use.query, sources, collect, parameterText)}` : path
}

/** A value as it stands in a query. Throws placeholder_not_allowed for one with a control character (R9). */
export function parameterText(value: string, variable: Expression): string {
  checkControls(value, variable, 'a query')
  return encodePercent(value)
}

function checkControls(value: string, variable: Expression, where: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\x00-\x1f\x7f]/.test(value)) {
    throw unfit(variable, where, 'it holds a line break or a control character')
  }
}

function unfit({ text }: Expression, where: string, why: string): LocumError {
  return new LocumError(
    'placeholder_not_allowed',
    `The value of \`${text}\` cannot stand in ${where}: ${why}.`,
    {
      hint: 'Enter the credential again, or send the value in a header.',
    },
  )
}

function outsidePath(): LocumError {
  return new LocumError(
    'placeholder_not_allowed',
    'There is a placeholder in the path, which is no slot of this connection.',
    { hint: 'Send the secret in a header, or let the connection say: slots: { path: true }' },
  )
}

function outsideQuery(name: string): LocumError {
  const known = /^[\w.-]{1,64}$/.test(name) ? name : 'NAME'
  return new LocumError(
    'placeholder_not_allowed',
    'There is a placeholder in the query, in no parameter that is a slot of this connection.',
    { hint: `Send the secret in a header, or let the connection say: slots: { query: [${known}] }` },
  )
}
