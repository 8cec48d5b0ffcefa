import { stringify } from 'yaml'
import type { Scope } from '../core/words.ts'
import { entryOf } from './add.ts'
import { fillTemplate, type Template } from './template.ts'

/**
 * What adding a template would make, as a file that `apply` takes. Secrets are read from the
 * environment; a question that is not answered has its default or example.
 */
export function templateFile(
  template: Template,
  { answers = {}, name = template.name, scope = 'shared' }: FileOptions,
): string {
  const shown: Record<string, string> = {}
  for (const [question, { secret, default: usual, example }] of Object.entries(template.ask)) {
    const answer = answers[question] ?? usual ?? example
    if (!secret && answer !== undefined) shown[question] = answer
  }
  const filled = fillTemplate(template, shown)
  const fields = Object.fromEntries(
    Object.entries(filled.fields).map(([field, text]) => {
      const asked = /^\{(\w+)\}$/.exec(text)?.[1]
      const variable = asked === undefined ? undefined : template.ask[asked]?.variable
      return [field, variable === undefined ? text : { env: variable }]
    }),
  )
  const head = [`# ${template.title}. Its key is made at ${filled.keyAt}`, `# ${template.docs}`]
  return `${head.join('\n')}\n${stringify({
    connections: [entryOf(name, filled, scope)],
    credentials: [{ connection: name, for: scope, fields }],
  })}`
}

interface FileOptions {
  readonly answers?: Readonly<Record<string, string>>
  readonly name?: string
  readonly scope?: Scope
}
