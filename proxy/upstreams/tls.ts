import type { OnReadOpts, Socket } from 'node:net'
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { isAddress } from '../../core/destination.ts'
import { Intake } from '../wire/h1/intake.ts'
import type { UpstreamLimits } from './limits.ts'
import { sameUpstream, type UpstreamSpec } from './spec.ts'

/** What TLS remembers between connections: a context for each CA text, a session for each key. */
export class TlsMemory {
  readonly #limits: UpstreamLimits
  readonly #contexts = new Map<string, SecureContext>()
  readonly #sessions = new Map<string, { readonly spec: UpstreamSpec; readonly session: Buffer }>()
  #defaultContext: SecureContext | undefined

  constructor(limits: UpstreamLimits) {
    this.#limits = limits
  }

  /**
   * Starts TLS to one address, or on a socket that leads there. The certificate is always verified: against the name that was asked
   * for, which is also the SNI; an address is verified against the address, and has no SNI (RFC 6066 §3).
   * Throws what OpenSSL says of a CA text that is none.
   */
  connect(spec: UpstreamSpec, to: string | Socket): TLSSocket {
    const { host, port } = spec.destination
    const kept = this.#sessions.get(spec.key)
    // A socket on another keeps to the other's reads.
    const intake = typeof to === 'string' ? new Intake() : undefined
    const options: ConnectionOptions & { allowHalfOpen: boolean; onread?: OnReadOpts } = {
      // On a socket it leads nowhere, and is only what an address is verified against.
      ...(typeof to === 'string' ? { host: to, port } : { socket: to, host: host.replace(/^\[|\]$/g, '') }),
      servername: isAddress(host) ? undefined : host,
      secureContext: this.#contextFor(spec),
      // A resumed session skips the verification, so it must be of this very upstream.
      session: kept && sameUpstream(kept.spec, spec) ? kept.session : undefined,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
      // A tunnel may end in one direction first.
      allowHalfOpen: true,
      ...(intake && { onread: intake.onread }),
    }
    const socket = connectTls(options)
    intake?.serve(socket)
    socket.on('session', (session: Buffer) => this.#keep(spec, session))
    return socket
  }

  forget(key: string): void {
    this.#sessions.delete(key)
  }

  forgetWhere(predicate: (key: string) => boolean): void {
    for (const key of this.#sessions.keys()) if (predicate(key)) this.#sessions.delete(key)
  }

  /** One with a key of ours is made for the connection and not kept. */
  #contextFor({ ca, identity }: UpstreamSpec): SecureContext {
    if (identity) return createSecureContext({ ca, ...identity })
    return ca === undefined ? this.#roots() : this.#context(ca)
  }

  #roots(): SecureContext {
    this.#defaultContext ??= createSecureContext()
    return this.#defaultContext
  }

  #context(ca: string): SecureContext {
    let context = this.#contexts.get(ca)
    if (context === undefined) {
      context = createSecureContext({ ca })
      if (this.#contexts.size >= this.#limits.contexts) dropOldest(this.#contexts)
      this.#contexts.set(ca, context)
    }
    return context
  }

  #keep(spec: UpstreamSpec, session: Buffer): void {
    // Again at the end: the oldest is the one that was renewed longest ago.
    this.#sessions.delete(spec.key)
    if (this.#sessions.size >= this.#limits.sessions) dropOldest(this.#sessions)
    this.#sessions.set(spec.key, { spec, session })
  }
}

function dropOldest(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
