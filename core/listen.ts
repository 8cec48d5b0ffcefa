import { isLocalName, judgeAddress } from './addresses.ts'
import { canonicalHost } from './destination.ts'
import { LocumError } from './errors.ts'

/** Where a listener stands. `host` is canonical, an IPv6 address in brackets. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** Paths of PEM files: the certificate with its chain, its key, and the CA of those clients that show one. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string
}

export interface ListenSpec {
  readonly address: ListenAddress
  readonly tls?: TlsFiles
}

/** Bytes of a socket's path on Linux (unix(7)) without its end; a system that takes fewer says so itself. */
const LONGEST_PATH = 107

/**
 * `HOST:PORT` (0 takes any port) or `unix:/path` (`unix:///path` too). `which`: what errors call it.
 * Throws bad_request.
 */
export function parseListenAddress(text: string, which: string): ListenAddress {
  const path = /^unix:(?:\/\/(?=\/))?(.*)$/s.exec(text)?.[1]
  if (path !== undefined) return { kind: 'unix', path: checkPath(path, which) }
  const match = /^(.*):(\d{1,5})$/.exec(text)
  const host = match && canonicalHost(match[1] as string)
  const port = Number(match?.[2])
  if (!host || port > 65_535) {
    throw new LocumError('bad_request', `\`${text}\` is not an address for ${which}.`, {
      hint: 'Write HOST:PORT, as in 127.0.0.1:8080, or unix:/path. A port is 65535 at most.',
    })
  }
  return { kind: 'tcp', host, port }
}

function checkPath(path: string, which: string): string {
  const fault =
    path === '' || path.includes('\0')
      ? 'names no path'
      : path.startsWith('@')
        ? 'names an abstract socket, which has no permissions'
        : Buffer.byteLength(path) > LONGEST_PATH
          ? `is longer than the ${LONGEST_PATH} bytes that a socket's path may have`
          : undefined
  if (fault === undefined) return path
  throw new LocumError('bad_request', `The Unix socket for ${which} ${fault}.`, {
    hint: 'Write unix:/run/locum/proxy.sock, or another short path.',
  })
}

export function listenText(address: ListenAddress): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`
}

/** An IPv6 address without its brackets. */
export function bareHost(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}

/** Whether a canonical host is this machine by its loopback, name or address. */
export function isLoopbackHost(host: string): boolean {
  return isLocalName(host) || judgeAddress(bareHost(host)) === 'loopback'
}

/** A name is believed for `localhost` alone (RFC 6761 §6.3). */
function isLocalHost(host: string): boolean {
  return host === 'localhost' || judgeAddress(bareHost(host)) === 'loopback'
}

/**
 * Without TLS a listener stands on this machine only, since keys would be read on the way, unless the
 * network is said to be trusted. Throws bad_request.
 */
export function checkOpenness({ address, tls }: ListenSpec, which: string, allowPlaintext: boolean): void {
  if (address.kind === 'unix') {
    if (!tls) return
    throw new LocumError('bad_request', `${which} is a Unix socket: it has no use for TLS.`, {
      hint: 'Leave `tls` out: who may open the socket is decided by its permissions.',
    })
  }
  if (tls || allowPlaintext || isLocalHost(address.host)) return
  throw new LocumError(
    'bad_request',
    `${which} is ${listenText(address)}: without TLS it can only be a loopback address or a Unix socket.`,
    {
      hint: 'Give it `tls: { cert, key }`, or say `allowPlaintextListener: true` under `listen` where the network is trusted.',
    },
  )
}
