import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import * as net from 'node:net'
import * as tls from 'node:tls'
import type { Issued } from '../kit/certificates.ts'
import { rememberCarrier, replying } from '../kit/upstream.ts'

/** One connection that an upstream took. */
export interface Arrival {
  /** The name that was asked for in TLS. */
  readonly servername: string | undefined
  readonly socket: Socket
  /** Every byte that came, as latin1. */
  bytes: string
}

/** Gets the head of each request, as latin1 without its end; what it gives is sent as it is. */
export type Answer = (head: string, socket: Socket) => string | undefined

export interface SinkSpec {
  /** The connection's name, at the gateway. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** The secret that belongs here, and nowhere else; none for a stranger. */
  readonly secret: string | undefined
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok'

/** An upstream that keeps every byte which it gets, and says what an attack wants it to say. */
export class Sink {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly scheme: 'http' | 'https'
  readonly secret: string | undefined
  /** Since the attack began. */
  arrivals: Arrival[] = []
  /** What the attack itself forgot (`forget`): the table looks through it all the same. */
  kept = ''
  /** How often plain HTTP came where TLS is spoken. */
  plaintext = 0
  /** How it answers: 200 and `ok` unless an attack says otherwise. */
  answer: Answer = () => OK
  /** Takes the whole connection instead, TLS done. */
  take: ((socket: Socket) => void) | undefined
  readonly #server: Server
  readonly #open = new Set<Socket>()

  private constructor(spec: SinkSpec, server: Server, scheme: 'http' | 'https') {
    this.name = spec.name
    this.host = spec.host
    this.secret = spec.secret
    this.scheme = scheme
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /** Listens on 127.0.0.1. `leaf`: for https. */
  static async start(spec: SinkSpec, leaf?: Issued): Promise<Sink> {
    const server: Server = leaf ? tls.createServer(leaf) : net.createServer()
    server.listen(spec.port, '127.0.0.1')
    await once(server, 'listening')
    const sink = new Sink(spec, server, leaf ? 'https' : 'http')
    server.on('connection', rememberCarrier)
    server.on(leaf ? 'secureConnection' : 'connection', (socket: Socket) => sink.#arrive(socket))
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_SSL_HTTP_REQUEST') sink.plaintext++
    })
    return sink
  }

  get authority(): string {
    return `${this.host}:${this.port}`
  }

  get origin(): string {
    return `${this.scheme}://${this.authority}`
  }

  /** Every byte that came since the attack began, or last forgot. */
  get bytes(): string {
    return this.arrivals.map(({ bytes }) => bytes).join('')
  }

  #arrive(socket: Socket): void {
    const { servername } = socket as tls.TLSSocket
    const arrival: Arrival = { servername: servername || undefined, socket, bytes: '' }
    this.arrivals.push(arrival)
    this.#open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#open.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      arrival.bytes += chunk.toString('latin1')
    })
    if (this.take) this.take(socket)
    else replying((head, from) => this.answer(head, from))(socket)
  }

  /** Forgets what came so far. */
  forget(): void {
    for (const arrival of this.arrivals) {
      this.kept += arrival.bytes
      arrival.bytes = ''
    }
  }

  /** Forgets what came, answers as at first and lets go of what is open: no attack sees another's. */
  reset(): void {
    this.arrivals = []
    this.kept = ''
    this.plaintext = 0
    this.answer = () => OK
    this.take = undefined
    for (const socket of this.#open) socket.destroy()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.reset()
    await closed
  }
}
