import { isLoopbackHost } from '../core/listen.ts'
import type { Base } from '../core/target.ts'
import type { Fields } from './wire/message.ts'

/** What was asked for at the gateway, and how. */
export interface Asked {
  /** The connection's. */
  readonly name: string
  readonly base: Base
  /** What the upstream was asked for: path and query. */
  readonly target: string
  /** The Host by which the client knows the gateway. */
  readonly host: string | undefined
  /** The client speaks TLS with the gateway itself. */
  readonly secure: boolean
}

/** The field in which links out of the connection are told, as `Locum-Location` is for redirects. */
const ELSEWHERE = 'Locum-Link'
/** Links of one field that are read; an honest answer has a handful. What is behind them leads elsewhere. */
const MOST = 100

/** One link-value at the sticky index (RFC 8288 §3): its target, and its parameters up to a comma. */
const LINK = /[ \t,]*<([^<>]*)>((?:[^",<]|"(?:[^"\\<]|\\[^<])*")*)(?=,|$)/y

/**
 * Makes the Link field at `i` one of the gateway: a target under the base becomes one under `/c/NAME/`, in
 * full where it is certain how the client reaches the gateway, since some do not resolve it. Any other, and
 * what is not read alike by everybody (a `<` in a parameter, which many take for the next link), is told in
 * `Locum-Link`.
 */
export function rewriteLinks(fields: Fields, i: number, asked: Asked): void {
  const value = fields.values[i] as string
  const origin = originOf(asked)
  const within: string[] = []
  const elsewhere: string[] = []
  let at = 0
  for (let count = 0; count < MOST; count++) {
    LINK.lastIndex = at
    const link = LINK.exec(value)
    if (link === null) break
    at = LINK.lastIndex
    const [, target, parameters] = link as unknown as [string, string, string]
    const location = rewriteLocation(target, asked)
    if (location?.startsWith('/c/')) within.push(`<${origin}${location}>${parameters}`)
    else if (location !== undefined) elsewhere.push(`<${location}>${parameters}`)
  }
  const unread = value.slice(at).replace(/^[ \t,]+/, '')
  if (unread !== '') elsewhere.push(unread)
  if (elsewhere.length > 0) fields.append(ELSEWHERE, elsewhere.join(', '))
  if (within.length > 0) fields.values[i] = within.join(', ')
  else fields.removeAt(i)
}

/** The gateway's, where there is no doubt: behind a proxy it may be any. */
function originOf({ host, secure }: Asked): string {
  const own = `${secure ? 'https' : 'http'}://${host}`
  if (host === undefined || !URL.canParse(own)) return ''
  const url = new URL(own)
  return secure || isLoopbackHost(url.hostname) ? url.origin : ''
}

const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\//i
const BEYOND_ASCII = /[^\0-\x7f]/g

/**
 * A location under the base becomes one under `/c/NAME/`; any other is one in full, and none where it
 * is the gateway's own. It is read as a browser reads it (URL Standard §4.4), dots and backslashes
 * included: whoever follows it to the gateway brings their key, and the upstream of one connection
 * must not choose what is asked of another.
 */
export function rewriteLocation(location: string, { name, base, target, host }: Asked): string | undefined {
  const { text } = base.candidate
  // Fields are bytes; the parser would take each for a character of its own.
  const bytes = location.replace(BEYOND_ASCII, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
  const from = new URL(text + target)
  if (!URL.canParse(bytes, from.href)) return location
  const url = new URL(bytes, from)
  const prefix = new URL(`${text}${base.prefix}/`).pathname
  if (url.origin === from.origin && `${url.pathname}/`.startsWith(prefix))
    return `/c/${name}/${url.pathname.slice(prefix.length)}${url.search}${url.hash}`
  if (isGateway(url, host)) return undefined
  return ABSOLUTE.test(location) ? location : url.href
}

function isGateway(url: URL, host: string | undefined): boolean {
  const own = host !== undefined && URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined
  if (!own) return false
  return (
    url.host === own.host ||
    (url.port === own.port && isLoopbackHost(url.hostname) && isLoopbackHost(own.hostname))
  )
}
