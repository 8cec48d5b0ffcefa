import { LocumError } from './errors.ts'
import { type JsonPointer, parsePointer } from './json-pointer.ts'
import { utf8Text } from './percent.ts'
import { compileStandIns, type StandIns } from './stand-ins.ts'
import type { Connection } from './words.ts'

/** Header slots where a connection names none: the usual places of a key. */
export const USUAL_SLOTS: readonly string[] = [
  'authorization',
  'x-api-key',
  'api-key',
  'apikey',
  'x-auth-token',
  'private-token',
  'x-goog-api-key',
  'x-functions-key',
]

const NEVER = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'trailer',
  'upgrade',
  'expect',
])
/** Where a client's placeholder may be replaced. */
export interface SlotRules {
  /** Lower-case names. */
  readonly headers: ReadonlySet<string>
  readonly path: boolean
  /** Names of parameters, UTF-8 bytes as latin1 text; `form` likewise. */
  readonly query: ReadonlySet<string>
  readonly json: readonly JsonPointer[]
  readonly form: ReadonlySet<string>
  readonly standIns: StandIns | undefined
}

/** Throws bad_request for a header that cannot be a slot, a pointer or a stand-in that is none. */
export function compileSlots({ slots = {}, placeholders = {} }: Connection): SlotRules {
  const headers = slots.headers ?? USUAL_SLOTS
  for (const name of slots.headers ?? []) checkHeaderName(name)
  return {
    headers: new Set(headers.map((name) => name.toLowerCase())),
    path: slots.path ?? false,
    query: new Set((slots.query ?? []).map(utf8Text)),
    json: (slots.json ?? []).map(parsePointer),
    form: new Set((slots.form ?? []).map(utf8Text)),
    standIns: compileStandIns(placeholders),
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A header's lower-case name as many upstreams read it, to whom `_` and `-` are one (RFC 3875 §4.1.18). */
function readName(name: string): string {
  return name.replaceAll('_', '-')
}

/** Whether many upstreams read a header's name as one of these; all of them lower case. */
export function isReadAsOne(name: string, others: readonly string[]): boolean {
  const read = readName(name)
  return others.some((other) => readName(other) === read)
}

/**
 * Whether a header can be a slot or a common header (R5). Throws bad_request for what frames the
 * message, belongs to one hop, or speaks to Locum, with `_` for `-` too: many upstreams read it so.
 */
export function checkHeaderName(name: string): void {
  if (!TOKEN.test(name)) throw new LocumError('bad_request', 'That is not a header name.')
  const read = readName(name.toLowerCase())
  if (NEVER.has(read) || read.startsWith('locum-')) {
    throw new LocumError('bad_request', `The header \`${name.toLowerCase()}\` cannot be set or be a slot.`)
  }
}

/**
 * A value as it stands in a head: UTF-8 bytes as latin1 text. Throws placeholder_not_allowed where
 * it holds a control byte (R9), without saying more of it than its variable's name.
 */
export function headerText(value: string, variable: string): string {
  let ascii = true
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) {
      throw new LocumError(
        'placeholder_not_allowed',
        `The value of \`${variable}\` cannot stand in a header: it holds a line break or a control character.`,
        {
          hint: 'Enter the credential again without it.',
        },
      )
    }
    if (code > 0x7e) ascii = false
  }
  return ascii ? value : Buffer.from(value, 'utf8').toString('latin1')
}
