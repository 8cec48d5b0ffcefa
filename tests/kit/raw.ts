import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import type { Teardown, TestSite } from './site.ts'

/** A proxy as its clients know it: its port on loopback, its CA and their keys. */
export type Proxied = Pick<TestSite, 'port' | 'ca' | 'keys'>

/** A response as bytes say it, read by a parser that shares nothing with Locum's. Header names are lower case. */
export interface RawResponse {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
  readonly lines: readonly string[]
  readonly body: string
  readonly trailers: Readonly<Record<string, string>>
  /** False where it ended before its end. */
  readonly whole: boolean
  /** Interim responses before it. */
  readonly interims: readonly string[]
}

/** A client that speaks in bytes; text is latin1. */
export class RawClient {
  readonly socket: net.Socket
  /** What came and was not taken yet. */
  received = ''
  ended = false
  closed = false
  #waiting: (() => void)[] = []

  readonly #transport: net.Socket

  /** `transport`: what carries a TLS socket. */
  constructor(socket: net.Socket, transport: net.Socket = socket) {
    this.socket = socket
    this.#transport = transport
    const note = (change: () => void) => () => {
      change()
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
    socket.on('data', (chunk: Buffer) =>
      note(() => {
        this.received += chunk.toString('latin1')
      })(),
    )
    socket.on(
      'end',
      note(() => {
        this.ended = true
      }),
    )
    socket.on(
      'close',
      note(() => {
        this.ended = true
        this.closed = true
      }),
    )
    socket.on('error', () => {})
  }

  send(text: string): this {
    this.socket.write(Buffer.from(text, 'latin1'))
    return this
  }

  /** Breaks the connection off (RST). */
  reset(): void {
    resetSocket(this.#transport)
  }

  /** All that is there, once `holds`, or once the other side has ended. */
  async until(holds: (received: string) => boolean): Promise<string> {
    while (!holds(this.received) && !this.ended) await this.#next()
    return this.received
  }

  /** All that comes until the other side ends. */
  whole(): Promise<string> {
    return this.until(() => false)
  }

  async gone(): Promise<void> {
    while (!this.closed) await this.#next()
  }

  /** Takes the next response from what comes. `head`: it answers a HEAD. */
  async response(head = false): Promise<RawResponse> {
    const interims: string[] = []
    for (;;) {
      await this.until((received) => received.includes('\r\n\r\n'))
      const end = this.received.indexOf('\r\n\r\n')
      if (end < 0) throw new Error(`no response but ${JSON.stringify(this.received.slice(0, 200))}`)
      const lines = this.received.slice(0, end).split('\r\n')
      const match = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(lines.shift() as string)
      if (!match) throw new Error(`no status line: ${JSON.stringify(this.received.slice(0, 200))}`)
      const status = Number(match[1])
      this.received = this.received.slice(end + 4)
      if (status < 200 && status !== 101) {
        interims.push(`${status} ${lines.join('|')}`)
        continue
      }
      const headers = fieldsOf(lines)
      const rest =
        head || status === 204 || status === 304 || status === 101 ? NOTHING : await this.#body(headers)
      return { status, reason: match[2] as string, headers, lines, interims, ...rest }
    }
  }

  async #body(headers: Record<string, string>): Promise<typeof NOTHING> {
    const length = headers['content-length']
    if (length !== undefined) {
      const bytes = Number(length)
      await this.until((received) => received.length >= bytes)
      const body = this.#take(bytes)
      return { body, trailers: {}, whole: body.length === bytes }
    }
    if (headers['transfer-encoding'] !== 'chunked') {
      const body = await this.whole()
      this.received = ''
      return { body, trailers: {}, whole: true }
    }
    let body = ''
    for (;;) {
      await this.until((received) => received.includes('\r\n'))
      const end = this.received.indexOf('\r\n')
      if (end < 0) return { body, trailers: {}, whole: false }
      const size = Number.parseInt(this.received.slice(0, end), 16)
      if (size === 0) break
      await this.until((received) => received.length >= end + 4 + size)
      const chunk = this.#take(end + 4 + size)
      body += chunk.slice(end + 2, end + 2 + size)
      if (chunk.length < end + 4 + size) return { body, trailers: {}, whole: false }
    }
    await this.until((received) => /^0\r\n(?:[^\r]+\r\n)*\r\n/.test(received))
    const section = /^0\r\n((?:[^\r]+\r\n)*)\r\n/.exec(this.received)
    if (!section) return { body, trailers: {}, whole: false }
    this.#take(section[0].length)
    return { body, trailers: fieldsOf((section[1] as string).split('\r\n').filter(Boolean)), whole: true }
  }

  #take(bytes: number): string {
    const taken = this.received.slice(0, bytes)
    this.received = this.received.slice(bytes)
    return taken
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

const NOTHING = { body: '', trailers: {} as Record<string, string>, whole: true }

function fieldsOf(lines: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`
  }
  return fields
}

/** A reset in the middle of an orderly end leaves Node with a handle that it waits for for ever. */
export function resetSocket(socket: net.Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Connects to a port of this host. */
export async function dial(t: Teardown, port: number): Promise<RawClient> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return new RawClient(socket)
}

export interface TunnelOptions {
  readonly as?: string
  /** The TLS server name; the host of the authority unless told, `false` for none. */
  readonly servername?: string | false
  /** CONNECT's Host; the authority unless told. */
  readonly host?: string
  /** What is spoken in the tunnel: TLS unless told. */
  readonly plain?: boolean
}

/** CONNECT, then TLS with the site's CA. Rejects with the refusal's status line. */
export async function openTunnel(
  t: Teardown,
  site: Proxied,
  authority: string,
  { as = 'ada', servername, host = authority, plain = false }: TunnelOptions = {},
): Promise<RawClient> {
  const client = await dial(t, site.port)
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${host}\r\n${keyLine(site, 'connect', as)}\r\n`)
  await client.until((received) => received.includes('\r\n\r\n'))
  if (!client.received.startsWith('HTTP/1.1 200 ')) throw new Error(client.received.split('\r\n')[0])
  client.received = ''
  if (plain) return client
  const { socket } = client
  socket.removeAllListeners('data')
  const name = servername ?? (authority.split(':')[0] as string)
  const secure = tls.connect({
    socket,
    ca: site.ca,
    // An address is no server name (RFC 6066 §3).
    servername: name === false || net.isIP(name) ? '' : name,
    checkServerIdentity: () => undefined,
  })
  t.teardown(() => secure.destroy())
  const opened = new RawClient(secure, socket)
  await once(secure, 'secureConnect')
  return opened
}

export const ENTRANCES = ['forward', 'connect', 'gateway'] as const
export type Entrance = (typeof ENTRANCES)[number]

/** The header line with which a principal shows its key; none for `''`. */
export function keyLine(site: Proxied, entrance: Entrance, as: string): string {
  if (as === '') return ''
  const name = entrance === 'gateway' ? 'Locum-Authorization' : 'Proxy-Authorization'
  return `${name}: Bearer ${site.keys[as] ?? as}\r\n`
}

export interface Asked {
  readonly as?: string
  readonly method?: string
  readonly path?: string
  /** Header lines, each as `Name: value`. */
  readonly headers?: readonly string[]
  /** Sent with its Content-Length. */
  readonly body?: string
  /** Sent as it is behind the head, which says how it is framed itself. */
  readonly raw?: string
}

/** An upstream and the name of its connection. */
export interface Goal {
  readonly origin: string
  readonly authority: string
  /** The connection's name at the gateway. */
  readonly name: string
}

/**
 * Sends a request by an entrance and leaves the answer to the caller. In absolute form the scheme is
 * http, as HTTP_PROXY's clients write it.
 */
export async function sendBy(
  t: Teardown,
  site: Proxied,
  entrance: Entrance,
  goal: Goal,
  { as = 'ada', method = 'GET', path = '/echo', headers = [], body, raw = '' }: Asked = {},
): Promise<RawClient> {
  const lines = [...headers, ...(body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`])]
  const rest = `${lines.map((line) => `${line}\r\n`).join('')}\r\n${body ?? raw}`
  if (entrance === 'connect') {
    const plain = goal.origin.startsWith('http:')
    const tunnel = await openTunnel(t, site, goal.authority, { as, plain })
    return tunnel.send(`${method} ${path} HTTP/1.1\r\nHost: ${goal.authority}\r\n${rest}`)
  }
  const client = await dial(t, site.port)
  const key = keyLine(site, entrance, as)
  if (entrance === 'gateway')
    return client.send(
      `${method} /c/${goal.name}${path} HTTP/1.1\r\nHost: 127.0.0.1:${site.port}\r\n${key}${rest}`,
    )
  return client.send(
    `${method} http://${goal.authority}${path} HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}${rest}`,
  )
}

/** Sends a request by an entrance and reads its answer. */
export async function askBy(
  t: Teardown,
  site: Proxied,
  entrance: Entrance,
  goal: Goal,
  asked: Asked = {},
): Promise<RawResponse> {
  const client = await sendBy(t, site, entrance, goal, asked)
  const response = await client.response(asked.method === 'HEAD')
  client.socket.destroy()
  return response
}

/** Resolves when `holds` does, looking after each turn of the event loop; rejects after `ms`. */
export async function eventually(holds: () => boolean, what: string, ms = 5000): Promise<void> {
  const until = performance.now() + ms
  while (!holds()) {
    if (performance.now() > until) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** CONNECT with these header lines; the answer is the caller's to read. */
export async function sendConnect(
  t: Teardown,
  port: number,
  authority: string,
  lines: string,
): Promise<RawClient> {
  const client = await dial(t, port)
  return client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`)
}
