import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import type { Teardown } from './site.ts'
import { upstreamCa, upstreamLeaf } from './upstream.ts'

/** A parent proxy that opens tunnels and does nothing else. */
export interface ParentProxy {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** PEM of its CA; undefined without TLS. */
  readonly ca: string | undefined
  /** What was asked for, in order. */
  readonly asked: readonly string[]
  /** The heads in which it was. */
  readonly heads: readonly string[]
  /** Bytes that clients sent through it, as latin1. */
  readonly carried: string
  /** Connections that are open now. */
  readonly open: number
}

/** Says something else than 200: the bytes of an answer, or does what it likes. */
type Instead = string | ((socket: net.Socket) => void)

/**
 * Takes `CONNECT ADDRESS:PORT` with the same Host, perhaps Proxy-Authorization, and no other field; anything
 * else is 400. `credentials`: `user:password`, else 407. `to`: the port of this host to which a tunnel
 * leads, or what happens instead; it leads where it says unless told.
 */
export async function startParent(
  t: Teardown,
  options: {
    tls?: boolean
    credentials?: string
    to?: (authority: string) => number | Instead | undefined
  } = {},
): Promise<ParentProxy> {
  const { credentials, to = () => undefined } = options
  const asked: string[] = []
  const heads: string[] = []
  const open = new Set<net.Socket>()
  let carried = ''

  const answer = (head: string, client: net.Socket): Instead | net.Socket => {
    const lines = head.split('\r\n')
    const [, authority] = /^CONNECT (\S+) HTTP\/1\.1$/.exec(lines[0] as string) ?? []
    const [, host, port] = /^(\[[0-9a-f:.]+\]|[0-9.]+):(\d+)$/.exec(authority ?? '') ?? []
    const fields = lines.slice(1).filter((line) => !/^Proxy-Authorization: /.test(line))
    const bare = host?.replace(/^\[|\]$/g, '') ?? ''
    if (net.isIP(bare) === 0 || fields.join() !== `Host: ${authority}`) return 'HTTP/1.1 400 Bad\r\n\r\n'
    asked.push(authority as string)
    if (credentials !== undefined) {
      const wanted = `Proxy-Authorization: Basic ${Buffer.from(credentials).toString('base64')}`
      if (lines.filter((line) => line === wanted).length !== 1)
        return 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="corp"\r\nContent-Length: 12\r\n\r\nbody of corp'
    }
    const way = to(authority as string) ?? [bare, Number(port)]
    if (typeof way === 'string' || typeof way === 'function') return way
    const [address, at] = typeof way === 'number' ? ['127.0.0.1', way] : (way as [string, number])
    const upstream = net.connect({ host: address, port: at, allowHalfOpen: true })
    upstream.once('connect', () => client.write('HTTP/1.1 200 Connection established\r\n\r\n'))
    return upstream
  }

  const take = (client: net.Socket) => {
    let text = ''
    client.on('error', () => {})
    const read = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      client.off('data', read)
      heads.push(text.slice(0, end))
      const way = answer(text.slice(0, end), client)
      if (typeof way === 'string') client.end(Buffer.from(way, 'latin1'))
      else if (typeof way === 'function') {
        client.on('end', () => client.end())
        client.resume()
        way(client)
      } else {
        const drop = () => {
          way.destroy()
          client.destroy()
        }
        way.on('error', drop)
        client.on('close', drop)
        way.on('close', drop)
        client.on('data', (piece: Buffer) => {
          carried += piece.toString('latin1')
        })
        client.pipe(way)
        way.pipe(client)
      }
    }
    client.on('data', read)
  }
  const server: net.Server = options.tls
    ? tls.createServer({ ...(await upstreamLeaf()), allowHalfOpen: true }, take)
    : net.createServer({ allowHalfOpen: true }, take)
  server.on('connection', (socket: net.Socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    ca: options.tls ? (await upstreamCa()).cert : undefined,
    asked,
    heads,
    get carried() {
      return carried
    },
    get open() {
      return open.size
    },
  }
}
