import type { BodyUse } from '../../core/body.ts'
import { mergeParameters } from '../../core/common-query.ts'
import type { Material } from '../../core/directory.ts'
import type { VariableSources } from '../../core/placeholder.ts'
import { pathOnly } from '../../core/target.ts'
import { fillTarget, type TargetUse } from '../../core/target-slots.ts'
import type { Caller } from '../../core/words.ts'
import type { Written } from './draft.ts'
import { type Injection, needlesWith } from './injection.ts'

/** What stands in a request beyond its fields. */
export interface Rest {
  /** With its query. */
  readonly path: string
  readonly target: TargetUse | undefined
  readonly body: BodyUse | undefined
}

/**
 * Puts values into target and body. Clients write something else there each time, so that nothing of
 * it is kept. Throws placeholder_unknown, placeholder_not_allowed.
 */
export function fillRest(
  { path, target, body }: Rest,
  injection: Injection,
  caller: Caller,
  material: Material | undefined,
): Written & { readonly body: Buffer | undefined } {
  const sources: VariableSources = { caller, auth: material?.values.reveal() }
  const secrets = new Set(injection.secrets)
  const collect = (value: string) => secrets.add(value)
  const client = target ? fillTarget(target, sources, collect) : path
  const text = body?.write(sources, collect)
  const slots = new Set(injection.names)
  for (const name of [...(target?.names ?? []), ...injection.queryNames, ...(body?.names ?? [])])
    slots.add(name)
  return {
    path: mergeQuery(client, injection.query),
    slots: [...slots],
    needles: needlesWith(injection, secrets, material),
    unguarded: material?.redact === 'off' && secrets.size > 0,
    body: text === undefined ? undefined : Buffer.from(text, body?.latin1 ? 'latin1' : 'utf8'),
  }
}

function mergeQuery(target: string, common: Injection['query']): string {
  if (common.length === 0) return target
  const path = pathOnly(target)
  return `${path}?${mergeParameters(target.slice(path.length + 1), common)}`
}
