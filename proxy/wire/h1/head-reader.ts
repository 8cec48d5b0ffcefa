import type { Limits } from '../limits.ts'
import { type RequestHead, type ResponseHead, WireError } from '../message.ts'
import { FieldLines, IN_TARGET, IN_TOKEN, type IsOurs, OCTETS } from './field-lines.ts'

const SPACE = 32

/** RFC 9110 §7.2 uri-host and port, spelled loosely: whoever routes parses it. No userinfo, no path, no blank. */
const HOST = /^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]*$/

const NOT_IN_REASON = /[^\t\x20-\x7e\x80-\xff]/

/**
 * TRACE would show the client what was put into its request. PRI is the start of HTTP/2. The rest is
 * RTSP's (RFC 2326 §10), whose messages look like HTTP's and are framed by other rules.
 */
const REFUSED = new Set(
  `TRACE PRI ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY RECORD REDIRECT SET_PARAMETER SETUP
  TEARDOWN`.split(/\s+/),
)

export interface ReadRequest {
  head: RequestHead
  /** The client lets the connection be used again. */
  persistent: boolean
}

export interface ReadResponse {
  head: ResponseHead
  chunked: boolean
  persistent: boolean
  /** How long the server keeps an idle connection, where it said so. Milliseconds. */
  keepAliveMs: number | undefined
}

/**
 * What one peer sent last, and what it was read as. Peers repeat themselves: most heads are the one
 * before with another first line, and comparing costs a tenth of reading.
 */
export class Repetition<T> {
  #text = ''
  #read: T | undefined

  of(text: string): T | undefined {
    return this.#read !== undefined && text === this.#text ? this.#read : undefined
  }

  keep(text: string, read: T): T {
    this.#text = text
    this.#read = read
    return read
  }
}

/** What a request's head says from its version on. Its fields are copied before they are given away. */
export type RequestRest = Omit<RequestHead, 'method' | 'target'> & { persistent: boolean }

/**
 * A request's head from its bytes as latin1, blank line included (RFC 9112 §3, §5, §6). Throws
 * WireError malformed, version, target_too_long or head_too_large. `isOurs`: see `ServerOptions`.
 */
export function readRequestHead(
  text: string,
  from: number,
  limits: Limits,
  last: Repetition<RequestRest>,
  isOurs?: IsOurs,
): ReadRequest {
  let at = from
  while (((OCTETS[text.charCodeAt(at)] as number) & IN_TOKEN) !== 0) at++
  if (at === from || at - from > limits.methodBytes || text.charCodeAt(at) !== SPACE)
    throw malformed('a method that is not a token')
  const method = text.slice(from, at)
  const start = ++at
  while (((OCTETS[text.charCodeAt(at)] as number) & IN_TARGET) !== 0) at++
  if (at - start > limits.targetBytes)
    throw new WireError('target_too_long', 'the target is too long', 'head')
  if (at === start || text.charCodeAt(at) !== SPACE)
    throw malformed('a target with a byte that does not belong in one')
  const target = text.slice(start, at)
  const behind = text.slice(at + 1)
  const rest = last.of(behind) ?? last.keep(behind, readRequestRest(behind, limits, isOurs))
  // Methods count as they are written, but not every upstream knows that.
  if (REFUSED.has(method.toUpperCase())) throw malformed('a method that is not served')
  const { minor, host, contentLength, chunked, upgrade, expectContinue, persistent } = rest
  if (method === 'CONNECT' && (chunked || (contentLength ?? 0) > 0)) throw malformed('CONNECT with a body')
  const fields = rest.fields.copy()
  return {
    head: { method, target, minor, host, fields, contentLength, chunked, upgrade, expectContinue },
    persistent,
  }
}

function readRequestRest(text: string, limits: Limits, isOurs: IsOurs | undefined): RequestRest {
  const minor = readVersion(text)
  if (!text.startsWith('\r\n', 8)) throw malformed('a request line that does not end behind its version')
  const lines = new FieldLines().read(text, 10, true, limits.headLines - 1)
  const { host, fields } = lines
  if (host === undefined ? minor === 1 : !HOST.test(host))
    throw malformed(host === undefined ? 'no Host field' : 'a Host with a byte that does not belong in one')
  const contentLength = lines.contentLength()
  const chunked = lines.chunked(minor)
  const bodied = chunked || (contentLength ?? 0) > 0
  return {
    minor,
    host,
    fields,
    contentLength,
    chunked,
    upgrade: minor === 1 ? lines.protocols() : undefined,
    expectContinue: expectsContinue(lines.expect, minor) && bodied,
    persistent: lines.persistent(minor, isOurs),
  }
}

/**
 * A response's head, likewise (RFC 9112 §4). The reason may be missing with its blank, as many
 * servers leave it out. Throws WireError malformed, version or head_too_large.
 */
export function readResponseHead(text: string, limits: Limits, last: Repetition<ReadResponse>): ReadResponse {
  const read = last.of(text) ?? last.keep(text, readResponse(text, limits))
  const { chunked, persistent, keepAliveMs } = read
  const { status, reason, fields, contentLength, upgrade } = read.head
  const head = { status, reason, fields: fields.copy(), contentLength, upgrade }
  return { head, chunked, persistent, keepAliveMs }
}

function readResponse(text: string, limits: Limits): ReadResponse {
  const minor = readVersion(text)
  const eol = text.indexOf('\r\n', 8)
  const status = readStatus(text, eol)
  const reason = eol > 13 ? text.slice(13, eol) : ''
  if (NOT_IN_REASON.test(reason)) throw malformed('a control byte in a reason')
  const lines = new FieldLines().read(text, eol + 2, false, limits.headLines - 1)
  const contentLength = lines.contentLength()
  const chunked = lines.chunked(minor)
  const persistent = lines.persistent(minor)
  const seconds = lines.keepAlive && /(?:^|[,;\s])timeout=([0-9]{1,6})/i.exec(lines.keepAlive)?.[1]
  return {
    head: {
      status,
      reason,
      fields: lines.fields,
      contentLength,
      upgrade: status === 101 ? lines.protocols() : undefined,
    },
    chunked,
    persistent,
    keepAliveMs: seconds ? Number(seconds) * 1000 : undefined,
  }
}

/** RFC 9112 §4: a blank, three digits, and a blank again where anything follows. */
function readStatus(text: string, eol: number): number {
  const hundreds = text.charCodeAt(9) - 48
  const tens = text.charCodeAt(10) - 48
  const ones = text.charCodeAt(11) - 48
  const digits = hundreds >= 1 && hundreds <= 9 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9
  const blanks = text.charCodeAt(8) === SPACE && (eol === 12 || (eol > 12 && text.charCodeAt(12) === SPACE))
  if (!digits || !blanks) throw malformed('a status line that is none')
  return hundreds * 100 + tens * 10 + ones
}

function readVersion(text: string): 0 | 1 {
  if (text.startsWith('HTTP/1.1')) return 1
  if (text.startsWith('HTTP/1.0')) return 0
  if (/^HTTP\/[0-9]\.[0-9](?![0-9])/.test(text))
    throw new WireError('version', 'a version other than HTTP/1.0 and HTTP/1.1', 'head')
  throw malformed('a first line without a version')
}

/** HTTP/1.0 clients cannot wait for a 100 (RFC 9110 §10.1.1). */
function expectsContinue(expect: string | undefined, minor: 0 | 1): boolean {
  if (expect === undefined || minor === 0) return false
  if (expect.toLowerCase() !== '100-continue') throw malformed('an expectation that cannot be met')
  return true
}

function malformed(detail: string): WireError {
  return new WireError('malformed', detail, 'head')
}
