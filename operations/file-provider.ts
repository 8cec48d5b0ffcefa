import type { AuthMethod, ProviderRules } from '../core/auth-method.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import type { Path } from './document.ts'
import { withFiles } from './file-certificates.ts'
import type { ProviderEntry } from './file-schema.ts'
import type { Context } from './operation.ts'
import { attempt, type Report } from './report.ts'
import { unknownKey } from './schema.ts'
import { asSource, type ReadText, readFields } from './secret-source.ts'

/** A provider as a file has it. */
export interface DesiredProvider {
  readonly path: Path
  readonly name: string
  readonly method: string
  readonly config: JsonObject
  readonly calls: readonly string[]
  /** The secrets themselves. */
  readonly fields: JsonObject
}

interface Reading extends Pick<Context, 'methods' | 'env'> {
  readonly readText: ReadText
  note(path: Path, says: string): void
}

/** An entry of the file as a provider. What is wrong with it is reported; undefined where that leaves none. */
export async function toProvider(
  entry: ProviderEntry,
  path: Path,
  { methods, env, readText, note }: Reading,
  report: Report,
): Promise<DesiredProvider | undefined> {
  let sound = true
  const problem: Report = (within, ...rest) => {
    sound = false
    report([...path, ...within], ...rest)
  }
  const { name, method: id, ...written } = entry as ProviderEntry & JsonObject
  const method = methods.get(id)
  const rules = method?.provider
  if (!rules) {
    const known = [...methods.values()].filter((one) => one.provider).map((one) => one.id)
    problem(['method'], `no method of providers; there are ${known.join(', ')}`)
    return undefined
  }
  const { given, plain } = splitFields(written, rules, problem)
  const within = rules.fieldsWithin === undefined ? [] : [rules.fieldsWithin]
  for (const key of Object.keys(plain)) {
    if (rules.configKeys.includes(key)) continue
    problem(
      [key],
      unknownKey(key, [
        'name',
        'method',
        ...rules.configKeys,
        ...(within.length > 0 ? within : Object.keys(rules.fields)),
      ]),
      'key',
    )
  }
  for (const [key, value] of given) noteOpenSecret(method, key, value, [...path, ...within, key], note)
  const fields = await readFields({ ...Object.fromEntries(given) }, env, readText, (place, says) =>
    problem([...within, ...place], says),
  )
  for (const [key, { required }] of Object.entries(rules.fields)) {
    const value = fields[key]
    if (value === undefined && required) problem(within, `\`${key}\` is missing`)
    else if (value !== undefined && (typeof value !== 'string' || value === ''))
      problem([...within, key], 'expected a text')
  }
  const config = await withFiles(plain, rules.configFiles ?? [], readText, problem, [])
  if (!sound) return undefined
  attempt(problem, [], () => rules.checkConfig?.(config, Object.keys(fields)))
  return sound ? { path, name, method: id, config, calls: rules.endpoints(config), fields } : undefined
}

/** What is sealed, and all the rest. */
function splitFields(
  written: JsonObject,
  { fields, fieldsWithin }: ProviderRules,
  problem: Report,
): { given: [string, Json][]; plain: JsonObject } {
  const named = Object.entries(written)
  const isField = (key: string) => key in fields
  if (fieldsWithin === undefined) {
    return {
      given: named.filter(([key]) => isField(key)),
      plain: Object.fromEntries(named.filter(([key]) => !isField(key))),
    }
  }
  const plain = Object.fromEntries(named.filter(([key]) => key !== fieldsWithin))
  const held = written[fieldsWithin] ?? {}
  if (typeof held !== 'object' || Array.isArray(held)) {
    problem([fieldsWithin], `expected ${Object.keys(fields).join(', ')}`)
    return { given: [], plain }
  }
  const given = Object.entries(held as JsonObject)
  for (const [key] of given)
    if (!isField(key)) problem([fieldsWithin, key], unknownKey(key, Object.keys(fields)), 'key')
  return { given: given.filter(([key]) => isField(key)), plain }
}

/** A secret had better not stand in the file itself: files are copied, committed and shown. */
function noteOpenSecret(
  method: AuthMethod,
  key: string,
  value: unknown,
  path: Path,
  note: Reading['note'],
): void {
  if (!method.provider?.fields[key]?.secret || asSource(value)) return
  note(
    path,
    `the secret \`${key}\` stands in the file in clear; { env: NAME } or { file: PATH } keeps it out`,
  )
}
