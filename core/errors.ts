import { inspect } from 'node:util'

/**
 * The one error class and the one table of what each code means to the outside
 * (RFC 9457 problem details, RFC 9209 Proxy-Status).
 */

interface CodeMeaning {
  readonly status: number
  readonly title: string
  /** The error type of RFC 9209 §2.3 that fits best. */
  readonly proxyError: string
}

/** Those of the management API alone are `not_found`, `conflict` and `outdated`. `caller_unauthenticated` and `connection_not_found` have another status at the gateway; see `statusOf`. */
export const CODES = {
  bad_request: { status: 400, title: 'The request is not valid', proxyError: 'http_request_error' },
  placeholder_unknown: { status: 400, title: 'Unknown placeholder', proxyError: 'http_request_error' },
  placeholder_not_allowed: {
    status: 400,
    title: 'Placeholder outside a slot',
    proxyError: 'http_request_error',
  },
  connection_ambiguous: {
    status: 400,
    title: 'More than one connection fits',
    proxyError: 'http_request_error',
  },
  caller_unauthenticated: { status: 407, title: 'Caller not recognised', proxyError: 'http_request_denied' },
  destination_forbidden: {
    status: 403,
    title: 'Destination forbidden',
    proxyError: 'destination_ip_prohibited',
  },
  not_allowed: { status: 403, title: 'Not allowed', proxyError: 'http_request_denied' },
  connection_not_found: {
    status: 403,
    title: 'No connection for this destination',
    proxyError: 'http_request_denied',
  },
  not_found: { status: 404, title: 'Not there', proxyError: 'http_request_denied' },
  conflict: { status: 409, title: 'Said otherwise before', proxyError: 'http_request_denied' },
  outdated: { status: 412, title: 'Changed meanwhile', proxyError: 'http_request_denied' },
  too_large: { status: 413, title: 'Too large', proxyError: 'http_request_error' },
  authority_mismatch: { status: 421, title: 'Names contradict each other', proxyError: 'http_request_error' },
  credential_missing: { status: 424, title: 'No credential', proxyError: 'http_request_denied' },
  credential_outside_audience: {
    status: 424,
    title: 'Credential not approved for this destination',
    proxyError: 'http_request_denied',
  },
  reauthorization_required: {
    status: 424,
    title: 'Authorisation needed again',
    proxyError: 'http_request_denied',
  },
  rate_limited: { status: 429, title: 'Too many requests', proxyError: 'http_request_denied' },
  internal: { status: 500, title: 'Internal error', proxyError: 'proxy_internal_error' },
  refresh_failed: {
    status: 502,
    title: 'The credential could not be renewed',
    proxyError: 'proxy_internal_response',
  },
  upstream_unreachable: { status: 502, title: 'Upstream unreachable', proxyError: 'destination_unavailable' },
  upstream_tls: { status: 502, title: 'Upstream TLS failed', proxyError: 'tls_certificate_error' },
  upstream_invalid: { status: 502, title: 'Invalid answer from upstream', proxyError: 'http_protocol_error' },
  upstream_echoed_secret: {
    status: 502,
    title: 'Upstream echoed a secret',
    proxyError: 'http_response_incomplete',
  },
  store_unavailable: { status: 503, title: 'Store unavailable', proxyError: 'proxy_internal_error' },
  overloaded: { status: 503, title: 'Overloaded', proxyError: 'connection_limit_reached' },
  upstream_timeout: { status: 504, title: 'Upstream timed out', proxyError: 'http_response_timeout' },
} as const satisfies Record<string, CodeMeaning>

export type Code = keyof typeof CODES

export type Entrance = 'forward' | 'connect' | 'gateway'

/** The HTTP status of a code at an entrance. */
export function statusOf(code: Code, entrance: Entrance, headTooLarge = false): number {
  if (entrance === 'gateway') {
    if (code === 'caller_unauthenticated') return 401
    if (code === 'connection_not_found') return 404
  }
  return code === 'too_large' && headTooLarge ? 431 : CODES[code].status
}

export interface ErrorExtras {
  /** For whoever debugs; never shown to the outside. */
  cause?: unknown
  /** What to do next, for people. */
  hint?: string
  /** Seconds after which it is worth another try. */
  retryAfter?: number
  /** Where the caller can put it right themselves. */
  authorizeUrl?: string
  /** It fails the same way until somebody changes something. */
  lasting?: boolean
}

/**
 * `detail` and `hint` are shown to the outside: they never hold a value of a secret. Its cause is never
 * printed with it: what failed underneath may hold what was sent.
 */
export class LocumError extends Error {
  readonly code: Code
  readonly detail: string
  readonly hint: string | undefined
  readonly authorizeUrl: string | undefined
  readonly retryAfter: number | undefined
  readonly lasting: boolean

  constructor(code: Code, detail: string, extras: ErrorExtras = {}) {
    super(`${code}: ${detail}`, extras.cause === undefined ? undefined : { cause: extras.cause })
    this.name = 'LocumError'
    this.code = code
    this.detail = detail
    this.hint = extras.hint
    this.authorizeUrl = extras.authorizeUrl
    this.retryAfter = extras.retryAfter
    this.lasting = extras.lasting ?? false
  }

  [inspect.custom](): string {
    return this.stack ?? this.message
  }
}

/** Whatever is not a LocumError becomes `internal` with a fixed text, the cause kept inside. */
export function asLocumError(thrown: unknown): LocumError {
  if (thrown instanceof LocumError) return thrown
  return new LocumError('internal', 'Something failed inside Locum; its log has the cause.', {
    cause: thrown,
  })
}
