import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'

/** What a client got back. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** A caller as its program is set up. */
export interface DemoCaller {
  readonly id: string
  readonly key: string
}

export interface Route {
  readonly proxyUrl: string
  /** `https://host:port` */
  readonly upstream: string
  /** The CA that the client was told to trust. */
  readonly caPem: string
  readonly connection: string
  readonly headers: Readonly<Record<string, string>>
}

const PATH = '/v1/hello'
/** ms for one request. */
const TIMEOUT = 10_000

/** The three ways in. Each rejects where the socket fails, and answers with whatever Locum says. */
export const entrances = {
  forward: sendForward,
  connect: sendThroughTunnel,
  gateway: sendToGateway,
} as const

function proxyAuthorization({ id, key }: DemoCaller): Record<string, string> {
  return { 'Proxy-Authorization': `Basic ${Buffer.from(`${id}:${key}`).toString('base64')}` }
}

/** As HTTP_PROXY makes a client send it: the whole URL, over plain HTTP to Locum. */
function sendForward({ proxyUrl, upstream, headers }: Route, caller: DemoCaller): Promise<Answer> {
  const url = `${upstream.replace(/^https:/, 'http:')}${PATH}`
  const options = {
    ...address(proxyUrl),
    path: url,
    timeout: TIMEOUT,
    agent: false as const,
    headers: { ...headers, ...proxyAuthorization(caller), Host: new URL(url).host },
  }
  return new Promise((resolve, reject) => {
    httpRequest(options, (response) => read(response).then(resolve, reject))
      .once('error', reject)
      .end()
  })
}

/** As HTTPS_PROXY does: a tunnel, and TLS inside it. */
function sendThroughTunnel(route: Route, caller: DemoCaller): Promise<Answer> {
  const { proxyUrl, upstream, headers, caPem } = route
  const { host, hostname } = new URL(upstream)
  const options = {
    ...address(proxyUrl),
    method: 'CONNECT',
    path: host,
    timeout: TIMEOUT,
    agent: false as const,
    headers: { ...proxyAuthorization(caller), Host: host },
  }
  return new Promise((resolve, reject) => {
    const send = (socket: Socket) => {
      const createConnection = () => tlsConnect({ socket, servername: hostname, ca: caPem })
      const inside = { host: hostname, path: PATH, headers: { ...headers, Host: host }, createConnection }
      // Without an agent, which would make a connection of its own.
      httpsRequest({ ...inside, timeout: TIMEOUT }, (response) =>
        read(response)
          .then(resolve, reject)
          .finally(() => socket.destroy()),
      )
        .once('error', reject)
        .end()
    }
    httpRequest(options)
      .once('connect', (response: IncomingMessage, socket: Socket) => {
        if (response.statusCode === 200) return send(socket)
        socket.destroy()
        resolve({ status: response.statusCode ?? 0, body: '' })
      })
      .once('response', (response) => read(response).then(resolve, reject))
      .once('error', reject)
      .end()
  })
}

/** As an app does that takes a base URL. */
function sendToGateway({ proxyUrl, connection, headers }: Route, { key }: DemoCaller): Promise<Answer> {
  const options = {
    ...address(proxyUrl),
    path: `/c/${connection}${PATH}`,
    timeout: TIMEOUT,
    agent: false as const,
    headers: { ...headers, 'Locum-Authorization': `Bearer ${key}` },
  }
  return new Promise((resolve, reject) => {
    httpRequest(options, (response) => read(response).then(resolve, reject))
      .once('error', reject)
      .end()
  })
}

function address(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
}

async function read(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }
}
