import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import type { AddressInfo, Server, Socket } from 'node:net'
import * as net from 'node:net'
import * as tls from 'node:tls'
import { gzipSync } from 'node:zlib'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Issued, issue, makeCa, type TestCa } from './certificates.ts'
import { resetSocket } from './raw.ts'
import type { Teardown } from './site.ts'

/** Names that are this host without DNS, for upstreams that have to be told apart. */
export const NAMES = ['localhost', 'a.localhost', 'b.localhost', 'a.crm.localhost', '127.0.0.1']

let ca: Promise<TestCa> | undefined
let leaf: Promise<Issued> | undefined

/** One CA for all the upstreams of a test file. */
export function upstreamCa(): Promise<TestCa> {
  ca ??= makeCa('Upstreams of the tests')
  return ca
}

/** A certificate of that CA for every one of `NAMES`. */
export async function upstreamLeaf(): Promise<Issued> {
  const issuer = await upstreamCa()
  leaf ??= issue(issuer, NAMES)
  return leaf
}

/** What came, as the upstream saw it. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  /** Spelling and order kept. */
  readonly rawHeaders: readonly string[]
  body: string
  trailers: NodeJS.Dict<string>
}

export interface Upstream {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /** `https://localhost:PORT` */
  readonly origin: string
  /** The host with its port. */
  readonly authority: string
  /** PEM of the CA; undefined for http. */
  readonly ca: string | undefined
  /** Every request whose head was read, in order. */
  readonly requests: readonly Seen[]
  /** Connections that were taken, and those still open. */
  readonly connections: number
  readonly open: number
  /** Every byte that came, of all connections, as latin1. */
  readonly bytes: string
  /** Messages of `/ws`. */
  readonly sockets: ReadonlySet<WebSocket>
}

/** What an upstream does of itself. */
export interface Deeds {
  /** Sends an event to everybody at `/sse`. */
  event(data: string): void
  /** Ends every answer at `/sse`. */
  finish(): void
  /** Resets every connection. */
  reset(): void
}

/**
 * An upstream of node:http or node:https that says what it was sent. The last step of the path chooses:
 *
 * `/sse` events on demand (`event`), `/ws` a WebSocket that answers with what it gets and first says
 * its Authorization, `/slow` a head and then nothing, `/reset`, `/gzip` compressed whatever was asked
 * for, `/redirect?to=…`, `/trailers`, `/status/N`, `/bytes/N`, `/early` an answer before the body,
 * `/headers?NAME=VALUE` with those headers. Anything else echoes the request as JSON.
 */
export async function startUpstream(
  t: Teardown,
  options: {
    tls?: boolean
    host?: string
    /** On every answer. */
    headers?: Readonly<Record<string, string | string[]>>
    /** Answers instead. */
    serve?: http.RequestListener
  } = {},
): Promise<Upstream & Deeds> {
  const { tls: secure = true, host = 'localhost' } = options
  const requests: Seen[] = []
  const open = new Set<Socket>()
  const streams = new Set<http.ServerResponse>()
  let connections = 0
  let bytes = ''
  const serve: http.RequestListener = (request, response) => {
    const seen = note(request)
    for (const [name, value] of Object.entries(options.headers ?? {})) response.setHeader(name, value)
    if (options.serve) options.serve(request, response)
    else answer(request, response, seen, streams)
  }
  const note = (request: http.IncomingMessage): Seen => {
    const seen: Seen = {
      method: request.method as string,
      url: request.url as string,
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      body: '',
      trailers: {},
    }
    requests.push(seen)
    return seen
  }
  const server = secure ? https.createServer(await upstreamLeaf(), serve) : http.createServer(serve)
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (request.url?.endsWith('/refuse-continue')) {
      note(request)
      response.writeHead(417, { Connection: 'close' }).end()
    } else {
      response.writeContinue()
      serve(request, response)
    }
  })
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true })
  server.on('upgrade', (request: http.IncomingMessage, socket: Socket, head: Buffer) => {
    note(request)
    if (!request.url?.includes('/ws')) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused')
      return
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      ws.on('error', () => {})
      ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))
      ws.send(`hello ${request.headers.authorization ?? ''}`)
    })
  })
  server.on('connection', rememberCarrier)
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections++
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.toString('latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const scheme = secure ? 'https' : 'http'
  const { port } = server.address() as AddressInfo
  return {
    scheme,
    port,
    authority: `${host}:${port}`,
    origin: `${scheme}://${host}:${port}`,
    ca: secure ? (await upstreamCa()).cert : undefined,
    requests,
    get connections() {
      return connections
    },
    get open() {
      return open.size
    },
    get bytes() {
      return bytes
    },
    sockets: sockets.clients,
    event(data) {
      for (const stream of streams) stream.write(`data: ${data}\n\n`)
    },
    finish() {
      for (const stream of streams) stream.end()
    },
    reset() {
      for (const socket of open) resetUnder(socket)
    },
  }
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  seen: Seen,
  streams: Set<http.ServerResponse>,
): void {
  const url = new URL(seen.url, 'http://upstream')
  const [last, before] = url.pathname.split('/').reverse()
  const secret = request.headers.authorization ?? ''
  if (last === 'sse') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write(`data: hello ${secret}\n\n`)
    streams.add(response)
    response.on('close', () => streams.delete(response))
    return
  }
  if (last === 'slow') {
    response.writeHead(200, { 'Content-Type': 'text/plain' }).flushHeaders()
    return
  }
  if (last === 'reset') {
    resetUnder(request.socket)
    return
  }
  if (last === 'early') {
    response.writeHead(403, { 'Content-Type': 'text/plain' }).end('no need for the rest')
    return
  }
  request.setEncoding('latin1')
  request.on('error', () => {})
  request.on('data', (chunk: string) => {
    seen.body += chunk
  })
  request.on('end', () => {
    seen.trailers = request.trailers
    if (last === 'gzip') {
      response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' })
      response.end(gzipSync(`here is ${secret}`))
    } else if (last === 'redirect') {
      response.writeHead(302, { Location: url.searchParams.get('to') ?? '/elsewhere' }).end()
    } else if (last === 'trailers') {
      response.writeHead(200, { Trailer: 'X-Echo, X-Sum', 'Content-Type': 'text/plain' })
      response.write('body')
      response.addTrailers({ 'X-Echo': secret, 'X-Sum': '42' })
      response.end()
    } else if (last === 'headers') {
      for (const [name, value] of url.searchParams) response.appendHeader(name, value)
      response.end('headers')
    } else if (before === 'status') {
      response.writeHead(Number(last), { 'WWW-Authenticate': 'Bearer' }).end()
    } else if (before === 'bytes') {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': Number(last) })
      response.end(Buffer.alloc(Number(last), 'x'))
    } else if (before === 'chunks') {
      // The echo in pieces of N bytes.
      response.writeHead(200, { 'Content-Type': 'text/plain' })
      const text = secret.repeat(50)
      for (let at = 0; at < text.length; at += Number(last)) response.write(text.slice(at, at + Number(last)))
      response.end()
    } else {
      const body = JSON.stringify({
        method: seen.method,
        url: seen.url,
        headers: seen.headers,
        body: seen.body,
      })
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'X-Echo': secret,
        'Content-Length': Buffer.byteLength(body),
      })
      response.end(body)
    }
  })
}

/** TCP connections by their two ports: what carries TLS is not to be had from its socket. */
const carriers = new Map<string, Socket>()

function portsOf({ localPort, remotePort }: Socket): string {
  return `${localPort} ${remotePort}`
}

/** Makes a TCP connection known to `resetUnder`. */
export function rememberCarrier(socket: Socket): void {
  const ports = portsOf(socket)
  carriers.set(ports, socket)
  socket.on('error', () => {})
  socket.once('close', () => {
    // The ports may be another's by now.
    if (carriers.get(ports) === socket) carriers.delete(ports)
  })
}

/** Breaks a connection off (RST), also one with TLS on it. */
export function resetUnder(socket: Socket): void {
  const carrier = carriers.get(portsOf(socket))
  if (carrier) resetSocket(carrier)
}

/** An upstream that speaks in bytes: `script` gets each connection once it is ready, TLS done. */
export async function startBytes(
  t: Teardown,
  script: (socket: Socket) => void,
  options: { tls?: boolean; leaf?: Issued; host?: string } = {},
): Promise<{
  port: number
  origin: string
  authority: string
  ca: string | undefined
  readonly open: number
}> {
  const { tls: secure = true, host = 'localhost' } = options
  const open = new Set<Socket>()
  const take = (socket: Socket): void => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    script(socket)
  }
  const server: Server = secure
    ? tls.createServer({ ...(options.leaf ?? (await upstreamLeaf())) }, take)
    : net.createServer(take)
  server.on('connection', rememberCarrier)
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    authority: `${host}:${port}`,
    origin: `${secure ? 'https' : 'http'}://${host}:${port}`,
    ca: secure ? (await upstreamCa()).cert : undefined,
    get open() {
      return open.size
    },
  }
}

/** A script for `startBytes` that says `reply` (latin1) to each request head, whatever body comes behind it. */
export function replying(
  reply: (head: string, socket: Socket) => string | undefined,
): (socket: Socket) => void {
  return (socket) => {
    let held = ''
    socket.on('data', (chunk: Buffer) => {
      held += chunk.toString('latin1')
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        const head = held.slice(0, end)
        held = held.slice(end + 4)
        const text = reply(head, socket)
        if (text !== undefined) socket.write(Buffer.from(text, 'latin1'))
      }
    })
  }
}
