import { type AddressRange, inRange, parseRange } from './addresses.ts'
import { canonicalHost, isAddress, parseAuthority } from './destination.ts'
import { LocumError } from './errors.ts'
import { Secret } from './secret.ts'

/** The parent proxy that everything leaves by, but for what `direct` names. A setting of the process, stored nowhere. */
export interface Egress {
  readonly scheme: 'http' | 'https'
  /** Canonical. */
  readonly host: string
  readonly port: number
  /** The value of Proxy-Authorization. */
  readonly authorization?: Secret
  /** PEM. Replaces the default roots where the proxy is reached over TLS. */
  readonly ca?: string
  readonly direct: readonly DirectRule[]
}

/** An entry of `noProxy`. */
export type DirectRule = { readonly name: string } | { readonly range: AddressRange } | 'all'

/**
 * `http://corp:3128`, `https://corp:3128`. Throws bad_request, without the text, which may hold a
 * password: another scheme, no port, a path, user information.
 */
export function parseEgressProxy(text: string): Pick<Egress, 'scheme' | 'host' | 'port'> {
  const match = /^(https?):\/\/([^/?#\\\s]+)\/?$/i.exec(text)
  if (match?.[2]?.includes('@')) {
    throw new LocumError('bad_request', 'The user name and the password do not belong in this URL.', {
      hint: 'Write `username: NAME` and `password: { env: NAME }` or `{ file: PATH }` beside it.',
    })
  }
  const parsed = match && parseAuthority(match[2] as string)
  if (!match || parsed?.port === undefined) {
    throw new LocumError('bad_request', 'This is not a proxy.', {
      hint: 'Write http://HOST:PORT or https://HOST:PORT, with its port.',
    })
  }
  return {
    scheme: (match[1] as string).toLowerCase() as 'http' | 'https',
    host: parsed.host,
    port: parsed.port,
  }
}

/**
 * The value of Proxy-Authorization (RFC 7617). Throws bad_request for a user name with a colon, and for
 * control characters in either, without either.
 */
export function proxyAuthorization(username: string, password: string): Secret {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  const control = /[\u0000-\u001f\u007f]/
  if (username.includes(':') || control.test(username)) {
    throw new LocumError('bad_request', 'A user name holds no colon and no control character.')
  }
  if (control.test(password)) {
    throw new LocumError('bad_request', 'The password holds a line break or a control character.')
  }
  return new Secret(`Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`)
}

/**
 * An entry of `noProxy`: `*`, a name (with or without a dot before it: itself and every name under it),
 * an address, a CIDR. Throws bad_request for anything else.
 */
export function parseDirectRule(text: string): DirectRule {
  if (text === '*') return 'all'
  const range = parseRange(/^\[.*\]$/.test(text) ? text.slice(1, -1) : text)
  if (range) return { range }
  const name = canonicalHost(text.replace(/^\./, ''))
  if (name !== undefined && !isAddress(name)) return { name }
  throw new LocumError('bad_request', 'This names no host.', {
    hint: 'Write a name or .suffix, an address, a CIDR such as 10.0.0.0/8, or *; a port does not belong here.',
  })
}

/**
 * Whether a destination is reached without the parent proxy. By its host as it is asked for, as curl
 * does it: what a name resolves to does not count.
 */
export function isDirect(rules: readonly DirectRule[], host: string): boolean {
  return rules.some((rule) => {
    if (rule === 'all') return true
    if ('name' in rule) return host === rule.name || host.endsWith(`.${rule.name}`)
    return isAddress(host) && inRange(rule.range, host.startsWith('[') ? host.slice(1, -1) : host)
  })
}
