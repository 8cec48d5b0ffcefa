import { connect as connectTcp, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isAddress } from '../../core/destination.ts'
import { asLocumError, LocumError } from '../../core/errors.ts'
import {
  interleave,
  isLocalName,
  judgeAddresses,
  type Listener,
  LOCAL_ADDRESSES,
  type Lookup,
} from './addresses.ts'
import { type DialPhase, dialError } from './faults.ts'
import type { UpstreamLimits } from './limits.ts'
import type { UpstreamSpec } from './spec.ts'
import type { TlsMemory } from './tls.ts'

/** What every dial of a process shares. */
export interface DialContext {
  readonly lookup: Lookup
  readonly ownListeners: () => readonly Listener[]
  readonly localAddresses: () => readonly string[]
  readonly limits: UpstreamLimits
  readonly tls: TlsMemory
  /** Told of every socket that is opened, the losers of a race too. */
  readonly opened: (socket: Socket) => void
}

export type Dialled = (error: LocumError | undefined, socket: Socket | undefined) => void

/** ms of silence before TCP asks whether an idle peer is still there. */
const KEEPALIVE_MS = 30_000

/** A socket's faults are told by whoever serves it; this one listens where nobody does, so that none ends the process (R17). */
function ignoreError(): void {}

/**
 * One try to connect. A name is looked up once, all of its addresses are judged, and the judged addresses
 * themselves are dialled, in turn and a little in parallel (RFC 8305); the name remains for SNI and the
 * certificate. `done` is called once, perhaps inside `start`, and never after `cancel`.
 */
export class Dial {
  readonly #context: DialContext
  readonly #spec: UpstreamSpec
  #done: Dialled | undefined
  #phase: DialPhase = 'lookup'
  #addresses: readonly string[] = []
  #next = 0
  readonly #trying = new Set<Socket>()
  #lastError: unknown
  #deadline: NodeJS.Timeout | undefined
  #stagger: NodeJS.Timeout | undefined

  constructor(context: DialContext, spec: UpstreamSpec, done: Dialled) {
    this.#context = context
    this.#spec = spec
    this.#done = done
  }

  start(): void {
    const { host, wildcard } = this.#spec.destination
    if (wildcard) {
      this.#fail(new LocumError('internal', 'A wildcard cannot be dialled.'))
      return
    }
    this.#deadline = setTimeout(() => this.#expire(), this.#context.limits.connectMs)
    if (isAddress(host)) this.#judge([host.startsWith('[') ? host.slice(1, -1) : host])
    else if (isLocalName(host)) this.#judge(LOCAL_ADDRESSES)
    else this.#lookUp(host)
  }

  /** Gives up; `done` is not called. */
  cancel(): void {
    this.#done = undefined
    this.#stop()
  }

  async #lookUp(host: string): Promise<void> {
    let answers: Awaited<ReturnType<Lookup>>
    try {
      answers = await this.#context.lookup(host)
    } catch (thrown) {
      this.#fail(dialError(thrown, 'lookup'))
      return
    }
    if (!this.#done) return
    if (answers.length === 0) this.#fail(dialError({ code: 'ENODATA' }, 'lookup'))
    else this.#judge(answers.map((answer) => answer.address))
  }

  #judge(addresses: readonly string[]): void {
    try {
      judgeAddresses(addresses, this.#spec.destination.port, {
        allowPrivateNetwork: this.#spec.allowPrivateNetwork,
        ownListeners: this.#context.ownListeners(),
        localAddresses: this.#context.localAddresses,
      })
    } catch (thrown) {
      this.#fail(asLocumError(thrown))
      return
    }
    this.#phase = 'connect'
    this.#addresses = interleave(addresses).slice(0, this.#context.limits.addresses)
    this.#tryNext()
  }

  #tryNext(): void {
    clearTimeout(this.#stagger)
    const address = this.#addresses[this.#next++]
    if (address === undefined) return
    let socket: Socket
    try {
      socket = this.#open(address)
    } catch (thrown) {
      this.#fail(dialError(thrown, 'tls'))
      return
    }
    this.#trying.add(socket)
    socket.on('error', ignoreError)
    const refused = (error?: unknown) => this.#refused(socket, error)
    socket.once('error', refused)
    socket.once('close', refused)
    socket.once('connect', () => {
      socket.off('error', refused)
      socket.off('close', refused)
      this.#connected(socket)
    })
    this.#context.opened(socket)
    if (this.#next < this.#addresses.length) {
      this.#stagger = setTimeout(() => this.#tryNext(), this.#context.limits.nextAddressMs)
    }
  }

  #open(address: string): Socket {
    const { scheme, port } = this.#spec.destination
    if (scheme === 'https') return this.#context.tls.connect(this.#spec, address)
    return connectTcp({ host: address, port, allowHalfOpen: true })
  }

  #refused(socket: Socket, error: unknown): void {
    if (!this.#trying.delete(socket) || !this.#done) return
    if (error instanceof Error) this.#lastError = error
    if (this.#next < this.#addresses.length) this.#tryNext()
    else if (this.#trying.size === 0) this.#fail(dialError(this.#lastError, 'connect'))
  }

  #connected(socket: Socket): void {
    if (!this.#trying.delete(socket) || !this.#done) return
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEPALIVE_MS)
    this.#stop()
    if (this.#spec.destination.scheme === 'https') this.#handshake(socket as TLSSocket)
    else this.#succeed(socket)
  }

  #handshake(socket: TLSSocket): void {
    this.#phase = 'tls'
    this.#trying.add(socket)
    this.#deadline = setTimeout(() => this.#expire(), this.#context.limits.handshakeMs)
    const broken = (error?: unknown) => {
      // The session may be what the other side could not take.
      this.#context.tls.forget(this.#spec.key)
      this.#fail(dialError(error, 'tls'))
    }
    socket.once('error', broken)
    socket.once('close', broken)
    socket.once('secureConnect', () => {
      socket.off('error', broken)
      socket.off('close', broken)
      if (!this.#done) return
      this.#trying.delete(socket)
      this.#succeed(socket)
    })
  }

  #expire(): void {
    const seconds = (ms: number) => `${ms / 1000} s`
    const { connectMs, handshakeMs } = this.#context.limits
    this.#fail(
      this.#phase === 'tls'
        ? new LocumError('upstream_timeout', `The TLS handshake took longer than ${seconds(handshakeMs)}.`)
        : new LocumError('upstream_unreachable', `There was no connection within ${seconds(connectMs)}.`, {
            cause: this.#lastError,
          }),
    )
  }

  #succeed(socket: Socket): void {
    const done = this.#done
    this.#done = undefined
    this.#stop()
    done?.(undefined, socket)
  }

  #fail(error: LocumError): void {
    const done = this.#done
    this.#done = undefined
    this.#stop()
    done?.(error, undefined)
  }

  #stop(): void {
    clearTimeout(this.#deadline)
    clearTimeout(this.#stagger)
    for (const socket of this.#trying) {
      this.#trying.delete(socket)
      socket.destroy()
    }
  }
}
