/** What a field means to the wire. Everything else is `PLAIN` and passes. */
export const PLAIN = 0
export const HOST = 1
export const LENGTH = 2
export const CODING = 3
export const CONNECTION = 4
export const UPGRADE = 5
export const EXPECT = 6
export const KEEP_ALIVE = 7
/** Of one connection only, and without a meaning for us (RFC 9110 §7.6.1). */
export const HOP = 8
export const AUTHORIZATION = 9
export const PROXY_AUTHORIZATION = 10
/** What CGI and its heirs (RFC 3875 §4.1.18) read as a field that frames the message. */
export const MISSPELLED = 11

export interface Name {
  /** A copy of its own, where the name is one that is kept: it holds no head in memory. */
  readonly spelled: string
  readonly lower: string
  readonly kind: number
}

const KINDS = new Map<string, number>([
  ['host', HOST],
  ['content-length', LENGTH],
  ['transfer-encoding', CODING],
  ['connection', CONNECTION],
  ['upgrade', UPGRADE],
  ['expect', EXPECT],
  ['keep-alive', KEEP_ALIVE],
  ['te', HOP],
  ['proxy-connection', HOP],
  ['authorization', AUTHORIZATION],
  ['proxy-authorization', PROXY_AUTHORIZATION],
  ['content_length', MISSPELLED],
  ['transfer_encoding', MISSPELLED],
])

const COMMON = `accept accept-charset accept-encoding accept-language accept-ranges
access-control-allow-credentials access-control-allow-headers access-control-allow-methods
access-control-allow-origin access-control-expose-headers access-control-max-age
access-control-request-headers access-control-request-method age allow alt-svc api-key cache-control
cf-cache-status cf-ray content-disposition content-encoding content-language content-location content-range
content-security-policy content-type cookie cross-origin-opener-policy cross-origin-resource-policy date dnt
etag expires forwarded from idempotency-key if-match if-modified-since if-none-match if-range
if-unmodified-since last-modified link location max-forwards origin permissions-policy pragma priority
proxy-authenticate range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform
sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions
sec-websocket-key sec-websocket-protocol sec-websocket-version server server-timing set-cookie
strict-transport-security traceparent tracestate trailer upgrade-insecure-requests user-agent vary via
www-authenticate x-api-key x-content-type-options x-forwarded-for x-forwarded-host x-forwarded-proto
x-frame-options x-powered-by x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-request-id
x-xss-protection`.split(/\s+/)

/** Spellings that peers made up and that are remembered: bounds, since they choose them. */
const LEARNT = 1024
const LEARNT_BYTES = 64

/** RFC 9110 §5.6.2. */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const known = new Map<string, Name>()

function remember(spelled: string, lower: string): Name {
  const name = { spelled, lower, kind: KINDS.get(lower) ?? PLAIN }
  known.set(spelled, name)
  return name
}

for (const lower of [...KINDS.keys(), ...COMMON]) {
  remember(lower, lower)
  remember(
    lower.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase()),
    lower,
  )
}

const bound = known.size + LEARNT

/** What is known of a name in this spelling, which must be a token. */
export function nameOf(spelled: string): Name {
  const name = known.get(spelled)
  if (name !== undefined) return name
  const lower = spelled.toLowerCase()
  // A slice of a head keeps the whole head alive, so the copies that stay are made afresh.
  if (known.size < bound && spelled.length <= LEARNT_BYTES) return remember(flat(spelled), flat(lower))
  return { spelled, lower, kind: KINDS.get(lower) ?? PLAIN }
}

function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** As `nameOf`, for a name of unknown origin; undefined where it is not a token. */
export function nameOfToken(spelled: string): Name | undefined {
  return known.get(spelled) ?? (TOKEN.test(spelled) ? nameOf(spelled) : undefined)
}
