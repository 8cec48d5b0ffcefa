import type { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, isIP } from 'node:net'
import { type ConnectionOptions, connect, type SecureContext, type SecureVersion, TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { Clock } from '../../core/clock.ts'
import type { Sealer, Store } from '../../core/store.ts'
import { openStore } from '../../store/open.ts'

/** Stands still until it is told. */
export interface MovableClock extends Clock {
  advance(ms: number): void
}

export function movableClock(): MovableClock {
  let now = Math.floor(Date.now() / 1000) * 1000
  return {
    now: () => now,
    advance: (ms) => {
      now += ms
    },
  }
}

/** A new site's store and sealer, closed with the test. */
export async function newSite(t: Test, data: string = t.testdir()): Promise<[Store, Sealer]> {
  const { store, sealer, close } = await openStore({ data })
  t.teardown(close)
  return [store, sealer]
}

export interface Handshake {
  /** Why the client refused; its code. */
  readonly error: string | undefined
  /** The same in words. */
  readonly reason: string | undefined
  readonly resumed: boolean
  /** Its standard name. */
  readonly cipher: string | undefined
  /** The last ticket that the client was given. */
  readonly session: Buffer | undefined
  readonly certificate: X509Certificate | undefined
}

/** One real handshake over a socket, with a client that trusts `ca` alone and asks for `host`. */
export async function handshake(
  secureContext: SecureContext,
  host: string,
  ca: string,
  options: { version?: SecureVersion; session?: Buffer | undefined; ciphers?: string } = {},
): Promise<Handshake> {
  return shake(secureContext, host, { ca, ...options })
}

/** The certificate that a server with this context shows. */
export async function certificateFrom(secureContext: SecureContext): Promise<X509Certificate> {
  const { certificate } = await shake(secureContext, 'any.example', { rejectUnauthorized: false })
  if (!certificate) throw new Error('no certificate was shown')
  return certificate
}

async function shake(
  secureContext: SecureContext,
  host: string,
  { version, ...options }: ConnectionOptions & { version?: SecureVersion },
): Promise<Handshake> {
  const server = createServer((socket) => {
    const secured = new TLSSocket(socket, { isServer: true, secureContext })
    // A refusal is looked at where it is made, at the client.
    secured.on('error', () => secured.destroy())
    secured.on('secure', () => secured.end('hello'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const name = host.replace(/^\[|\]$/g, '')
  const client = connect({
    socket: dial((server.address() as AddressInfo).port, '127.0.0.1'),
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(version ? { minVersion: version, maxVersion: version } : {}),
    ...options,
  })
  let error: string | undefined
  let reason: string | undefined
  let session: Buffer | undefined
  let resumed = false
  let cipher: string | undefined
  let certificate: X509Certificate | undefined
  client.on('session', (ticket) => {
    session = ticket
  })
  client.on('error', (thrown: NodeJS.ErrnoException) => {
    error = thrown.code
    reason = thrown.message
  })
  client.on('secureConnect', () => {
    resumed = client.isSessionReused()
    cipher = client.getCipher().standardName
    certificate = client.getPeerX509Certificate()
  })
  client.resume()
  await new Promise((resolve) => client.on('close', resolve))
  await new Promise((resolve) => server.close(resolve))
  return { error, reason, resumed, cipher, session, certificate }
}
