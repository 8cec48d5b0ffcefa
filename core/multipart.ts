import { CHARSET_FIELD, checkCharsetField, leavesAscii } from './charset.ts'
import { LocumError } from './errors.ts'
import { utf8Text } from './percent.ts'
import { checkCount, findHoles } from './placeholder.ts'
import type { StandIns } from './stand-ins.ts'
import { type Splice, spliceOf, type Writing } from './writing.ts'

/**
 * `multipart/form-data` (RFC 7578, RFC 2046 §5.1.1), given as latin1 text. Taken apart strictly:
 * what another reader could take for other parts is refused, or left as it is.
 */

/** A field, which no file is. */
export interface Part {
  /** UTF-8 bytes as latin1 text; undefined where readers could disagree on it, or it is a file's. */
  readonly name: string | undefined
  /** Its content. */
  readonly from: number
  readonly to: number
}

export interface Multipart {
  readonly parts: readonly Part[]
  /** Where the boundary stands, each time. */
  readonly boundaries: readonly number[]
}

/** RFC 2046 §5.1.1, without the blank, which nobody sends. */
const BOUNDARY = /^[A-Za-z0-9'()+_,\-./:=?]{1,70}$/
const PARAMETER =
  /;[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:"([^"\\]*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+))[ \t]*/y
/** One name and nothing else: with a backslash or a second parameter, readers disagree. */
const DISPOSITION = /^form-data[ \t]*;[ \t]*name=(?:"([^"\\]*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+))[ \t]*$/i
const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/
/** More is no form's. */
const MOST_HEADERS = 16

/** The boundary of a Content-Type; `place`: where it stands in it. Throws bad_request where there is none, or more than one. */
export function boundaryOf(contentType: string): { boundary: string; place: number } {
  PARAMETER.lastIndex = contentType.indexOf(';')
  let found: { boundary: string; place: number } | undefined
  for (;;) {
    const at = PARAMETER.lastIndex
    if (at < 0 || at === contentType.length) break
    const match = PARAMETER.exec(contentType)
    if (!match) throw malformed('its Content-Type cannot be read')
    if ((match[1] as string).toLowerCase() !== 'boundary') continue
    const boundary = match[2] ?? (match[3] as string)
    if (found || !BOUNDARY.test(boundary)) throw malformed('its Content-Type names no boundary, or two')
    found = { boundary, place: at + match[0].indexOf(boundary, match[0].indexOf('=') + 1) }
  }
  if (!found) throw malformed('its Content-Type names no boundary')
  return found
}

/** Throws bad_request for what is not multipart, or could be taken apart in another way. */
export function readMultipart(text: string, boundary: string): Multipart {
  const delimiter = `--${boundary}`
  if (!text.startsWith(delimiter)) throw malformed('it does not begin with its boundary')
  const parts: Part[] = []
  const boundaries: number[] = []
  let at = 0
  for (;;) {
    boundaries.push(at + 2)
    const behind = at + delimiter.length
    if (text.startsWith('--', behind)) {
      const rest = text.slice(behind + 2)
      if (rest !== '' && rest !== '\r\n') throw malformed('something stands behind its last boundary')
      return { parts, boundaries }
    }
    if (!text.startsWith('\r\n', behind)) throw malformed('a boundary does not stand alone')
    const next = text.indexOf(delimiter, behind)
    if (next < 0) throw malformed('its last boundary is missing')
    if (!text.startsWith('\r\n', next - 2) || next - 2 < behind + 2) {
      throw malformed('a boundary stands within a part')
    }
    parts.push(readPart(text, behind + 2, next - 2))
    at = next
  }
}

function readPart(text: string, from: number, to: number): Part {
  const end = text.startsWith('\r\n', from) ? from - 2 : text.indexOf('\r\n\r\n', from)
  if (end < 0 || end + 4 > to) throw malformed('a part has no end to its headers')
  const lines = end < from ? [] : text.slice(from, end).split('\r\n')
  if (lines.length > MOST_HEADERS) throw malformed('a part has too many headers')
  let disposition: string | undefined
  let named = true
  for (const line of lines) {
    const match = HEADER.exec(line)
    if (!match) throw malformed('a header of a part cannot be read')
    const header = (match[1] as string).toLowerCase()
    if (header === 'content-disposition') {
      if (disposition !== undefined) throw malformed('a part has two dispositions')
      disposition = match[2] as string
    } else if (header === 'content-transfer-encoding') named = false
    else if (header === 'content-type') named &&= leavesAscii(match[2] as string)
  }
  const match = named && disposition !== undefined ? DISPOSITION.exec(disposition) : null
  return { name: match ? (match[1] ?? match[2]) : undefined, from: end + 4, to }
}

/**
 * The placeholders in the fields of these names. Nothing where there is none; else the boundary is
 * written anew in the same step: whoever chose the old one could find out about a value by
 * whether it ends the part in which it stands.
 */
export function findParts(
  text: string,
  { parts, boundaries }: Multipart,
  names: ReadonlySet<string>,
  standIns: StandIns | undefined,
  boundary: { old: string; fresh: string },
): { splices: Splice[]; names: string[] } {
  const found: Splice[] = []
  const seen = new Set<string>()
  for (const { name, from, to } of parts) {
    if (name === undefined || !names.has(name)) continue
    for (const hole of findHoles(text.slice(from, to), standIns)) {
      found.push(spliceOf(hole, from, utf8Text))
      seen.add(name)
    }
  }
  if (found.length === 0) return { splices: [], names: [] }
  checkCount(found.length)
  for (const { name, from, to } of parts) if (name === CHARSET_FIELD) checkCharsetField(text.slice(from, to))
  const fresh: Writing = { write: () => boundary.fresh, expressions: [], paths: [] }
  const delimiters = boundaries.map((from) => ({ ...fresh, from, to: from + boundary.old.length }))
  return { splices: [...found, ...delimiters].sort((a, b) => a.from - b.from), names: [...seen] }
}

function malformed(why: string): LocumError {
  return new LocumError(
    'bad_request',
    `The body is not multipart/form-data that can be read in one way: ${why}.`,
  )
}
