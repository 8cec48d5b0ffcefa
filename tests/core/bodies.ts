import { type BodyKind, kindOfBody, planBody } from '../../core/body.ts'
import type { SecretCollector, VariableSources } from '../../core/placeholder.ts'
import type { Connection } from '../../core/words.ts'
import { makeCaller, makeRoute } from './kit.ts'

export const FRESH = 'locum-fresh-boundary'

export interface Made {
  readonly bytes: Buffer
  readonly names: readonly string[]
  readonly type: string | undefined
}

/** A head's fields, as the core sees them. */
export function fieldsOf(pairs: Readonly<Record<string, string>>) {
  const names = Object.keys(pairs).map((name) => name.toLowerCase())
  const values = Object.values(pairs)
  return { names, values, get: (asked: string) => values[names.indexOf(asked)] }
}

export function sourcesOf(key: string): VariableSources {
  return {
    auth: { values: { API_Key: key, Other: { a: [1, 'two'] }, Flag: true }, plain: [] },
    caller: makeCaller(),
  }
}

/** What a connection makes of a body; undefined where it passes as it came. */
export function made(
  connection: Partial<Connection>,
  type: string,
  body: string | Buffer,
  x: { key?: string; method?: string; collect?: SecretCollector } = {},
): Made | undefined {
  const { key = 'sk_live_1', method = 'POST', collect = () => {} } = x
  const { body: rules } = makeRoute({ method: 'raw', ...connection })
  const fields = fieldsOf(type === '' ? {} : { 'Content-Type': type })
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const kind: BodyKind | undefined = rules && kindOfBody(rules, { method, fields }, bytes.length === 0)
  const use = rules && kind && planBody(rules, kind, { method, fields, bytes, fresh: FRESH })
  if (!use) return undefined
  const text = use.write(sourcesOf(key), collect)
  return { bytes: Buffer.from(text, use.latin1 ? 'latin1' : 'utf8'), names: use.names, type: use.type }
}

/** The same as text. */
export function madeText(...args: Parameters<typeof made>): string | undefined {
  return made(...args)?.bytes.toString()
}
