import { type Code, type ErrorExtras, LocumError } from '../../core/errors.ts'
import type { WireError, WireFault } from '../wire/message.ts'

/**
 * What goes wrong on the way to an upstream, by error code, never by a message's words.
 * A network that does not carry is `upstream_unreachable`; a peer that answers wrongly is `upstream_invalid`.
 */

interface Meaning {
  readonly code: Code
  readonly detail: string
  readonly hint?: string
}

const OWN_CA = 'An upstream with a certificate authority of its own needs it named in `ca:`.'
const UNKNOWN_ISSUER: Meaning = {
  code: 'upstream_tls',
  detail: 'Nobody that Locum trusts vouches for the certificate of the upstream.',
  hint: OWN_CA,
}
const OUT_OF_RESOURCES: Meaning = {
  code: 'overloaded',
  detail: 'This host has no resources left for another connection.',
  hint: 'Raise the limit of open files (ulimit -n).',
}
const NO_ROUTE: Meaning = { code: 'upstream_unreachable', detail: 'There is no route to the upstream.' }
const NO_NAME: Meaning = {
  code: 'upstream_unreachable',
  detail: 'The name of the upstream has no address.',
}
const NO_DNS: Meaning = {
  code: 'upstream_unreachable',
  detail: 'The name of the upstream cannot be looked up now.',
}
const NO_HANDSHAKE: Meaning = {
  code: 'upstream_tls',
  detail: 'The TLS handshake with the upstream failed.',
  hint: 'Check that the upstream speaks TLS 1.2 or newer on this port.',
}

const BY_CODE: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { code: 'upstream_unreachable', detail: 'The upstream refused the connection.' },
  ECONNRESET: { code: 'upstream_unreachable', detail: 'The upstream reset the connection.' },
  ETIMEDOUT: { code: 'upstream_unreachable', detail: 'The upstream did not take the connection in time.' },
  EHOSTUNREACH: NO_ROUTE,
  EHOSTDOWN: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  ENETDOWN: NO_ROUTE,
  EADDRNOTAVAIL: NO_ROUTE,
  EAFNOSUPPORT: NO_ROUTE,
  EACCES: { code: 'upstream_unreachable', detail: 'This host does not allow the connection.' },
  EPERM: { code: 'upstream_unreachable', detail: 'This host does not allow the connection.' },
  ENOTFOUND: NO_NAME,
  ENODATA: NO_NAME,
  EAI_NONAME: NO_NAME,
  EAI_AGAIN: NO_DNS,
  EAI_FAIL: NO_DNS,
  ESERVFAIL: NO_DNS,
  EMFILE: OUT_OF_RESOURCES,
  ENFILE: OUT_OF_RESOURCES,
  ENOBUFS: OUT_OF_RESOURCES,
  ENOMEM: OUT_OF_RESOURCES,
  EAI_MEMORY: OUT_OF_RESOURCES,

  CERT_HAS_EXPIRED: { code: 'upstream_tls', detail: 'The certificate of the upstream has expired.' },
  CERT_NOT_YET_VALID: {
    code: 'upstream_tls',
    detail: 'The certificate of the upstream is not valid yet.',
    hint: 'Check the clock of this host.',
  },
  CERT_REVOKED: { code: 'upstream_tls', detail: 'The certificate of the upstream is revoked.' },
  INVALID_PURPOSE: { code: 'upstream_tls', detail: 'The certificate of the upstream is not for servers.' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    code: 'upstream_tls',
    detail: 'The certificate of the upstream is for another name.',
  },
  ERR_TLS_CERT_ALTNAME_FORMAT: {
    code: 'upstream_tls',
    detail: 'The names in the certificate of the upstream cannot be read.',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  CERT_UNTRUSTED: UNKNOWN_ISSUER,
  CERT_REJECTED: UNKNOWN_ISSUER,
}

/** How far a dial came; an error without a meaning of its own is told by it. */
export type DialPhase = 'lookup' | 'connect' | 'tls'

/** Whatever a resolver, a socket or TLS threw. During a handshake a reset is TLS's failure. */
export function dialError(thrown: unknown, phase: DialPhase): LocumError {
  const code = codeOf(thrown)
  let meaning = code === undefined ? undefined : BY_CODE[code]
  if (phase === 'tls' && (meaning === undefined || meaning.code === 'upstream_unreachable'))
    meaning = NO_HANDSHAKE
  meaning ??= phase === 'lookup' ? NO_DNS : { code: 'upstream_unreachable', detail: 'The connection failed.' }
  return toError(meaning, thrown)
}

const BY_FAULT: Readonly<Record<WireFault, Meaning>> = {
  malformed: { code: 'upstream_invalid', detail: 'The answer of the upstream is not valid HTTP.' },
  head_too_large: { code: 'upstream_invalid', detail: 'The head of the answer is too large.' },
  target_too_long: { code: 'upstream_invalid', detail: 'The answer of the upstream is not valid HTTP.' },
  version: { code: 'upstream_invalid', detail: 'The upstream answered in another version of HTTP.' },
  overrun: { code: 'upstream_invalid', detail: 'The answer has another length than its head says.' },
  closed: {
    code: 'upstream_invalid',
    detail: 'The upstream closed the connection before its answer was whole.',
  },
  reset: { code: 'upstream_unreachable', detail: 'The connection to the upstream broke before it answered.' },
  timeout: { code: 'upstream_timeout', detail: 'The upstream did not answer in time.' },
  cancelled: { code: 'bad_request', detail: 'The request ended before it was whole.' },
}

/** The request's body, as its source told of it: nothing that the upstream has done. */
const BROKEN_BODY: Meaning = {
  code: 'bad_request',
  detail: 'The body of the request broke off, or is not valid HTTP.',
}

/**
 * A fault on the wire before there was a response; one of phase `body` is the request's own. An orderly
 * end is the peer's wrong answer; a broken socket is the network's, whether the connection was fresh or
 * had served before.
 */
export function wireError(fault: WireError): LocumError {
  return toError(fault.phase === 'body' ? BROKEN_BODY : BY_FAULT[fault.fault], fault)
}

/** What went wrong on the way to the parent proxy itself. */
export function parentError(error: LocumError): LocumError {
  if (error.code === 'overloaded') return error
  const extras: ErrorExtras = { cause: error }
  if (error.code === 'destination_forbidden') {
    return new LocumError(
      'upstream_unreachable',
      'The egress proxy has an address that is never dialled, such as a listener of Locum itself.',
      extras,
    )
  }
  if (error.hint === OWN_CA)
    extras.hint = 'A proxy with a certificate authority of its own needs it named in `egress.ca`.'
  // Our own texts: they name the peer, and nothing of what it said.
  const detail = error.detail.replace(/([Tt])he upstream\b/g, '$1he egress proxy')
  return new LocumError('upstream_unreachable', detail, extras)
}

/** The parent proxy answered, and opened no tunnel: of its answer only the number is told. */
export function parentRefusal(status: number, port: number): LocumError {
  if (status === 407) {
    return new LocumError(
      'upstream_unreachable',
      'The egress proxy does not take the credentials that Locum has for it, or wants some.',
      {
        hint: 'An administrator sets `egress: { username, password }` in the file; your own key is not meant.',
      },
    )
  }
  const hint =
    port === 443
      ? undefined
      : 'Many proxies open tunnels to port 443 alone: permit this one there, or name the host in `noProxy`.'
  return new LocumError(
    'upstream_unreachable',
    status === 403
      ? 'The egress proxy does not allow this destination (403).'
      : `The egress proxy opened no way to the upstream (${status}).`,
    hint === undefined ? {} : { hint },
  )
}

/** The parent proxy answered what is no answer, or broke off before one. */
export function parentFault(cause: WireError): LocumError {
  const says =
    cause.fault === 'closed' || cause.fault === 'reset'
      ? 'The egress proxy closed the connection before it answered.'
      : cause.fault === 'timeout'
        ? 'The egress proxy did not answer in time.'
        : 'The answer of the egress proxy is not valid HTTP.'
  return new LocumError('upstream_unreachable', says, { cause })
}

function toError(meaning: Meaning, cause: unknown): LocumError {
  const extras: ErrorExtras = { cause }
  if (meaning.hint !== undefined) extras.hint = meaning.hint
  return new LocumError(meaning.code, meaning.detail, extras)
}

function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' && Object.hasOwn(BY_CODE, thrown.code) ? thrown.code : undefined
}
