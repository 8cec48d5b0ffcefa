import { CHARSET_FIELD, checkCharsetParameter } from './charset.ts'
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
  const charsets: string[] = []
  for (const { name, from, to } of parametersOf(text)) {
    const value = from + valueStart(text.slice(from, to))
    if (name === CHARSET_FIELD) charsets.push(text.slice(value, to))
    if (!names.has(name)) continue
    const holes = holesInValue(text.slice(value, to), standIns)
    if (holes.length > 0)
      found.push({ name, splices: holes.map((hole) => spliceOf(hole, value, encodePercent)) })
  }
  if (found.length > 0) charsets.forEach(checkCharsetParameter)
  return found
}
