import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { openSite } from '../site.ts'

/** An https service that answers with whatever it was sent, as a careless one might. */
export interface EchoUpstream {
  /** `https://echo.localhost:PORT`, a name that is loopback without asking DNS (RFC 6761 §6.3). */
  readonly url: string
  /** Its own CA's certificate, which a connection has to name. */
  readonly caPem: string
  /** The header as it came with the last request. */
  lastHeader(name: string): string | undefined
  close(): Promise<void>
}

const HOST = 'echo.localhost'

/** Its CA is that of a site of its own, in a folder beside. */
export async function serveEcho(folder: string): Promise<EchoUpstream> {
  const site = await openSite({ data: join(folder, 'upstream'), env: {} })
  const authority = await site.authority()
  let last: NodeJS.Dict<string | string[]> = {}
  const server = createServer(
    { SNICallback: (_, done) => done(null, authority.leafFor(HOST)) },
    (request, response) => {
      request.resume()
      last = request.headers
      const body = JSON.stringify({ method: request.method, path: request.url, headers: request.headers })
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      })
      response.end(body)
    },
  )
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  return {
    url: `https://${HOST}:${(server.address() as AddressInfo).port}`,
    caPem: authority.certificatePem,
    lastHeader(name) {
      const value = last[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      authority.close()
      await site.close()
    },
  }
}
