import dns from 'node:dns/promises'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { issue, makeCa } from './certificates.ts'
import type { Teardown } from './site.ts'

/** A public address: what every name of this internet resolves to. */
const ADDRESS = '93.184.215.14'

export interface Arrived {
  /** The TLS name that was asked for. */
  readonly servername: string
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

/**
 * Lets this process see an internet in which each of these hosts, on port 443 and with a certificate
 * of its own, is here and says what it was sent. Everything that Locum judges stays as it is: the name,
 * the address, the certificate; only where the packets go, and who is trusted, is the test's.
 */
export async function startInternet(t: Teardown, hosts: readonly string[]): Promise<readonly Arrived[]> {
  const ca = await makeCa('The internet')
  const arrived: Arrived[] = []
  const server = https.createServer(await issue(ca, hosts), (request: IncomingMessage, response) => {
    const { method = '', url = '', headers } = request
    arrived.push({ servername: String((request.socket as TLSSocket).servername), method, url, headers })
    response.end('arrived')
  })
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const real = { connect: tls.connect, lookup: dns.lookup }
  const secureContext = tls.createSecureContext({ ca: ca.cert })
  const connect = (options: ConnectionOptions) =>
    options.host === ADDRESS && options.port === 443
      ? real.connect({ ...options, host: '127.0.0.1', port, secureContext })
      : real.connect(options)
  const lookup = async (name: string) => {
    if (hosts.includes(name)) return [{ address: ADDRESS, family: 4 }]
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
  }
  Object.assign(tls, { connect })
  Object.assign(dns, { lookup })
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.assign(tls, { connect: real.connect })
    Object.assign(dns, { lookup: real.lookup })
    syncBuiltinESMExports()
    for (const socket of open) socket.destroy()
    server.close()
  })
  return arrived
}
