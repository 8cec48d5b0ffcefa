import { CODES, type Entrance, type LocumError, statusOf } from '../core/errors.ts'
import { Fields, type ResponseHead, type WireError } from './wire/message.ts'

/** A refusal as it is sent: problem details (RFC 9457) with Proxy-Status (RFC 9209). */
export interface Refusal {
  readonly head: ResponseHead
  readonly body: string
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  407: 'Proxy Authentication Required',
  413: 'Content Too Large',
  421: 'Misdirected Request',
  424: 'Failed Dependency',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** `connect`: the code goes into the reason phrase too, since clients hide a refused CONNECT's body. */
export function refusalOf(
  error: LocumError,
  entrance: Entrance,
  x: { connect?: boolean; headTooLarge?: boolean } = {},
): Refusal {
  const { code, detail, hint, authorizeUrl, retryAfter } = error
  const status = statusOf(code, entrance, x.headTooLarge)
  const { title } = CODES[code]
  // `error`: some vendors' clients look for it alone, and take whatever lacks it for a success.
  const said = { message: `${code}: ${detail}`, code }
  const body = `${JSON.stringify({ type: 'about:blank', title, status, code, detail, hint, authorizeUrl, error: said })}\n`
  const fields = Fields.from([
    ['Content-Type', 'application/problem+json'],
    ['Cache-Control', 'no-store'],
    ['Proxy-Status', `locum; error=${CODES[code].proxyError}; details="${code}"`],
  ])
  if (status === 407) fields.append('Proxy-Authenticate', 'Basic realm="Locum", charset="UTF-8"')
  if (status === 401) fields.append('WWW-Authenticate', 'Bearer realm="Locum"')
  if (status === 503 || status === 429 || retryAfter !== undefined)
    fields.append('Retry-After', String(retryAfter ?? 1))
  const reason = REASONS[status] ?? 'Error'
  return {
    head: {
      status,
      reason: x.connect ? `${reason} (${code})` : reason,
      fields,
      contentLength: Buffer.byteLength(body),
    },
    body,
  }
}

/** What to say of bytes that are not a request. */
export function codeOfFault(fault: WireError): { code: 'bad_request' | 'too_large'; headTooLarge: boolean } {
  const large = fault.fault === 'head_too_large' || fault.fault === 'target_too_long'
  return { code: large ? 'too_large' : 'bad_request', headTooLarge: large }
}
