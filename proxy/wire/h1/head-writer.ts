import { type Fields, type RequestHead, type ResponseHead, WireError } from '../message.ts'
import { isTrailer } from './field-lines.ts'
import { AUTHORIZATION, EXPECT, HOST, nameOfToken, PLAIN, TOKEN } from './names.ts'

/** A body's framing on the wire. */
export const NONE = 0
export const LENGTH = 1
export const CHUNKED = 2
export const CLOSE = 3
export type Framing = typeof NONE | typeof LENGTH | typeof CHUNKED | typeof CLOSE

/** Beyond 0xff a latin1 write would cut a character down to its low byte, CR and LF among them. */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/
const NOT_IN_TARGET = /[^\x21\x22\x24-\x5b\x5d-\x7e]/
const NOT_IN_HOST = /[^A-Za-z0-9\-._~%!$&'()*+,;=:[\]]/

/** Methods whose request has a body unless it says it has none (RFC 9110 §8.6). */
const BODIED = new Set(['POST', 'PUT', 'PATCH'])

/**
 * A request's head as bytes in latin1: Host first, then the fields, then the framing. Throws WireError
 * malformed where a part of it could be read as something else; no byte of it is in the error. `lines`:
 * the connection's, where more heads will follow.
 */
export function writeRequestHead(head: RequestHead, lines = new LastLines(true)): string {
  if (!TOKEN.test(head.method)) throw unsendable('a method that is not a token')
  if (head.target === '' || NOT_IN_TARGET.test(head.target)) throw unsendable('a target that cannot be sent')
  const { host, contentLength } = head
  if (host === undefined || NOT_IN_HOST.test(host)) throw unsendable('a host that cannot be sent')
  let text = `${head.method} ${head.target} HTTP/1.1\r\nHost: ${host}\r\n${lines.of(head.fields)}`
  if (head.chunked) {
    if (contentLength !== undefined) throw unsendable('a length beside chunked')
    text += 'Transfer-Encoding: chunked\r\n'
  } else if (contentLength !== undefined) text += lengthText(contentLength)
  else if (BODIED.has(head.method)) text += 'Content-Length: 0\r\n'
  if (head.expectContinue) text += 'Expect: 100-continue\r\n'
  if (head.upgrade !== undefined) text += upgradeText(head.upgrade)
  return `${text}\r\n`
}

/**
 * A response's head as bytes in latin1. `connection` is `close`, `keep-alive` or nothing; a 101 names
 * its protocol there instead. Throws WireError malformed, as above.
 */
export function writeResponseHead(
  head: ResponseHead,
  framing: Framing,
  length: number | undefined,
  connection: 'close' | 'keep-alive' | undefined,
  lines = new LastLines(false),
): string {
  const { status, reason } = head
  if (!Number.isInteger(status) || status < 100 || status > 999)
    throw unsendable('a status that is not three digits')
  if (NOT_IN_VALUE.test(reason)) throw unsendable('a reason that cannot be sent')
  let text = `HTTP/1.1 ${status} ${reason}\r\n${lines.of(head.fields)}`
  if (framing === CHUNKED) text += 'Transfer-Encoding: chunked\r\n'
  else if (length !== undefined) text += lengthText(length)
  if (status === 101 && head.upgrade !== undefined) text += upgradeText(head.upgrade)
  else if (connection !== undefined)
    text += connection === 'close' ? 'Connection: close\r\n' : 'Connection: keep-alive\r\n'
  return `${text}\r\n`
}

/** Trailer fields as lines; what must not be a trailer is left out. Throws as above. */
export function writeTrailers(trailers: Fields): string {
  let text = ''
  for (let i = 0; i < trailers.size; i++) {
    if (!isTrailer(trailers.names[i] as string)) continue
    text += line(trailers.spelled[i] as string, trailers.values[i] as string, false)
  }
  return text
}

/**
 * The fields that were written last on one connection, and their lines. Peers repeat themselves, and to
 * compare costs a quarter of checking and joining them anew.
 */
export class LastLines {
  readonly #ofRequest: boolean
  #spelled: readonly string[] = []
  #values: readonly string[] = []
  #text = ''
  /** The text is one piece, and not a tree of them that each write would have to walk. */
  #flat = true

  constructor(ofRequest: boolean) {
    this.#ofRequest = ofRequest
  }

  /** The lines of these fields. Throws as `writeRequestHead`. */
  of({ spelled, values }: Fields): string {
    if (isSame(this.#spelled, spelled) && isSame(this.#values, values)) {
      if (!this.#flat) {
        this.#text = Buffer.from(this.#text, 'latin1').toString('latin1')
        this.#flat = true
      }
      return this.#text
    }
    const text = fieldText(spelled, values, this.#ofRequest)
    this.#spelled = spelled.slice()
    this.#values = values.slice()
    this.#text = text
    this.#flat = false
    return text
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function fieldText(spelled: readonly string[], values: readonly string[], ofRequest: boolean): string {
  let text = ''
  for (let i = 0; i < spelled.length; i++) text += line(spelled[i] as string, values[i] as string, ofRequest)
  return text
}

/** Framing and the connection are the writer's: a field that speaks of them is a mistake of the caller. */
function line(spelled: string, value: string, ofRequest: boolean): string {
  const name = nameOfToken(spelled)
  if (name === undefined) throw unsendable('a field name that is not a token')
  if (name.kind !== PLAIN && (ofRequest ? name.kind < AUTHORIZATION : isOfConnection(name.kind)))
    throw unsendable('a field that belongs to the connection')
  if (NOT_IN_VALUE.test(value)) throw unsendable('a field value that cannot be sent')
  return `${spelled}: ${value}\r\n`
}

/** In a response, Host, Expect and the like are fields as any other. */
function isOfConnection(kind: number): boolean {
  return kind < AUTHORIZATION && kind !== HOST && kind !== EXPECT
}

function lengthText(length: number): string {
  if (!Number.isSafeInteger(length) || length < 0) throw unsendable('a length that is none')
  return `Content-Length: ${length}\r\n`
}

function upgradeText(protocols: string): string {
  if (protocols === '' || NOT_IN_VALUE.test(protocols)) throw unsendable('a protocol that cannot be sent')
  return `Connection: Upgrade\r\nUpgrade: ${protocols}\r\n`
}

function unsendable(detail: string): WireError {
  return new WireError('malformed', detail, 'write')
}
