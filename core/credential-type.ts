import type { Json, JsonObject } from './secret.ts'

/** What a credential of some kind is made of: a JSON Schema (draft-07), as OpenFn's adaptors ship them. */
export interface CredentialType {
  readonly name: string
  readonly schema: JsonObject
  /** Grows with every change; 1 at first. */
  readonly version: number
}

/** What a field may hold, by JSON Schema's names. */
export type FieldKind = 'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array' | 'null'

/** One field of a type, for forms and questions. */
export interface TypeField {
  readonly name: string
  readonly title: string
  readonly description: string | undefined
  /** Never shown, asked for without an echo, and searched for in answers. */
  readonly secret: boolean
  readonly required: boolean
  readonly kinds: readonly FieldKind[]
  /** The only values that there are. */
  readonly choices: readonly Json[] | undefined
  /** What it is where nothing is entered. */
  readonly usual: Json | undefined
  readonly example: Json | undefined
}

const KINDS: readonly string[] = ['string', 'integer', 'number', 'boolean', 'object', 'array', 'null']
/** Names of what nobody should see, whether or not a schema says so. */
const TELLING =
  /key|token|secret|pass|credential|private|signature|authorization|basic ?auth|\bpat\b|\bpin\b/i

/** The fields of a schema whose `properties` are an object, in its order. */
export function fieldsOfType({ properties, required }: JsonObject): readonly TypeField[] {
  const needed = Array.isArray(required) ? required : []
  return Object.entries((properties ?? {}) as JsonObject).map(([name, value]) => {
    const rule = (typeof value === 'object' && value !== null ? value : {}) as JsonObject
    const kinds = kindsOf(rule)
    const choices = Array.isArray(rule.enum) ? (rule.enum as readonly Json[]) : undefined
    return {
      name,
      title: textOf(rule.title) ?? name,
      description: textOf(rule.description),
      secret: isSecret(name, rule, kinds, choices),
      required: needed.includes(name),
      kinds,
      choices,
      usual: rule.default,
      example: textOf(rule.placeholder) ?? (Array.isArray(rule.examples) ? rule.examples[0] : undefined),
    }
  })
}

/** Where the schema does not call it one, its name or its title tells. */
function isSecret(
  name: string,
  rule: JsonObject,
  kinds: readonly FieldKind[],
  choices: readonly Json[] | undefined,
): boolean {
  if (rule.writeOnly === true) return true
  if (choices || rule.format === 'uri' || rule.format === 'email') return false
  if (!kinds.includes('string') && !kinds.includes('object') && !kinds.includes('array')) return false
  return TELLING.test(name.replaceAll(/([a-z])([A-Z])|_/g, '$1 $2')) || TELLING.test(textOf(rule.title) ?? '')
}

function kindsOf({ type, anyOf, oneOf }: JsonObject): FieldKind[] {
  const own = Array.isArray(type) ? type : [type]
  const others = [anyOf, oneOf].flatMap((all) => (Array.isArray(all) ? all : []))
  const named = [...own, ...others.flatMap((one) => (one as JsonObject | null)?.type ?? [])]
  const kinds = [...new Set(named.filter((one) => KINDS.includes(one as string)))] as FieldKind[]
  return kinds.length > 0 ? kinds : ['string']
}

/** Whether its tokens come of somebody's consent at a provider. */
export function isOAuthType({ $comment: comment }: JsonObject): boolean {
  return comment === 'OAuth2'
}

/** An answer that was typed, as the field wants it; the text itself where it is none of its kinds. */
export function typedValue({ kinds, choices }: TypeField, answer: string): Json {
  const choice = choices?.find((one) => String(one) === answer)
  if (choice !== undefined) return choice
  if (kinds.includes('string')) return answer
  try {
    return JSON.parse(answer) as Json
  } catch {
    // What is no JSON is what was typed, and the schema says what is wrong with it.
    return answer
  }
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
