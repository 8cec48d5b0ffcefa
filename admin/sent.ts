import type { TSchema } from 'typebox'
import { LocumError } from '../core/errors.ts'
import type { AskedHead } from './asked.ts'

/** Levels of what is sent: more than any input has. */
const DEEPEST = 32

/** What a query says, each member as the schema has it. Throws bad_request. */
export function queryOf(schema: TSchema, query: URLSearchParams, isPaged: boolean): Record<string, unknown> {
  const { properties = {} } = schema as { properties?: Readonly<Record<string, { type?: string }>> }
  const given: Record<string, unknown> = {}
  for (const name of new Set(query.keys())) {
    if (isPaged && (name === 'limit' || name === 'cursor')) continue
    const values = query.getAll(name)
    const { type } = (Object.hasOwn(properties, name) && properties[name]) || {}
    if (type !== 'array' && values.length > 1)
      throw new LocumError('bad_request', `\`${shown(name)}\`: it is there twice.`)
    given[name] = type === 'array' ? values : typedOf(values[0] as string, type)
  }
  return given
}

/** Of a name that nobody knows, what can be told. */
function shown(name: string): string {
  return /^[\w.-]{1,64}$/.test(name) ? name : '…'
}

/** As the type is written in a query; what is none stays a text, which the schema then refuses. */
function typedOf(text: string, type: string | undefined): unknown {
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return type === 'integer' && /^-?\d{1,15}$/.test(text) ? Number(text) : text
}

/** The one JSON object that is sent; an empty body is an empty one. Throws bad_request. */
export function bodyOf({ type }: Pick<AskedHead, 'type'>, body: string): Readonly<Record<string, unknown>> {
  if (body === '') return {}
  if (!/^application\/json\s*(?:;|$)/i.test(type))
    throw new LocumError('bad_request', 'This takes JSON.', {
      hint: 'Send `Content-Type: application/json`.',
    })
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    // Without the parser's error: it would show a piece of the text.
    throw new LocumError('bad_request', 'The body is no JSON.')
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new LocumError('bad_request', 'The body is not one JSON object.')
  checkText(value, 0)
  return value as Record<string, unknown>
}

/** Half a character of UTF-16 is kept as another one, and what is nested without end is no input. Throws bad_request. */
function checkText(value: unknown, depth: number): void {
  if (depth > DEEPEST) throw new LocumError('bad_request', 'The body is nested too deeply.')
  if (typeof value === 'string' && !value.isWellFormed())
    throw new LocumError('bad_request', 'The body holds half a character (a lone surrogate).')
  if (value === null || typeof value !== 'object') return
  for (const [key, member] of Object.entries(value)) {
    checkText(key, depth)
    checkText(member, depth + 1)
  }
}
