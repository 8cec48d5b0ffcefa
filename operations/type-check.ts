import { Ajv, type ErrorObject } from 'ajv'
import { LocumError } from '../core/errors.ts'
import type { Json, JsonObject } from '../core/secret.ts'

/** Names that a variable can have: `$Auth.NAME`. */
const FIELD = /^[A-Za-z0-9_-]{1,128}$/
/** Characters of a schema as JSON, and its fields. */
const LARGEST = 65_536
const MOST_FIELDS = 200
const EMAIL = /^[^\s@]+@[^\s@]+$/

/** Formats that a person can get wrong; others say nothing. */
const formats = { uri: (text: string) => URL.canParse(text), email: EMAIL }

function compiler(): Ajv {
  return new Ajv({ allErrors: true, strict: false, useDefaults: true, formats, logger: false })
}

/** Throws bad_request for what is no schema of a credential. */
export function checkSchema(value: unknown): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('it is no object')
  const schema = value as JsonObject
  const { type, properties } = schema
  if (type !== 'object') throw wrong('its `type` is not `object`')
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties))
    throw wrong('it has no `properties`')
  const names = Object.keys(properties)
  if (names.length > MOST_FIELDS) throw wrong(`it has more than ${MOST_FIELDS} fields`)
  const odd = names.find((name) => !FIELD.test(name))
  if (odd !== undefined) throw wrong(`the field \`${odd.slice(0, 64)}\` cannot be a variable`)
  if (JSON.stringify(schema).length > LARGEST) throw wrong(`it is larger than ${LARGEST / 1024} KiB`)
  if (holdsReference(schema)) throw wrong('it refers to another place (`$ref`), which is not followed')
  try {
    compiler().compile(forAjv(schema))
  } catch (thrown) {
    throw wrong(`JSON Schema says: ${(thrown as Error).message.slice(0, 200)}`)
  }
  return schema
}

/**
 * Fields as the schema has them, with what is usual where nothing was entered. Throws bad_request, which names fields
 * and rules and never a value.
 */
export function fieldsByType(name: string, schema: JsonObject, given: JsonObject): JsonObject {
  const entered = Object.entries(given).filter(([, value]) => value !== undefined && value !== '')
  const fields = structuredClone(Object.fromEntries(entered)) as Record<string, Json>
  const validate = compiler().compile(forAjv(schema))
  if (validate(fields)) return fields
  const errors = [...new Set((validate.errors ?? []).map(says))].slice(0, 5)
  throw new LocumError('bad_request', `That is no \`${name}\` credential: ${errors.join('; ')}.`, {
    hint: `\`locum type show ${name}\` says what its fields are.`,
  })
}

function says({ instancePath, keyword, params, schemaPath }: ErrorObject): string {
  const field = instancePath.slice(1).replaceAll('/', '.')
  const about = params as Record<string, unknown>
  if (keyword === 'required') return `\`${about.missingProperty}\` is missing`
  if (keyword === 'additionalProperties') return 'there is a field that it has not'
  const where = field === '' ? 'it' : `\`${field}\``
  if (keyword === 'enum')
    return `${where} is one of ${(about.allowedValues as unknown[]).map(String).join(', ')}`
  if (keyword === 'type') return `${where} is no ${String(about.type)}`
  if (keyword === 'format') return `${where} is no ${String(about.format)}`
  if (keyword === 'minLength') return `${where} is too short`
  return `${where} does not hold to \`${schemaPath.split('/').at(-1)}\``
}

/**
 * What Ajv takes of it. The draft by which it was written is known without being fetched; with `$async`, which is no
 * word of JSON Schema, it would say what is wrong later, to nobody.
 */
function forAjv({ $schema: _, $async: __, ...schema }: JsonObject): JsonObject {
  return schema
}

function holdsReference(value: Json): boolean {
  if (value === null || typeof value !== 'object') return false
  return Object.entries(value).some(([name, inner]) => name === '$ref' || holdsReference(inner as Json))
}

function wrong(why: string): LocumError {
  return new LocumError('bad_request', `That is no credential type: ${why}.`, {
    hint: 'A JSON Schema (draft-07): { "type": "object", "properties": { "apiKey": { "type": "string", "writeOnly": true } } }',
  })
}
