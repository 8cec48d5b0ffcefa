import type { AddressInfo, Server, Socket } from 'node:net'
import { judgeAddress } from '../core/addresses.ts'
import { LocumError } from '../core/errors.ts'
import { bareHost, checkOpenness, type ListenSpec, listenText } from '../core/listen.ts'
import { listenOnPath } from './unix.ts'

/** A listener that stands. */
export interface Bound {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path`. */
  readonly url: string
  /** The address in use, which no upstream may have; undefined for a Unix socket. */
  readonly tcp: { readonly address: string; readonly port: number } | undefined
  /** Nobody but this machine can reach it. */
  readonly local: boolean
}

/**
 * Makes a server listen. Rejects with bad_request for an address that is open to the network without
 * TLS, also where that shows only now, and with the socket's own error (EADDRINUSE, EACCES…).
 */
export async function bind(
  server: Server,
  spec: ListenSpec,
  x: { which: string; allowPlaintext: boolean; backlog?: number },
): Promise<Bound> {
  const { address, tls } = spec
  checkOpenness(spec, x.which, x.allowPlaintext)
  if (address.kind === 'unix') {
    await listenOnPath(server, address.path, x.backlog)
    return { url: listenText(address), tcp: undefined, local: true }
  }
  const { host } = address
  await listening(server, { host: bareHost(host), port: address.port, backlog: x.backlog })
  const { address: own, port } = server.address() as AddressInfo
  const local = judgeAddress(own) === 'loopback'
  if (!local && !tls && !x.allowPlaintext) {
    await new Promise<void>((resolve) => server.close(() => resolve()))
    throw new LocumError('bad_request', `${x.which} is ${host}, which is no loopback address here.`, {
      hint: 'Write 127.0.0.1, or [::1].',
    })
  }
  return { url: `${tls ? 'https' : 'http'}://${host}:${port}`, tcp: { address: own, port }, local }
}

function listening(server: Server, at: { host: string; port: number; backlog?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Whether a connection was made on this machine. Not where the listener is also elsewhere, whatever the
 * two addresses say: what forwards ports to a container or a virtual machine connects from loopback too.
 */
export function isLocalConnection({ local, tcp }: Bound, socket: Socket): boolean {
  return local && (tcp === undefined || (isLoopback(socket.localAddress) && isLoopback(socket.remoteAddress)))
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && judgeAddress(address) === 'loopback'
}
