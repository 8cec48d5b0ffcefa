import Type, { type Static, type TSchema } from 'typebox'
import { Errors } from 'typebox/schema'
import { LocumError } from '../core/errors.ts'

/**
 * An object with these keys and no others. `expected`, here and on any schema of ours, is what to write
 * there, for people.
 */
export function closed<T extends Record<string, TSchema>>(properties: T, expected?: string) {
  return Type.Object(properties, { additionalProperties: false, ...(expected ? { expected } : {}) })
}

/**
 * The schema with what it is for, as editors and the published JSON Schema tell it: a sentence or two
 * for whoever writes that key. `default`: what holds where it is left out.
 */
export function about<T extends TSchema>(
  description: string,
  schema: T,
  more: { default?: unknown; examples?: readonly unknown[] } = {},
): T {
  return Type.With(schema, { description, ...more }) as unknown as T
}

export const PrincipalId = Type.String({
  pattern: '^[A-Za-z0-9._@-]{1,128}$',
  expected: 'an id of letters, digits and . _ @ - (at most 128)',
})

export const Name = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
  expected: 'a name of letters, digits and . _ - that begins with a letter or a digit (at most 128)',
})

/** A profile or a project: any short text without control characters. */
export const Label = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f]{1,128}$',
  expected: 'a short text',
})

export const Kind = Type.Enum(['user', 'service'])

export const ScopeText = Type.String({
  pattern: '^(?:shared|profile:[^\\u0000-\\u001f\\u007f]{1,128}|user:[A-Za-z0-9._@-]{1,128})$',
  expected: 'shared, profile:NAME or user:ID',
})

/** For whom a principal may call. */
export const ActForText = Type.String({
  pattern: '^(?:user:\\*|user:[A-Za-z0-9._@-]{1,128}|profile:[^\\u0000-\\u001f\\u007f]{1,128})$',
  expected: 'user:*, user:ID or profile:NAME',
})

/** `90d`, `12h`, `30m`, `45s`, `2w`. */
export const Duration = Type.String({
  pattern: '^[1-9][0-9]{0,5}[smhdw]$',
  expected: 'a duration such as 90d, 12h or 30m',
})

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** ms of a `Duration`. */
export function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * UNITS[text.at(-1) as keyof typeof UNITS]
}

/**
 * When what is rotated takes over (Unix ms); undefined: as usual. Throws bad_request where two times
 * are given.
 */
export function waitOf(when: { after?: string; now?: boolean }, now: number): number | undefined {
  const { after } = when
  if (when.now && after !== undefined)
    throw new LocumError('bad_request', 'The next one takes over now or after a while, not both.')
  if (when.now) return now
  return after === undefined ? undefined : now + durationMs(after)
}

/** One thing that does not fit: where, and what was expected. */
export interface Misfit {
  /** Keys and indices from the root. For an unknown key it ends in that key. */
  readonly path: readonly string[]
  readonly problem: 'unknown' | 'missing' | 'wrong'
  /** `expected …`, `unknown key; did you mean …` */
  readonly says: string
}

interface Finding {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: { readonly [name: string]: unknown }
}

/** Everything in a value that does not fit its schema. Says nothing of the values themselves. */
export function misfits(schema: TSchema, value: unknown): Misfit[] {
  const [fits, findings] = Errors(schema, value) as [boolean, Finding[]]
  if (fits) return []
  const unions = findings.filter(({ keyword }) => keyword === 'anyOf')
  const found: Misfit[] = []
  for (const finding of findings) {
    const union = unions.find(({ schemaPath }) => finding.schemaPath.startsWith(`${schemaPath}/anyOf/`))
    if (union && !isInBranchMeant(union, finding, schema, value)) continue
    if (finding.keyword === 'anyOf' && branchMeant(finding, schema, value) !== undefined) continue
    for (const misfit of describe(finding, schema, value)) {
      if (!found.some((other) => samePath(other.path, misfit.path))) found.push(misfit)
    }
  }
  return found
}

/** The value as its schema's type. Throws bad_request naming the first field that does not fit. */
export function checkInput<S extends TSchema>(schema: S, value: unknown): Static<S> {
  const [first] = misfits(schema, value)
  if (!first) return value as Static<S>
  const where = first.path.length === 0 ? 'The input' : `\`${pathText(first.path)}\``
  throw new LocumError('bad_request', `${where}: ${first.says}.`)
}

/** `connections[0].auth.method` */
export function pathText(path: readonly string[]): string {
  return path.reduce(
    (text, key) => (/^\d+$/.test(key) ? `${text}[${key}]` : text === '' ? key : `${text}.${key}`),
    '',
  )
}

/** The known name nearest to what was written, where it is near enough to be meant. */
function nearest(written: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(written.length / 3)) + 1
  for (const name of known) {
    const distance = editDistance(written.toLowerCase(), name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** How many letters to add, drop, change or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  if (a.length > 64) return Number.POSITIVE_INFINITY
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    const above = rows[i - 1] as number[]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let least = Math.min(
        (above[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (above[j - 1] as number) + (same ? 0 : 1),
      )
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, ((rows[i - 2] as number[])[j - 2] as number) + 1)
      }
      row.push(least)
    }
    rows.push(row)
  }
  return (rows[a.length] as number[])[b.length] as number
}

/** `Did you mean …?`, or else what to do where no name is near. */
export function hintFor(written: string, known: readonly string[], otherwise: string): string {
  const meant = nearest(written, known)
  return meant === undefined ? otherwise : `Did you mean \`${meant}\`?`
}

/** not_found: there is none of that name. `known`: those that there are; `otherwise`: what to do where none is near. */
export function noSuch(kind: string, name: string, known: readonly string[], otherwise: string): LocumError {
  return new LocumError('not_found', `There is no ${kind} \`${name}\`.`, {
    hint: hintFor(name, known, otherwise),
  })
}

/** `unknown key; did you mean …`, `unknown key; known are …` */
export function unknownKey(written: string, known: readonly string[]): string {
  const meant = nearest(written, known)
  if (meant !== undefined) return `unknown key; did you mean \`${meant}\``
  return known.length === 0 ? 'unknown key' : `unknown key; known here: ${known.join(', ')}`
}

function describe(finding: Finding, schema: TSchema, value: unknown): Misfit[] {
  const path = steps(finding.instancePath)
  const node = schemaAt(schema, finding.schemaPath)
  if (finding.keyword === 'additionalProperties') {
    const known = Object.keys((node.properties as object | undefined) ?? {})
    return (finding.params.additionalProperties as string[]).map((key) => ({
      path: [...path, key],
      problem: 'unknown',
      says: unknownKey(key, known),
    }))
  }
  // What stands under a key that is unknown is told of above.
  if (finding.keyword === 'boolean') return []
  if (finding.keyword === 'required') {
    const properties = (node.properties as Record<string, Node> | undefined) ?? {}
    return (finding.params.requiredProperties as string[]).map((key) => ({
      path: [...path, key],
      problem: 'missing',
      says: `missing; expected ${expectation(properties[key] ?? {})}`,
    }))
  }
  return [
    { path, problem: 'wrong', says: `expected ${expectation(node)}${gotText(valueAt(value, path), node)}` },
  ]
}

type Node = { readonly [key: string]: unknown }

/** What a schema wants, in words. */
function expectation(node: Node): string {
  if (typeof node.expected === 'string') return node.expected
  if (Array.isArray(node.anyOf)) return node.anyOf.map((branch) => expectation(branch as Node)).join(', or ')
  if (Array.isArray(node.enum)) return node.enum.join(' or ')
  if (node.const !== undefined) return JSON.stringify(node.const)
  if (node.type === 'array') {
    const least = typeof node.minItems === 'number' ? ` of at least ${node.minItems}` : ''
    return `a list${least}`
  }
  if (node.type === 'object') {
    const keys = Object.keys((node.properties as object | undefined) ?? {})
    return keys.length === 0 ? 'keys with values' : `{ ${keys.join(', ')} }`
  }
  if (node.type === 'boolean') return 'true or false'
  if (node.type === 'string') return 'a text'
  return node.type === 'integer' ? 'a whole number' : 'something else'
}

/** The kind of what is there instead; never the value, which may be a secret. */
function gotText(value: unknown, { type }: Node): string {
  if (value === null) return ', got nothing'
  if (Array.isArray(value)) return ', got a list'
  if (typeof value === 'object') return ', got keys with values'
  if (typeof value === 'number' && (type === 'number' || type === 'integer')) return ''
  if (typeof value === 'number') return ', got a number (write it in quotes where a text is meant)'
  return typeof value === 'boolean' ? ', got true or false' : ''
}

/** Of a union's branches the one whose type the value has is meant; its own findings say more. */
function isInBranchMeant(union: Finding, finding: Finding, schema: TSchema, value: unknown): boolean {
  const branch = finding.schemaPath.slice(union.schemaPath.length).split('/')[2]
  const meant = branchMeant(union, schema, value)
  return meant !== undefined && branch === String(meant)
}

/** Only for objects: the branch that has the most of the keys that were written, at least one. */
function branchMeant(union: Finding, schema: TSchema, value: unknown): number | undefined {
  const at = valueAt(value, steps(union.instancePath))
  if (at === null || typeof at !== 'object' || Array.isArray(at)) return undefined
  const branches = schemaAt(schema, union.schemaPath).anyOf as Node[]
  let best: number | undefined
  let most = 0
  branches.forEach((branch, i) => {
    const known = Object.keys((branch.properties as object | undefined) ?? {})
    const hits = Object.keys(at).filter((key) => known.includes(key)).length
    if (hits > most) {
      best = i
      most = hits
    }
  })
  return best
}

function steps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function schemaAt(schema: TSchema, pointer: string): Node {
  let at = schema as unknown as Node
  for (const step of steps(pointer.slice(1))) at = (at[step] as Node | undefined) ?? {}
  return at
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value
  for (const step of path) at = (at as Record<string, unknown> | null | undefined)?.[step]
  return at
}

function samePath(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((step, i) => step === b[i])
}
