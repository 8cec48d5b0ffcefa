import { checkMemberName, textsIn } from '../core/common-body.ts'
import { parseConfiguredTemplate } from '../core/configured.ts'
import { parsePointer } from '../core/json-pointer.ts'
import { parsePath, type VariablePath } from '../core/placeholder.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { checkHeaderName } from '../core/slots.ts'
import { checkStandIn } from '../core/stand-ins.ts'
import type { CommonBody, Slots } from '../core/words.ts'
import type { Path } from './document.ts'
import type { ConnectionEntry } from './file-schema.ts'
import { attempt, type Report } from './report.ts'

/** Reports variables that the connection's method does not have. */
export type VariableCheck = (paths: readonly VariablePath[], path: Path) => void

export function readSlots({ slots }: ConnectionEntry): Slots | undefined {
  return slots && { ...slots, headers: slots.headers?.map((name) => name.toLowerCase()) }
}

/** Slots and stand-ins. */
export function checkSlots(
  { slots, placeholders }: ConnectionEntry,
  check: VariableCheck,
  problem: Report,
): void {
  slots?.headers?.forEach((name, i) => {
    attempt(problem, ['slots', 'headers', String(i)], () => checkHeaderName(name))
  })
  slots?.json?.forEach((text, i) => {
    attempt(problem, ['slots', 'json', String(i)], () => parsePointer(text))
  })
  const texts = Object.keys(placeholders ?? {})
  for (const [text, variable] of Object.entries(placeholders ?? {})) {
    const path = ['placeholders', text]
    attempt(problem, path, () => checkStandIn(text), 'key')
    const other = texts.find((one) => one !== text && text.includes(one))
    if (other !== undefined) problem(path, `holds another stand-in, ${other}`, 'key')
    const parsed = parsePath(variable)
    if (parsed) check([parsed], path)
    else problem(path, 'expected a variable alone: $Auth.API_Key')
  }
}

export function readQuery(
  { query }: ConnectionEntry,
  check: VariableCheck,
  problem: Report,
): readonly (readonly [string, string])[] | undefined {
  return query && readPairs(query, ['query'], check, problem)
}

export function readBody(
  { body }: ConnectionEntry,
  check: VariableCheck,
  problem: Report,
): CommonBody | undefined {
  if (!body) return undefined
  const { json, form, text } = body
  if (Object.keys(body).length !== 1) problem(['body'], 'expected one of json, form and text')
  else if (text !== undefined) {
    checkText(text, ['body', 'text'], check, problem)
    return { text }
  } else if (form) return { form: readPairs(form, ['body', 'form'], check, problem) }
  else if (json) {
    const object = json as JsonObject
    if (checkJson(object, ['body', 'json'], problem)) {
      for (const [path, inner] of textsIn(object, ['body', 'json'])) checkText(inner, path, check, problem)
    }
    return { json: object }
  }
  return undefined
}

function readPairs(
  named: { readonly [name: string]: string },
  path: Path,
  check: VariableCheck,
  problem: Report,
): (readonly [string, string])[] {
  for (const [name, text] of Object.entries(named)) {
    if (name === '') problem([...path, name], 'a name is empty', 'key')
    checkText(text, [...path, name], check, problem)
  }
  return Object.entries(named)
}

function checkText(text: string, path: Path, check: VariableCheck, problem: Report): void {
  const template = attempt(problem, path, () => parseConfiguredTemplate(text))
  if (template) check(template.paths, path)
}

/** YAML has numbers that JSON has not. */
function checkJson(value: Json, path: Path, problem: Report): boolean {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    problem(path, 'JSON has no such number')
    return false
  }
  if (value === null || typeof value !== 'object') return true
  for (const name of Array.isArray(value) ? [] : Object.keys(value)) {
    attempt(problem, [...path, name], () => checkMemberName(name), 'key')
  }
  return Object.entries(value).every(([name, inner]) => checkJson(inner, [...path, name], problem))
}
