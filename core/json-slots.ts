import { LocumError } from './errors.ts'
import type { JsonPointer } from './json-pointer.ts'
import type { Decoded } from './percent.ts'

/**
 * Finds places in a JSON text without taking it apart, so that whatever is not replaced stays as it
 * was written. Every text here has been read by JSON.parse: it is valid, and only places are looked for.
 */

/** A piece of the text; `name` is the pointer that it was found by. */
export interface JsonPlace {
  readonly name: string
  readonly from: number
  readonly to: number
}

interface Member {
  /** Unescaped; of an item its index. */
  readonly name: string
  /** Of the value. */
  readonly from: number
  readonly to: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const BLANK = /[\t\n\r ]*/y
const SCALAR = /[^\t\n\r ,\]}]*/y

function behindBlanks(text: string, at: number): number {
  BLANK.lastIndex = at
  BLANK.test(text)
  return BLANK.lastIndex
}

/** The place behind the string that begins at `at`. */
function stringEnd(text: string, at: number): number {
  let i = at + 1
  while (text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1
  return i + 1
}

/** The place behind the value that begins at `at`. Never recursive: depth is the client's to choose. */
function valueEnd(text: string, at: number): number {
  let open = 0
  let i = at
  for (;;) {
    const char = text[i]
    if (char === '"') i = stringEnd(text, i)
    else if (char === '{' || char === '[') {
      open++
      i++
    } else if (char === '}' || char === ']') {
      open--
      i++
    } else if (open > 0) i++
    else {
      SCALAR.lastIndex = i
      SCALAR.test(text)
      return SCALAR.lastIndex
    }
    if (open === 0) return i
  }
}

/** The members of the object, or the items of the array, that begins at `at`. */
function* membersAt(text: string, at: number): Generator<Member> {
  const named = text[at] === '{'
  let i = behindBlanks(text, at + 1)
  for (let index = 0; text[i] !== '}' && text[i] !== ']'; index++) {
    let name = String(index)
    if (named) {
      const end = stringEnd(text, i)
      name = unquoted(text.slice(i, end))
      i = behindBlanks(text, behindBlanks(text, end) + 1)
    }
    const to = valueEnd(text, i)
    yield { name, from: i, to }
    i = behindBlanks(text, to)
    if (text[i] === ',') i = behindBlanks(text, i + 1)
  }
}

function unquoted(token: string): string {
  return token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1)
}

/**
 * The strings at the pointers, without their quotes, in order. Throws bad_request where a name on the
 * way to one stands twice: which of the two counts, every reader decides otherwise.
 */
export function findStrings(text: string, pointers: readonly JsonPointer[]): JsonPlace[] {
  const found: JsonPlace[] = []
  if (pointers.length > 0) walk(text, behindBlanks(text, 0), pointers, 0, found)
  return found
}

function walk(
  text: string,
  at: number,
  pointers: readonly JsonPointer[],
  depth: number,
  found: JsonPlace[],
): void {
  const first = text[at]
  if (first === '"') {
    const here = pointers.find(({ steps }) => steps.length === depth)
    if (here) found.push({ name: here.text, from: at + 1, to: stringEnd(text, at) - 1 })
    return
  }
  const deeper = pointers.filter(({ steps }) => steps.length > depth)
  if (deeper.length === 0 || (first !== '{' && first !== '[')) return
  const seen = new Set<string>()
  for (const { name, from } of membersAt(text, at)) {
    const next = deeper.filter(
      ({ steps }) => steps[depth] === name || (first === '[' && steps[depth] === '*'),
    )
    if (next.length === 0) continue
    if (first === '{') once(seen, name)
    walk(text, from, next, depth + 1, found)
  }
}

/** Where the root object's members of these names have their values, and where another could be added. */
export interface RootPlaces {
  readonly values: ReadonlyMap<string, JsonPlace>
  readonly end: number
  readonly empty: boolean
}

/** Throws bad_request for a text that is no object, and for one of the names that stands twice. */
export function findMembers(text: string, names: ReadonlySet<string>): RootPlaces {
  const at = behindBlanks(text, 0)
  if (text[at] !== '{') {
    throw new LocumError(
      'bad_request',
      "The body is no JSON object, so the connection's own cannot be merged.",
    )
  }
  const values = new Map<string, JsonPlace>()
  const seen = new Set<string>()
  let end = at + 1
  let empty = true
  for (const { name, from, to } of membersAt(text, at)) {
    empty = false
    end = to
    if (!names.has(name)) continue
    once(seen, name)
    values.set(name, { name, from, to })
  }
  return { values, end, empty }
}

function once(seen: Set<string>, name: string): void {
  if (seen.has(name)) {
    throw new LocumError(
      'bad_request',
      'A name on the way to a value that Locum sets stands twice in the body.',
      {
        hint: 'Send each member of an object once.',
      },
    )
  }
  seen.add(name)
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** What stands between a string's quotes, unescaped, with the places. */
export function decodeString(text: string): Decoded {
  if (!text.includes('\\')) return { text, starts: undefined }
  let decoded = ''
  const starts: number[] = []
  for (let at = 0; at < text.length; ) {
    starts.push(at)
    const char = text[at] as string
    if (char !== '\\') {
      decoded += char
      at++
      continue
    }
    const kind = text[at + 1] as string
    const unicode = kind === 'u'
    decoded += unicode
      ? String.fromCharCode(Number.parseInt(text.slice(at + 2, at + 6), 16))
      : (ESCAPES[kind] ?? kind)
    at += unicode ? 6 : 2
  }
  starts.push(text.length)
  return { text: decoded, starts }
}

/** A value as it stands between a JSON string's quotes. */
export function encodeString(value: string): string {
  return JSON.stringify(value).slice(1, -1)
}
