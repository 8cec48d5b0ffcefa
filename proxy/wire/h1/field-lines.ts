import { Fields, WireError } from '../message.ts'
import * as names from './names.ts'
import { nameOf } from './names.ts'

const CR = 13
const LF = 10
const SPACE = 32
const TAB = 9
const COLON = 58

/** By byte: 1 in a token (RFC 9110 §5.6.2), 2 in a field value (§5.5: no control byte but HTAB), 4 in a target. */
export const OCTETS = new Uint8Array(256)
export const IN_TOKEN = 1
export const IN_VALUE = 2
export const IN_TARGET = 4
for (let byte = 0; byte < 256; byte++) {
  if (names.TOKEN.test(String.fromCharCode(byte))) OCTETS[byte] = IN_TOKEN
  if (byte === TAB || (byte >= 0x20 && byte !== 0x7f)) (OCTETS[byte] as number) |= IN_VALUE
  if (byte > 0x20 && byte < 0x7f && byte !== 0x23 && byte !== 0x5c) (OCTETS[byte] as number) |= IN_TARGET
}

/** Whether a field, by its lower-case name and its value, speaks to this side. */
export type IsOurs = (name: string, value: string) => boolean

/**
 * Field lines read from a head: `fields` is what passes; what belongs to the connection or to the
 * framing stands beside it, as it came. A name that may come once and came again is malformed.
 */
export class FieldLines {
  readonly fields = new Fields()
  host: string | undefined
  length: string | undefined
  coding: string | undefined
  connection: string | undefined
  upgrade: string | undefined
  expect: string | undefined
  keepAlive: string | undefined
  #authorization = false
  #proxyAuthorization = false

  /**
   * Reads from `at` to the blank line that ends `text`. In a response, what only means something in
   * a request is a field like any other. Throws WireError malformed or head_too_large.
   */
  read(text: string, at: number, ofRequest: boolean, maxLines: number): this {
    const end = text.length - 2
    let lines = 0
    while (at < end) {
      if (++lines > maxLines) throw new WireError('head_too_large', 'the head has too many lines', 'head')
      let i = at
      while (((OCTETS[text.charCodeAt(i)] as number) & IN_TOKEN) !== 0) i++
      if (i === at || text.charCodeAt(i) !== COLON) throw malformed('a field name that is not a token')
      const name = nameOf(text.slice(at, i))
      i++
      let byte = text.charCodeAt(i)
      while (byte === SPACE || byte === TAB) byte = text.charCodeAt(++i)
      const from = i
      while (((OCTETS[byte] as number) & IN_VALUE) !== 0) byte = text.charCodeAt(++i)
      if (byte !== CR || text.charCodeAt(i + 1) !== LF) throw malformed('a control byte in a field value')
      const next = i + 2
      while (i > from && isBlank(text.charCodeAt(i - 1))) i--
      const value = text.slice(from, i)
      if (name.kind === names.PLAIN) this.fields.append(name.spelled, value, name.lower)
      else {
        // A blank to RFC 9110 §5.6.3, a part of the value to many a reader.
        if (name.kind === names.CODING && text.slice(at, next).includes('\t'))
          throw malformed('a tab beside a transfer coding')
        this.#place(name, value, ofRequest)
      }
      at = next
    }
    return this
  }

  #place(name: names.Name, value: string, ofRequest: boolean): void {
    switch (name.kind) {
      case names.LENGTH:
        if (this.length !== undefined) throw malformed('two Content-Length fields')
        this.length = value
        return
      case names.CODING:
        if (this.coding !== undefined) throw malformed('two Transfer-Encoding fields')
        this.coding = value
        return
      case names.CONNECTION:
        this.connection = this.connection === undefined ? value : `${this.connection},${value}`
        return
      case names.UPGRADE:
        this.upgrade = this.upgrade === undefined ? value : `${this.upgrade}, ${value}`
        return
      case names.KEEP_ALIVE:
        this.keepAlive = value
        return
      case names.HOP:
        return
    }
    if (ofRequest) {
      switch (name.kind) {
        case names.MISSPELLED:
          throw malformed('a framing field spelled with an underscore')
        case names.HOST:
          if (this.host !== undefined) throw malformed('two Host fields')
          this.host = value
          return
        case names.EXPECT:
          if (this.expect !== undefined) throw malformed('two Expect fields')
          this.expect = value
          return
        case names.AUTHORIZATION:
          if (this.#authorization) throw malformed('two Authorization fields')
          this.#authorization = true
          break
        case names.PROXY_AUTHORIZATION:
          if (this.#proxyAuthorization) throw malformed('two Proxy-Authorization fields')
          this.#proxyAuthorization = true
          break
      }
    }
    this.fields.append(name.spelled, value, name.lower)
  }

  /**
   * The bytes that Content-Length promises; undefined without one. Throws malformed unless it is
   * digits alone, up to 2^53 − 1.
   */
  contentLength(): number | undefined {
    if (this.length === undefined) return undefined
    if (!/^[0-9]{1,16}$/.test(this.length)) throw malformed('a Content-Length that is not a number')
    const bytes = Number(this.length)
    if (!Number.isSafeInteger(bytes)) throw malformed('a Content-Length beyond all bounds')
    return bytes
  }

  /** Whether the coding is `chunked`. Throws malformed for any other, beside a length, and on HTTP/1.0. */
  chunked(minor: 0 | 1): boolean {
    if (this.coding === undefined) return false
    if (minor === 0) throw malformed('Transfer-Encoding on HTTP/1.0')
    if (this.length !== undefined) throw malformed('Content-Length beside Transfer-Encoding')
    if (this.coding.toLowerCase() !== 'chunked') throw malformed('a Transfer-Encoding other than chunked')
    return true
  }

  /**
   * Takes out the fields that Connection names, and says whether the connection may be used again.
   * An option that is not a token is no field's name: it ends the connection and removes nothing.
   * Proxy-Authorization is for us and stays until it was used, and so do fields that `isOurs` knows.
   * Throws malformed for a list without end.
   */
  persistent(minor: 0 | 1, isOurs?: IsOurs): boolean {
    const text = this.connection?.toLowerCase()
    if (text === undefined) return minor === 1
    if (text === 'keep-alive') return true
    if (text === 'close') return false
    const options = new Set(text.split(',', MAX_OPTIONS + 1).map((one) => one.replace(BLANKS, '')))
    if (options.size > MAX_OPTIONS) throw malformed('a Connection with too many options')
    const close = options.has('close') || [...options].some((one) => one !== '' && !names.TOKEN.test(one))
    const keep = minor === 1 || options.has('keep-alive')
    options.delete('proxy-authorization')
    const { fields } = this
    for (let i = fields.size - 1; i >= 0; i--) {
      const name = fields.names[i] as string
      if (options.has(name) && isOurs?.(name, fields.values[i] as string) !== true) fields.removeAt(i)
    }
    return keep && !close
  }

  /**
   * The protocols of Upgrade, where Connection names it. An offer to go on in another HTTP is not
   * heard: what came then would be judged by nobody. Throws malformed where they are not protocols.
   */
  protocols(): string | undefined {
    const { upgrade } = this
    if (upgrade === undefined || this.connection === undefined) return undefined
    if (!/(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)/i.test(this.connection)) return undefined
    if (upgrade.length > MAX_UPGRADE) throw malformed('an Upgrade that is too long')
    const protocols = upgrade.split(',').map((one) => one.replace(BLANKS, ''))
    if (!protocols.every((one) => PROTOCOL.test(one))) throw malformed('an Upgrade that is not a protocol')
    return protocols.some((one) => /^(?:h2c?|http|tls)(?:\/|$)/i.test(one)) ? undefined : upgrade
  }
}

const BLANKS = /^[ \t]+|[ \t]+$/g
/** RFC 9110 §7.8. */
const PROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/
/** Options of Connection; browsers send two. */
const MAX_OPTIONS = 64
/** Bytes of Upgrade. */
const MAX_UPGRADE = 256

/** Trailer fields that could change how a message is framed, routed or permitted (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS = new Set(
  `content-length transfer-encoding host connection keep-alive te trailer upgrade expect authorization
  proxy-authorization proxy-authenticate proxy-connection www-authenticate cookie set-cookie content-encoding
  content-type content-range cache-control max-forwards range age date expires location retry-after vary
  if-match if-none-match if-modified-since if-unmodified-since if-range`.split(/\s+/),
)

export function isTrailer(lower: string): boolean {
  return !NOT_IN_TRAILERS.has(lower.replaceAll('_', '-'))
}

/** A trailer section with its blank line. What must not be a trailer is dropped. Throws malformed. */
export function readTrailers(text: string, maxLines: number): Fields | undefined {
  if (text.length === 2) return undefined
  const { fields } = new FieldLines().read(text, 0, false, maxLines)
  for (let i = fields.size - 1; i >= 0; i--) if (!isTrailer(fields.names[i] as string)) fields.removeAt(i)
  return fields.size === 0 ? undefined : fields
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB
}

function malformed(detail: string): WireError {
  return new WireError('malformed', detail, 'head')
}
