import { encodePercent } from './percent.ts'
import type { StandIns } from './stand-ins.ts'
import { holesInValue, parametersOf, valueStart } from './target-slots.ts'
import type { Splice } from './writing.ts'
import { spliceOf } from './writing.ts'

/** A field whose value holds placeholders. */
export interface FieldPlace {
  /** UTF-8 bytes as latin1 text. */
  readonly name: string
  readonly splices: readonly Splice[]
}

/**
 * The placeholders in the fields of these names of an `application/x-www-form-urlencoded` body, given as
 * latin1 text. Throws as `holesInValue`, and placeholder_unknown for one that is none.
 */
export function findFields(
  text: string,
  names: ReadonlySet<string>,
  standIns: StandIns | undefined,
): FieldPlace[] {
  const found: FieldPlace[] = []
  if (names.size === 0 || text === '') return found
  for (const { name, from, to } of parametersOf(text)) {
    if (!names.has(name)) continue
    const value = from + valueStart(text.slice(from, to))
    const holes = holesInValue(text.slice(value, to), standIns)
    if (holes.length > 0)
      found.push({ name, splices: holes.map((hole) => spliceOf(hole, value, encodePercent)) })
  }
  return found
}
