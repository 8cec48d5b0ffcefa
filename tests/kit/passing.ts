import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import { connectionTo } from './echo-site.ts'
import { openTunnel, RawClient, type TunnelOptions } from './raw.ts'
import type { Teardown, TestSite } from './site.ts'
import { upstreamCa } from './upstream.ts'

/** A connection whose CONNECT passes untouched, as an entry of the file. */
export function untouchedTo(
  upstream: { origin: string; ca: string | undefined },
  more: Readonly<Record<string, unknown>> = {},
) {
  const { allowPlaintext: _, ...connection } = connectionTo(upstream) as Record<string, unknown>
  return { ...connection, name: 'lab', auth: { method: 'none' }, intercept: false, ...more }
}

export interface PassingOptions extends Omit<TunnelOptions, 'plain'> {
  readonly alpn?: readonly string[]
}

/** CONNECT, then TLS with the upstream itself: its CA is trusted and the site's is not. */
export async function openPassing(
  t: Teardown,
  site: TestSite,
  authority: string,
  { as, servername, alpn = [] }: PassingOptions = {},
): Promise<RawClient & { readonly tls: tls.TLSSocket }> {
  const { socket } = await openTunnel(t, site, authority, { as, plain: true })
  socket.removeAllListeners('data')
  const host = authority.replace(/:\d+$/, '')
  const name = servername ?? host
  const secure = tls.connect({
    socket,
    ca: (await upstreamCa()).cert,
    ALPNProtocols: [...alpn],
    servername: name === false || net.isIP(name) ? '' : name,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
  })
  t.teardown(() => secure.destroy())
  const opened = Object.assign(new RawClient(secure, socket), { tls: secure })
  await once(secure, 'secureConnect')
  return opened
}
