import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { canonicalHost } from '../../core/destination.ts'
import type { TunnelTarget } from '../../core/target.ts'
import type { Caller } from '../../core/words.ts'
import type { Client } from '../limiter.ts'
import type { Session, TunnelSession } from '../room.ts'
import type { Tunnel } from '../wire/message.ts'

/** How long a client may take for its first byte in a tunnel, and for its TLS handshake, ms. */
const OPENING = 20_000
/** The first byte of a TLS record that holds a handshake (RFC 8446 §5.1). */
const TLS_HANDSHAKE = 0x16

/**
 * Finds out what the client speaks in a tunnel: TLS is opened with the leaf, anything else is taken
 * for HTTP as it is. `ready` gets the socket on which HTTP is spoken, and bytes already read.
 */
export function openTunnel(
  tunnel: Tunnel,
  x: {
    target: TunnelTarget
    caller: Caller
    client: Client
    local: boolean
    leaf: () => SecureContext
    ready: (socket: Socket, rest: Buffer, session: Session) => void
    onfault: (error: unknown) => void
  },
): void {
  const socket = tunnel.socket as Socket
  const timer = setTimeout(() => socket.destroy(), OPENING)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  const session = (more: Pick<TunnelSession, 'secure' | 'misnamed'>): Session => ({
    client: x.client,
    local: x.local,
    gatewayOnly: false,
    secure: false,
    certificate: undefined,
    tunnel: { target: x.target, opener: x.caller, ...more },
    shown: undefined,
    held: undefined,
    rest: undefined,
  })
  const onerror = () => socket.destroy()
  socket.on('error', onerror)
  const begin = (first: Buffer): void => {
    if (first[0] !== TLS_HANDSHAKE) {
      clearTimeout(timer)
      socket.off('error', onerror)
      x.ready(socket, first, session({ secure: false, misnamed: false }))
      return
    }
    let context: SecureContext
    try {
      context = x.leaf()
    } catch (error) {
      x.onfault(error)
      socket.destroy()
      return
    }
    socket.unshift(first)
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: ['http/1.1'],
    })
    const onTlsError = () => secure.destroy()
    secure.on('error', onTlsError)
    // Who ends its side before the handshake is done will not finish it.
    secure.once('end', onTlsError)
    secure.once('secure', () => {
      clearTimeout(timer)
      secure.off('end', onTlsError)
      secure.off('error', onTlsError)
      // Node types it as what a client asked for; a server has the name that was sent, or false.
      const { servername } = secure as unknown as { servername: string | false | undefined }
      const misnamed = !!servername && canonicalHost(servername) !== x.target.host
      x.ready(secure, Buffer.alloc(0), session({ secure: true, misnamed }))
    })
  }
  if (tunnel.rest.length > 0) begin(tunnel.rest)
  else {
    // Who ends its side before the first byte asks for nothing.
    socket.once('end', onerror)
    socket.once('data', (first: Buffer) => {
      socket.off('end', onerror)
      socket.pause()
      begin(first)
    })
    socket.resume()
  }
}
