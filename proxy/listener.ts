import { createServer, type Server, type Socket } from 'node:net'
import {
  createServer as createTlsServer,
  type SecureContext,
  type TLSSocket,
  Server as TlsServer,
} from 'node:tls'
import { readClientCertificate } from '../certs/client-certificate.ts'
import { askedFor, FOR_HEADER, refuseActing } from '../core/act-for.ts'
import { parseAuthority } from '../core/destination.ts'
import { asLocumError, type Entrance, LocumError } from '../core/errors.ts'
import type { ListenSpec } from '../core/listen.ts'
import { gatewayName, parseConnect } from '../core/target.ts'
import { chooseTunnel } from '../core/tunnel.ts'
import type { Caller, ShownCertificate } from '../core/words.ts'
import { type Bound, bind, isLocalConnection } from '../listeners/bind.ts'
import { openTls } from '../listeners/tls.ts'
import { servedAs } from './acting.ts'
import { identify, recognize } from './caller.ts'
import { Exchange } from './exchange.ts'
import { checkOrigin, isPreflight, preflightAnswer } from './gateway.ts'
import type { Client } from './limiter.ts'
import type { Living } from './live.ts'
import { recordRefusal } from './records.ts'
import { codeOfFault, refusalOf } from './refusal.ts'
import { speaksToLocum } from './request/reading.ts'
import type { Room, Session } from './room.ts'
import { openTunnel } from './tunnel/connect.ts'
import { Passage } from './tunnel/passage.ts'
import { type ServerConnectionHandle, serveH1 } from './wire/h1/server.ts'
import type { Limits } from './wire/limits.ts'
import {
  Fields,
  type RequestHead,
  type ServerExchange,
  type ServerHandler,
  type Tunnel,
  WireError,
} from './wire/message.ts'

/** Established client connections that wait to be accepted. */
const BACKLOG = 511

/** ms of silence before TCP asks whether a client is still there: one that ended only its side may be gone. */
const KEEPALIVE = 30_000

/** How long an answer to a client that ended its side may make no progress, ms. */
const HALF_CLOSED = 2_000

const SOCKETS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEPALIVE,
} as const

/** The proxy listener: three entrances on each address, chosen by the first line of a request. */
export class ProxyListener {
  readonly #room: Room
  readonly #leafFor: (host: string) => SecureContext
  readonly #limits: Readonly<Limits>
  readonly #servers: Server[] = []
  readonly #dropHandshakes: (() => void)[] = []
  readonly #connections = new Set<ServerConnectionHandle<Session>>()
  /** Tunnels in which nothing was asked yet. */
  readonly #opening = new Set<Tunnel['socket']>()
  readonly #passages = new Set<Passage>()
  readonly #handler: ServerHandler<Session>
  #closing = false
  #closed: Promise<void> | undefined

  constructor(room: Room, leafFor: (host: string) => SecureContext, limits: Readonly<Limits>) {
    this.#room = room
    this.#leafFor = leafFor
    this.#limits = limits
    this.#handler = {
      request: (x) => this.#request(x),
      malformed: (fault, session) => {
        const { code, headTooLarge } = codeOfFault(fault)
        room.counts.refused++
        return refusalOf(
          new LocumError(code, `The request is not valid HTTP: ${fault.detail}.`),
          entranceOf(session),
          { headTooLarge },
        )
      },
    }
  }

  /**
   * Opens an address, with TLS where it says so. Rejects with bad_request and with the socket's own
   * error (EADDRINUSE, EACCES…); an address that did not open leaves nothing behind.
   */
  async open(
    spec: ListenSpec,
    x: { which: string; allowPlaintext: boolean; gatewayOnly?: boolean },
  ): Promise<Bound> {
    const { gatewayOnly = false } = x
    const { clock, onfault } = this.#room
    const tls = spec.tls && (await openTls(spec.tls, { clients: 'named', clock, onfault }))
    let bound: Bound | undefined
    const accept = (socket: Socket, certificate?: ShownCertificate) => {
      const local = bound !== undefined && isLocalConnection(bound, socket)
      const secure = tls !== undefined
      const client: Client = { principal: undefined, destroy: () => socket.destroy() }
      socket.once('close', () => {
        this.#room.limiter.leave(client)
        if (session.held) this.#room.live.release(session.held)
      })
      this.#room.limiter.arrive(client)
      const session: Session = {
        client,
        local,
        gatewayOnly,
        secure,
        certificate,
        tunnel: undefined,
        shown: undefined,
        held: undefined,
        rest: () => connection.closeWhenIdle(),
      }
      const connection = this.#serve(socket, session, undefined)
    }
    const server = tls
      ? createTlsServer({ ...tls.options, ...SOCKETS }, (socket) => accept(socket, certificateOf(socket)))
      : createServer({ ...SOCKETS, pauseOnConnect: true }, (socket) => accept(socket))
    bound = await bind(server, spec, { ...x, backlog: BACKLOG })
    server.on('error', onfault)
    this.#servers.push(server)
    if (tls && server instanceof TlsServer) this.#dropHandshakes.push(tls.attend(server).dropHandshakes)
    return bound
  }

  /** Stops taking new work, lets what is under way end within `grace` ms, then cuts it off. The first call counts. */
  close(grace: number): Promise<void> {
    this.#closed ??= this.#close(grace)
    return this.#closed
  }

  async #close(grace: number): Promise<void> {
    this.#closing = true
    const closed = Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    )
    for (const drop of this.#dropHandshakes) drop()
    for (const socket of this.#opening) socket.destroy()
    for (const passage of [...this.#passages]) passage.stop()
    for (const connection of [...this.#connections]) connection.closeWhenIdle()
    const timer = setTimeout(() => {
      this.#room.live.close()
      for (const connection of [...this.#connections]) connection.destroy()
    }, grace)
    await closed
    clearTimeout(timer)
  }

  #serve(socket: Socket, session: Session, rest: Buffer | undefined): ServerConnectionHandle<Session> {
    const connection = serveH1(socket, session, this.#handler, {
      rest,
      limits: this.#limits,
      isOurs: speaksToLocum,
    })
    this.#connections.add(connection)
    const unwatch = watchHalfClosed(socket, () => connection.destroy())
    connection.onclose = () => {
      unwatch()
      this.#connections.delete(connection)
    }
    if (this.#closing) connection.closeWhenIdle()
    return connection
  }

  #request(x: ServerExchange<Session>): void {
    const { head, session } = x
    if (session.tunnel) {
      if (head.method === 'CONNECT')
        this.#refuse(x, 'connect', new LocumError('bad_request', 'A tunnel holds no other tunnel.'))
      else new Exchange(this.#room, x, 'connect').run()
    } else if (session.gatewayOnly && !head.target.startsWith('/')) this.#refuseForward(x)
    else if (head.method === 'CONNECT') this.#connect(x)
    else if (head.target.startsWith('/')) this.#gateway(x)
    else new Exchange(this.#room, x, 'forward').run()
  }

  #refuseForward(x: ServerExchange<Session>): void {
    const error = new LocumError('not_allowed', 'This address is for the gateway alone.', {
      hint: 'Ask for /c/NAME/…, or use the address of the proxy.',
    })
    this.#refuse(x, x.head.method === 'CONNECT' ? 'connect' : 'forward', error)
  }

  #gateway(x: ServerExchange<Session>): void {
    const { head } = x
    try {
      // Origin first: what a page may not use, it learns nothing about.
      const name = gatewayName(head.target)
      const route = name === undefined ? undefined : this.#room.directory.routeNamed(name)
      const origin = checkOrigin(route, head.fields)
      if (route && origin !== undefined && isPreflight(head))
        x.sendWhole(preflightAnswer(route, head, origin), '')
      else new Exchange(this.#room, x, 'gateway', origin).run()
    } catch (error) {
      this.#refuse(x, 'gateway', asLocumError(error))
    }
  }

  #connect(x: ServerExchange<Session>): void {
    const { head, session } = x
    let known: Caller | undefined
    const fail = (error: unknown) => {
      // The client went while it was looked at: there is nobody to refuse.
      if (error instanceof WireError && error.fault === 'closed') return
      this.#refuse(x, 'connect', asLocumError(error), known)
    }
    const proceed = (caller: Caller) => {
      known = caller
      try {
        if (caller.actor === undefined && head.fields.has(FOR_HEADER)) refuseActing()
        this.#room.directory.checkFresh()
        const target = parseConnect(head.target, head.host)
        const named = head.fields.get('locum-connection')
        const { directory, passesUnmatched } = this.#room
        const way = chooseTunnel(directory, caller, target, { named, passesUnmatched })
        if (way.kind !== 'open') {
          const permit = { caller, target, way, named }
          this.#pass(new Passage(this.#room, x, permit, (passage) => this.#passages.delete(passage)))
          return
        }
        const tunnel = x.takeOver({
          status: 200,
          reason: 'Connection Established',
          fields: new Fields(),
          contentLength: undefined,
        })
        this.#hold(tunnel, caller)
        openTunnel(tunnel, {
          target,
          caller,
          client: session.client,
          local: session.local,
          leaf: () => this.#leafFor(target.host),
          ready: (socket, rest, inner) => {
            this.#opening.delete(tunnel.socket)
            this.#serve(socket, inner, rest)
          },
          onfault: (error) => this.#room.onfault(error),
        })
      } catch (error) {
        fail(error)
      }
    }
    const admit = (caller: Caller) => {
      known = caller
      try {
        recognize(this.#room, session, caller)
        const served = servedAs(this.#room.directory, caller, x)
        if (served instanceof Promise) served.then(proceed, fail)
        else proceed(served)
      } catch (error) {
        fail(error)
      }
    }
    try {
      const caller = identify(this.#room, x, 'connect')
      if (caller instanceof Promise) caller.then(admit, fail)
      else admit(caller)
    } catch (error) {
      fail(error)
    }
  }

  #pass(passage: Passage): void {
    this.#passages.add(passage)
    passage.run()
    if (this.#closing) passage.stop()
  }

  /** A tunnel ends when its caller's key does. */
  #hold(tunnel: Tunnel, caller: Caller): void {
    const living: Living = { caller, cut: () => tunnel.socket.destroy() }
    this.#room.live.add(living)
    this.#opening.add(tunnel.socket)
    tunnel.socket.once('close', () => {
      this.#room.live.remove(living)
      this.#opening.delete(tunnel.socket)
    })
    if (this.#closing) tunnel.socket.destroy()
  }

  #refuse(x: ServerExchange<Session>, entrance: Entrance, error: LocumError, caller?: Caller): void {
    if (error.code === 'internal') this.#room.onfault(error)
    this.#room.counts.refused++
    const refusal = refusalOf(error, entrance, { connect: x.head.method === 'CONNECT' })
    x.sendWhole(refusal.head, refusal.body)
    try {
      recordRefusal(
        this.#room.audit,
        {
          request: this.#room.nextId(),
          caller,
          entrance,
          connection: undefined,
          destination: tunnelText(x.head),
          method: x.head.method,
          path: undefined,
        },
        error.code,
        askedFor(x.head.fields),
      )
    } catch (failure) {
      this.#room.onfault(failure)
    }
  }
}

/**
 * A client that ended its side may still read its answer (RFC 9112 §9.6), but nearly always it is gone
 * altogether, which nothing tells as long as nothing is written. So it is given up once nothing moves.
 * Returns what stops the watch.
 */
function watchHalfClosed(socket: Socket, gone: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const begin = () => {
    let written = socket.bytesWritten
    timer = setInterval(() => {
      if (socket.bytesWritten === written) gone()
      written = socket.bytesWritten
    }, HALF_CLOSED)
    timer.unref()
  }
  socket.once('end', begin)
  return () => {
    socket.off('end', begin)
    clearInterval(timer)
  }
}

/** What a client showed: undefined where it showed none. */
function certificateOf(socket: TLSSocket): ShownCertificate | undefined {
  const { raw } = socket.getPeerX509Certificate() ?? {}
  return raw && readClientCertificate(raw, socket.authorized)
}

/** Where a CONNECT leads, for the audit; undefined where it cannot be read. */
function tunnelText({ method, target }: RequestHead): string | undefined {
  const asked = method === 'CONNECT' ? parseAuthority(target) : undefined
  return asked && `${asked.host}:${asked.port ?? ''}`
}

function entranceOf(session: Session): Entrance {
  return session.tunnel ? 'connect' : 'forward'
}
