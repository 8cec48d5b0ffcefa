import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { Intake } from '../../proxy/wire/h1/intake.ts'
import { type ServerConnectionHandle, serveH1 } from '../../proxy/wire/h1/server.ts'
import { LIMITS, type Limits } from '../../proxy/wire/limits.ts'
import {
  type ClientConnection,
  Fields,
  type RequestHead,
  type ResponseHead,
  type ServerExchange,
  WireError,
} from '../../proxy/wire/message.ts'

interface Teardown {
  teardown(work: () => unknown): void
}

/** The head of `GET / HTTP/1.1` without a body, but for the changes. */
export function plainHead(changes: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    target: '/',
    minor: 1,
    host: 'a',
    fields: new Fields(),
    contentLength: undefined,
    chunked: false,
    upgrade: undefined,
    expectContinue: false,
    ...changes,
  }
}

/** A TCP server on a free port that is gone, with its sockets, when the test is. */
export async function listen(t: Teardown, onSocket: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

/** A peer that speaks in bytes. */
export class RawPeer {
  readonly socket: net.Socket
  received = ''
  ended = false
  closed = false
  #waiting: (() => void)[] = []

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (bytes) => this.#note(() => (this.received += (bytes as Buffer).toString('latin1'))))
    socket.on('end', () => this.#note(() => (this.ended = true)))
    socket.on('close', () => this.#note(() => (this.closed = this.ended = true)))
    socket.on('error', () => {})
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** All that was received, once it holds `part` (as often as `times`). Rejects at the end. */
  async until(part: string, times = 1): Promise<string> {
    while (this.received.split(part).length <= times) {
      if (this.ended) throw new Error(`ended after ${JSON.stringify(this.received.slice(0, 500))}`)
      await this.#next()
    }
    return this.received
  }

  /** All that was received, once the other side has ended. */
  async whole(): Promise<string> {
    while (!this.ended) await this.#next()
    return this.received
  }

  /** Likewise, with this side ended too. */
  async gone(): Promise<string> {
    await this.whole()
    this.socket.end()
    while (!this.closed) await this.#next()
    return this.received
  }

  take(): string {
    const { received } = this
    this.received = ''
    return received
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #note(change: () => void): void {
    change()
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

export async function dial(t: Teardown, port: number): Promise<RawPeer> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const peer = new RawPeer(socket)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return peer
}

export interface Relay {
  port: number
  handles: Set<ServerConnectionHandle<null>>
  idle: ClientConnection[]
  faults: WireError[]
  /** Connections to the origin that are open. */
  upstreams: Set<ClientConnection>
  dialled: number
}

/** The least that joins the two sides: each request to one origin, upgrades included. */
export async function startRelay(
  t: Teardown,
  origin: number,
  limits: Readonly<Limits> = LIMITS,
): Promise<Relay> {
  const relay: Relay = {
    port: 0,
    handles: new Set(),
    idle: [],
    faults: [],
    upstreams: new Set(),
    dialled: 0,
  }
  const refuse = (exchange: ServerExchange<null>, fault: unknown): void => {
    if (!(fault instanceof WireError)) throw fault
    relay.faults.push(fault)
    exchange.sendWhole(answer(400), fault.fault)
  }
  const connect = (use: (connection: ClientConnection) => void, fail: () => void): void => {
    const kept = relay.idle.pop()
    if (kept !== undefined) {
      use(kept)
      return
    }
    relay.dialled++
    const intake = new Intake()
    const { onread } = intake
    const socket = intake.serve(net.connect({ port: origin, host: '127.0.0.1', onread }))
    socket.once('error', fail)
    socket.once('connect', () => {
      socket.off('error', fail)
      const connection = connectH1(socket, { limits })
      relay.upstreams.add(connection)
      connection.onidle = () => relay.idle.push(connection)
      connection.onclose = () => {
        relay.upstreams.delete(connection)
        relay.idle = relay.idle.filter((one) => one !== connection)
      }
      use(connection)
    })
  }
  const request = (exchange: ServerExchange<null>): void => {
    let gone = false
    exchange.onabort = () => {
      gone = true
    }
    connect(
      (connection) => {
        if (gone) {
          connection.destroy()
          return
        }
        exchange.onabort = () => connection.destroy()
        try {
          connection.send(exchange.head, exchange.body, {
            informational: (head) => exchange.sendInformational(head),
            response: (head, body) => body.start(exchange.sendHead(head)),
            upgraded: (head, upstream) => {
              const client = exchange.takeOver(head)
              join(client.socket as net.Socket, client.rest, upstream.socket as net.Socket, upstream.rest)
            },
            failed: (fault) => {
              relay.faults.push(fault)
              exchange.sendWhole(answer(fault.phase === 'body' ? 400 : 502), fault.fault)
            },
          })
        } catch (fault) {
          connection.destroy()
          refuse(exchange, fault)
        }
      },
      () => exchange.sendWhole(answer(502), 'refused'),
    )
  }
  const malformed = (fault: WireError) => {
    relay.faults.push(fault)
    return { head: answer(400), body: fault.detail }
  }
  relay.port = await listen(t, (socket) => {
    const handle = serveH1(socket, null, { request, malformed }, { limits })
    relay.handles.add(handle)
    handle.onclose = () => relay.handles.delete(handle)
  })
  t.teardown(() => {
    for (const connection of relay.upstreams) connection.destroy()
  })
  return relay
}

function join(client: net.Socket, clientRest: Buffer, upstream: net.Socket, upstreamRest: Buffer): void {
  client.write(upstreamRest)
  upstream.write(clientRest)
  client.pipe(upstream).pipe(client)
  client.on('close', () => upstream.destroy())
  upstream.on('close', () => client.destroy())
}

export function answer(status: number, contentLength?: number): ResponseHead {
  return { status, reason: 'Because', fields: new Fields(), contentLength }
}

/** Resolves when `holds` does, looking after each turn of the event loop; rejects after a second or so. */
export async function eventually(holds: () => boolean, what: string): Promise<void> {
  const until = performance.now() + 3000
  while (!holds()) {
    if (performance.now() > until) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** An origin of node:http on a free port. */
export async function startOrigin(
  t: Teardown,
  serve: http.RequestListener,
): Promise<{ port: number; server: http.Server }> {
  const server = http.createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as net.AddressInfo).port, server }
}

export interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  trailers: NodeJS.Dict<string>
  text: string
}

/** A request by Node's own client, and the whole response. Rejects where it is not whole. */
export async function ask(
  port: number,
  options: http.RequestOptions = {},
  write: (request: http.ClientRequest) => void = (request) => request.end(),
): Promise<Answer> {
  const request = http.request({ port, host: '127.0.0.1', agent: false, ...options })
  write(request)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece)
  return {
    status: response.statusCode as number,
    headers: response.headers,
    trailers: response.trailers,
    text: Buffer.concat(pieces).toString(),
  }
}

/** An origin that speaks in bytes: each connection is given to the script, which may end early. */
export function startRaw(t: Teardown, script: (peer: RawPeer) => Promise<unknown>): Promise<number> {
  return listen(t, (socket) => {
    const peer = new RawPeer(socket)
    script(peer).catch((fault) => {
      if (!peer.ended) throw fault
    })
  })
}

/** The fault that the work throws; undefined where it throws none. */
export function faultOf(work: () => unknown): WireError['fault'] | undefined {
  try {
    work()
    return undefined
  } catch (fault) {
    if (!(fault instanceof WireError)) throw fault
    return fault.fault
  }
}
