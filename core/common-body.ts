import { type CommonParameter, compileParameters } from './common-query.ts'
import { parseConfiguredTemplate } from './configured.ts'
import { LocumError } from './errors.ts'
import { pointerTo } from './json-pointer.ts'
import { encodeString } from './json-slots.ts'
import type { Put, Template } from './placeholder.ts'
import type { Json, JsonObject } from './secret.ts'
import type { CommonBody } from './words.ts'
import { type Writing, writingAll, writingOf } from './writing.ts'

/** A connection's common body, made ready. */
export type BodyRule =
  | { readonly kind: 'json'; readonly members: ReadonlyMap<string, Writing> }
  | { readonly kind: 'form'; readonly fields: readonly CommonParameter[] }
  | { readonly kind: 'text'; readonly text: Writing }

/** The Content-Type of one that is sent as it is. */
export const BODY_TYPES: Readonly<Record<BodyRule['kind'], string>> = {
  json: 'application/json',
  form: 'application/x-www-form-urlencoded',
  text: 'text/plain; charset=utf-8',
}

/** Throws bad_request for a template that is none, and for a member's or a field's name that cannot be. */
export function compileBody(body: CommonBody): BodyRule {
  if ('form' in body) return { kind: 'form', fields: compileParameters(body.form) }
  if ('text' in body) return { kind: 'text', text: writingOf(parseConfiguredTemplate(body.text)) }
  checkNames(body.json)
  const members = Object.entries(body.json).map(([name, value]) => [name, jsonWriting(value)] as const)
  return { kind: 'json', members: new Map(members) }
}

/** A place of a body, by the audit's names, and what stands there. */
export type BodyPlace = { readonly name: string } & Pick<Template, 'expressions' | 'paths'>

/** Where it puts something in. */
export function placesOf(rule: BodyRule): BodyPlace[] {
  const place = (name: string, { expressions, paths }: Omit<BodyPlace, 'name'>) => ({
    name,
    expressions,
    paths,
  })
  if (rule.kind === 'text') return [place('text', rule.text)]
  if (rule.kind === 'form') return rule.fields.map(({ label, template }) => place(`form:${label}`, template))
  return [...rule.members].map(([name, writing]) => place(`json:${pointerTo(name)}`, writing))
}

/** Every text in a configured JSON value that may be a template, with its place. */
export function* textsIn(value: Json, path: readonly string[] = []): Generator<[readonly string[], string]> {
  if (typeof value === 'string') yield [path, value]
  else if (value !== null && typeof value === 'object') {
    for (const [name, inner] of Object.entries(value)) yield* textsIn(inner, [...path, name])
  }
}

const INSIDE: Put = (value) => encodeString(value)
const ALONE: Put = (_value, _expression, json) => JSON.stringify(json)

/** A JSON text; a variable that stands alone keeps its JSON type. */
function jsonWriting(value: Json): Writing {
  if (typeof value === 'string') {
    const template = parseConfiguredTemplate(value)
    const { literals, expressions } = template
    if (expressions.length === 1 && literals.every((literal) => literal === '')) {
      return writingOf(template, ALONE)
    }
    return writingAll(['"', writingOf({ ...template, literals: literals.map(encodeString) }, INSIDE), '"'])
  }
  if (value === null || typeof value !== 'object') return writingAll([JSON.stringify(value)])
  const parts: (string | Writing)[] = []
  const isList = Array.isArray(value)
  for (const [name, inner] of Object.entries(value)) {
    parts.push(parts.length === 0 ? '' : ',', isList ? '' : `${JSON.stringify(name)}:`, jsonWriting(inner))
  }
  return writingAll(isList ? ['[', ...parts, ']'] : ['{', ...parts, '}'])
}

/** A whole JSON object of these members. */
export function objectWriting(members: ReadonlyMap<string, Writing>): Writing {
  return writingAll(['{', ...memberList(members), '}'])
}

/** The members one after the other, with commas between them. */
export function memberList(members: ReadonlyMap<string, Writing>): (string | Writing)[] {
  return [...members].flatMap(([name, value], i) => [`${i === 0 ? '' : ','}${JSON.stringify(name)}:`, value])
}

function checkNames(value: Json): void {
  if (value === null || typeof value !== 'object') return
  for (const [name, inner] of Object.entries(value as JsonObject)) {
    if (!Array.isArray(value)) checkMemberName(name)
    checkNames(inner)
  }
}

/** Throws bad_request for a name that holds a variable. */
export function checkMemberName(name: string): void {
  if (parseConfiguredTemplate(name).expressions.length === 0) return
  throw new LocumError('bad_request', 'A variable stands in the name of a member.', {
    hint: 'Variables stand in values.',
  })
}
