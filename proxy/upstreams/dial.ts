import { connect as connectTcp, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isLocalName } from '../../core/addresses.ts'
import { isAddress } from '../../core/destination.ts'
import { asLocumError, LocumError } from '../../core/errors.ts'
import { Intake } from '../wire/h1/intake.ts'
import { interleave, judgeAddresses, type Listener, LOCAL_ADDRESSES, type Lookup } from './addresses.ts'
import { type DialPhase, dialError } from './faults.ts'
import type { UpstreamLimits } from './limits.ts'
import type { Lookups } from './lookups.ts'
import type { Opening, Parent } from './parent.ts'
import type { UpstreamSpec } from './spec.ts'
import type { TlsMemory } from './tls.ts'

/** What every dial of a process shares. */
export interface DialContext {
  readonly lookups: Lookups
  readonly ownListeners: () => readonly Listener[]
  readonly localAddresses: () => readonly string[]
  readonly limits: UpstreamLimits
  readonly tls: TlsMemory
  /** Told of every socket that is opened, the losers of a race too. */
  readonly opened: (socket: Socket) => void
  /** Where everything leaves by a parent proxy. */
  readonly parent?: Parent
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
  /** By which the addresses are dialled; undefined: from here. */
  readonly #parent: Parent | undefined
  readonly #asking = new Set<Opening>()
  #asked: { cancel(): void } | undefined
  #lastError: unknown
  #deadline: NodeJS.Timeout | undefined
  #stagger: NodeJS.Timeout | undefined

  constructor(context: DialContext, spec: UpstreamSpec, done: Dialled) {
    this.#context = context
    this.#spec = spec
    this.#done = done
    this.#parent = context.parent?.carries(spec.destination.host) ? context.parent : undefined
  }

  start(): void {
    const { host, wildcard } = this.#spec.destination
    if (wildcard) {
      this.#fail(new LocumError('internal', 'A wildcard cannot be dialled.'))
      return
    }
    const { connectMs, parentMs } = this.#context.limits
    this.#deadline = setTimeout(() => this.#expire(), this.#parent ? parentMs : connectMs)
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
      const { key, group = key } = this.#spec
      const asking = this.#context.lookups.ask(group, host)
      this.#asked = asking
      answers = await asking.answers
    } catch (thrown) {
      this.#fail(this.#lookupError(thrown))
      return
    }
    if (!this.#done) return
    if (answers.length === 0) this.#fail(this.#lookupError({ code: 'ENODATA' }))
    else this.#judge(answers.map((answer) => answer.address))
  }

  /** A parent proxy may know names that this host does not; who judges addresses has to know them too. */
  #lookupError(thrown: unknown): LocumError {
    const error = dialError(thrown, 'lookup')
    if (!this.#parent) return error
    return new LocumError(error.code, error.detail, {
      cause: error.cause,
      hint: 'Locum looks names up itself, behind an egress proxy too, to judge where they lead: this host needs a resolver that knows them.',
    })
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
    const { limits } = this.#context
    if (this.#next < this.#addresses.length) {
      const ms = this.#parent ? limits.nextAddressByParentMs : limits.nextAddressMs
      this.#stagger = setTimeout(() => this.#tryNext(), ms)
    }
    if (this.#parent) this.#ask(this.#parent, address)
    else this.#dial(address)
  }

  #dial(address: string): void {
    let socket: Socket
    try {
      socket = this.#open(address)
    } catch (thrown) {
      this.#fail(dialError(thrown, 'tls'))
      return
    }
    this.#trying.add(socket)
    socket.on('error', ignoreError)
    const refused = (error?: unknown) => {
      if (this.#trying.delete(socket)) this.#refused(error)
    }
    socket.once('error', refused)
    socket.once('close', refused)
    socket.once('connect', () => {
      socket.off('error', refused)
      socket.off('close', refused)
      this.#connected(socket)
    })
    this.#context.opened(socket)
  }

  #open(address: string): Socket {
    if (this.#isSecure) return this.#context.tls.connect(this.#spec, address)
    const to = { host: address, port: this.#spec.destination.port, allowHalfOpen: true }
    if (this.#spec.raw) return connectTcp(to)
    const intake = new Intake()
    return intake.serve(connectTcp({ ...to, onread: intake.onread }))
  }

  get #isSecure(): boolean {
    return this.#spec.destination.scheme === 'https' && !this.#spec.raw
  }

  #ask(parent: Parent, address: string): void {
    const { destination, raw } = this.#spec
    const opening = parent.open(address, destination.port, raw === true, (error, socket, final) => {
      this.#asking.delete(opening)
      if (!this.#done) socket?.destroy()
      else if (socket) this.#throughParent(socket)
      else if (final && error) this.#fail(error)
      else this.#refused(error)
    })
    this.#asking.add(opening)
    opening.start()
  }

  #throughParent(socket: Socket): void {
    this.#stop()
    if (!this.#isSecure) {
      this.#succeed(socket)
      return
    }
    try {
      const secure = this.#context.tls.connect(this.#spec, socket)
      secure.on('error', ignoreError)
      this.#handshake(secure)
    } catch (thrown) {
      socket.destroy()
      this.#fail(dialError(thrown, 'tls'))
    }
  }

  #refused(error: unknown): void {
    if (!this.#done) return
    if (error instanceof Error) this.#lastError = error
    if (this.#next < this.#addresses.length) this.#tryNext()
    else if (this.#trying.size + this.#asking.size === 0) {
      const last = this.#lastError
      this.#fail(last instanceof LocumError ? last : dialError(last, 'connect'))
    }
  }

  #connected(socket: Socket): void {
    if (!this.#trying.delete(socket) || !this.#done) return
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEPALIVE_MS)
    this.#stop()
    if (this.#isSecure) this.#handshake(socket as TLSSocket)
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
    const { connectMs, handshakeMs, parentMs } = this.#context.limits
    const cause = this.#lastError
    const unreachable = (says: string) => new LocumError('upstream_unreachable', says, { cause })
    if (this.#phase === 'tls') {
      const says = `The TLS handshake with the upstream took longer than ${handshakeMs / 1000} s.`
      this.#fail(new LocumError('upstream_timeout', says))
    } else if (this.#parent) {
      this.#fail(unreachable(`The egress proxy opened no way to the upstream within ${parentMs / 1000} s.`))
    } else this.#fail(unreachable(`There was no connection to the upstream within ${connectMs / 1000} s.`))
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
    this.#asked?.cancel()
    for (const socket of this.#trying) {
      this.#trying.delete(socket)
      socket.destroy()
    }
    for (const opening of this.#asking) {
      this.#asking.delete(opening)
      opening.cancel()
    }
  }
}
