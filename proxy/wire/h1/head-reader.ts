import type { Limits } from '../limits.ts'
import { type RequestHead, type ResponseHead, WireError } from '../message.ts'
import { FieldLines, IN_TARGET, IN_TOKEN, OCTETS } from './field-lines.ts'

const SPACE = 32

/** RFC 9110 §7.2 uri-host and port, spelled loosely: whoever routes parses it. No userinfo, no path, no blank. */
const HOST = /^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]*$/

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
 * A request's head from its bytes as latin1, blank line included (RFC 9112 §3, §5, §6). Throws
 * WireError malformed, version, target_too_long or head_too_large.
 */
export function readRequestHead(text: string, from: number, limits: Limits): ReadRequest {
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
  const minor = readVersion(text, at + 1)
  if (!text.startsWith('\r\n', at + 9)) throw malformed('a request line that does not end behind its version')
  if (REFUSED.has(method)) throw malformed('a method that is not served')

  const lines = new FieldLines().read(text, at + 11, true, limits.headLines - 1)
  const { host } = lines
  if (host === undefined ? minor === 1 : !HOST.test(host))
    throw malformed(host === undefined ? 'no Host field' : 'a Host with a byte that does not belong in one')
  const contentLength = lines.contentLength()
  const chunked = lines.chunked(minor)
  if (method === 'CONNECT' && (chunked || (contentLength ?? 0) > 0)) throw malformed('CONNECT with a body')
  const persistent = lines.persistent(minor)
  return {
    head: {
      method,
      target,
      minor,
      host,
      fields: lines.fields,
      contentLength,
      chunked,
      upgrade: minor === 1 ? lines.protocols() : undefined,
      expectContinue: expectsContinue(lines.expect, minor) && (chunked || (contentLength ?? 0) > 0),
    },
    persistent,
  }
}

/**
 * A response's head, likewise (RFC 9112 §4). The reason may be missing with its blank, as many
 * servers leave it out. Throws WireError malformed, version or head_too_large.
 */
export function readResponseHead(text: string, limits: Limits): ReadResponse {
  const minor = readVersion(text, 0)
  const eol = text.indexOf('\r\n', 8)
  const line = /^ ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(text.slice(8, eol))
  if (line === null) throw malformed('a status line that is none')
  const status = Number(line[1])
  const lines = new FieldLines().read(text, eol + 2, false, limits.headLines - 1)
  const contentLength = lines.contentLength()
  const chunked = lines.chunked(minor)
  const persistent = lines.persistent(minor)
  const seconds = lines.keepAlive && /(?:^|[,;\s])timeout=([0-9]{1,6})/i.exec(lines.keepAlive)?.[1]
  return {
    head: {
      status,
      reason: line[2] ?? '',
      fields: lines.fields,
      contentLength,
      upgrade: status === 101 ? lines.protocols() : undefined,
    },
    chunked,
    persistent,
    keepAliveMs: seconds ? Number(seconds) * 1000 : undefined,
  }
}

function readVersion(text: string, at: number): 0 | 1 {
  if (text.startsWith('HTTP/1.1', at)) return 1
  if (text.startsWith('HTTP/1.0', at)) return 0
  if (/^HTTP\/[0-9]\.[0-9](?![0-9])/.test(text.slice(at, at + 9)))
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
