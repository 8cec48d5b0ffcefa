import { LocumError } from '../core/errors.ts'
import type { Route } from '../core/route.ts'
import { type Asked, rewriteLinks, rewriteLocation } from './gateway-links.ts'
import { Fields, type RequestHead, type ResponseHead } from './wire/message.ts'

/** How long a browser may remember a preflight, s. */
const PREFLIGHT_AGE = 600
/** What a browser sends that is no upstream's business: Locum stands between the two origins (R13). */
const BROWSER_FIELDS = ['cookie', 'origin', 'referer']
/** What an upstream must not tell a browser about Locum's own origin (R13). */
const UPSTREAM_FIELDS = [
  'set-cookie',
  'set-cookie2',
  'alt-svc',
  'clear-site-data',
  'service-worker-allowed',
  'strict-transport-security',
  'refresh',
  // Reports of everything that fails at the origin, and hints for everything that is asked of it.
  'nel',
  'report-to',
  'reporting-endpoints',
  'accept-ch',
  'critical-ch',
  // A dictionary, a session, a login state for every connection's paths, and what advertisers measure.
  'use-as-dictionary',
  'secure-session-registration',
  'sec-session-registration',
  'set-login',
  'attribution-reporting-register-source',
  'attribution-reporting-register-trigger',
  'observe-browsing-topics',
]

/**
 * Judges a browser's request before anybody is identified. Throws not_allowed for an origin that the
 * connection does not list and for a navigation.
 */
export function checkOrigin(route: Route | undefined, fields: Fields): string | undefined {
  const origin = fields.get('origin')
  if (origin !== undefined && !(route?.connection.corsOrigins.includes(origin) && origin !== 'null')) {
    throw new LocumError('not_allowed', 'Pages of this origin may not use this connection.', {
      hint: "An administrator lists it in the connection's `cors: { origins: […] }`.",
    })
  }
  if (fields.get('sec-fetch-mode') === 'navigate') {
    throw new LocumError(
      'not_allowed',
      'The gateway is for requests of a program: a browser cannot navigate to it.',
    )
  }
  return origin
}

/** Whether this is a CORS preflight (Fetch §3.2.2): it needs no key and reaches no upstream. */
export function isPreflight(head: RequestHead): boolean {
  return (
    head.method === 'OPTIONS' && head.fields.has('origin') && head.fields.has('access-control-request-method')
  )
}

/** The answer to a preflight from a listed origin. */
export function preflightAnswer(route: Route, head: RequestHead, origin: string): ResponseHead {
  const fields = corsFields(new Fields(), origin)
  fields.append(
    'Access-Control-Allow-Methods',
    (route.connection.allow.methods ?? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).join(
      ', ',
    ),
  )
  const asked = head.fields.get('access-control-request-headers')
  if (asked !== undefined) fields.append('Access-Control-Allow-Headers', asked)
  if (head.fields.has('access-control-request-private-network'))
    fields.append('Access-Control-Allow-Private-Network', 'true')
  fields.append('Access-Control-Max-Age', String(PREFLIGHT_AGE))
  fields.append('Vary', 'Access-Control-Request-Method, Access-Control-Request-Headers')
  return { status: 204, reason: 'No Content', fields, contentLength: undefined }
}

/** Lets a listed origin read the response. Never a wildcard, never with credentials. */
export function corsFields(fields: Fields, origin: string): Fields {
  return fields
    .append('Access-Control-Allow-Origin', origin)
    .append('Access-Control-Expose-Headers', '*')
    .append('Vary', 'Origin')
}

export function stripBrowserFields(fields: Fields): void {
  for (let i = fields.names.length - 1; i >= 0; i--) {
    const name = fields.names[i] as string
    if (BROWSER_FIELDS.includes(name) || name.startsWith('sec-fetch-')) fields.removeAt(i)
  }
}

/** What a response at the gateway answers. */
export interface Answered extends Asked {
  /** The listed origin of a browser's request. */
  readonly origin: string | undefined
}

/**
 * Makes an upstream's response, interim or final, one of the gateway: its own CORS, cookies and
 * origin-wide orders go, its Location and its links stay within the connection; a redirect that does not
 * becomes `Locum-Location`, a link `Locum-Link`, so that nobody follows it with their key.
 */
export function rewriteResponse({ status, fields }: ResponseHead, answered: Answered): void {
  const { origin } = answered
  for (let i = fields.names.length - 1; i >= 0; i--) {
    const field = fields.names[i] as string
    if (UPSTREAM_FIELDS.includes(field) || /^(?:access-control|locum)-/.test(field)) fields.removeAt(i)
    else if (field === 'link') rewriteLinks(fields, i, answered)
    else if (field === 'location' || field === 'content-location') {
      const location = rewriteLocation(fields.values[i] as string, answered)
      if (location === undefined) fields.removeAt(i)
      else {
        fields.values[i] = location
        if (field === 'location' && status !== CREATED && !location.startsWith('/c/'))
          fields.rename(i, ELSEWHERE)
      }
    }
  }
  if (status < 200) return
  fields.set('Content-Security-Policy', 'sandbox')
  fields.set('X-Content-Type-Options', 'nosniff')
  if (origin !== undefined) corsFields(fields, origin)
}

/**
 * The field in which a redirect out of the connection is told. Clients follow a Location by themselves
 * and take `Locum-Authorization` along to wherever the upstream said.
 */
const ELSEWHERE = 'Locum-Location'
/** Its Location is a name, and followed by nobody; by 202 programs poll, by 200 they upload the rest. */
const CREATED = 201
