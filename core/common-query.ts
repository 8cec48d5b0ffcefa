import { CHARSET_FIELD, checkCharsetParameter } from './charset.ts'
import { parseConfiguredTemplate } from './configured.ts'
import { LocumError } from './errors.ts'
import { encodePercent, utf8Text } from './percent.ts'
import { fill, type Put, type SecretCollector, type Template, type VariableSources } from './placeholder.ts'
import { parametersOf, valueStart } from './target-slots.ts'

/** What a connection sets in the query, or in forms. */
export interface CommonParameter {
  /** UTF-8 bytes as latin1 text. */
  readonly name: string
  /** As it was configured. */
  readonly label: string
  readonly template: Template
}

/** A parameter with its value: `name=value`, encoded. */
export interface FilledParameter {
  readonly name: string
  readonly text: string
}

/** Throws bad_request for a name that is empty or stands twice, and for a template that is none. */
export function compileParameters(pairs: readonly (readonly [string, string])[]): CommonParameter[] {
  const names = new Set<string>()
  return pairs.map(([label, text]) => {
    if (label === '' || names.has(label)) {
      throw new LocumError('bad_request', 'A name is empty, or stands twice.')
    }
    names.add(label)
    const template = parseConfiguredTemplate(text)
    const literals = template.literals.map(encodePercent)
    return { name: utf8Text(label), label, template: { ...template, literals } }
  })
}

/** Their values, each written by `put`. Throws what `put` throws, and placeholder_unknown. */
export function fillParameters(
  common: readonly CommonParameter[],
  sources: VariableSources,
  collect: SecretCollector,
  put: Put,
): FilledParameter[] {
  return common.map(({ name, label, template }) => ({
    name,
    text: `${encodePercent(label)}=${fill(template, sources, collect, put)}`,
  }))
}

/**
 * A query or a form with these parameters in it: each in the place of the client's first of its name,
 * and of all others of that name; else at the end. Throws bad_request where the client's name an
 * encoding that would hide them.
 */
export function mergeParameters(text: string, common: readonly FilledParameter[]): string {
  const missing = new Map(common.map((parameter) => [parameter.name, parameter]))
  const names = new Set(missing.keys())
  const merged: string[] = []
  if (text !== '') {
    for (const { name, from, to } of parametersOf(text)) {
      if (name === CHARSET_FIELD) {
        const parameter = text.slice(from, to)
        checkCharsetParameter(parameter.slice(valueStart(parameter)))
      }
      const own = missing.get(name)
      if (own) {
        merged.push(own.text)
        missing.delete(name)
      } else if (!names.has(name)) merged.push(text.slice(from, to))
    }
  }
  for (const own of missing.values()) merged.push(own.text)
  return merged.join('&')
}
