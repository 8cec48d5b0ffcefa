import { canonicalHost, isAddress } from '../../core/destination.ts'
import { HelloReader, type ServerName } from './client-hello.ts'

/**
 * Lets through what a client sends in a tunnel that passes untouched, as long as the TLS server name in it is
 * the tunnel's host (R1): another would be another host at the same address, with what holds for the one.
 * The first ClientHello is held back until it is whole; `settled` is called when it has passed.
 */
export class NameGuard {
  readonly #host: string
  readonly #secure: boolean
  readonly #refused: (isTls: boolean) => void
  readonly #settled: () => void
  readonly #reader = new HelloReader()
  #held: Buffer[] = []
  #checked = 0
  #state: 'waiting' | 'watching' | 'open' | 'shut' = 'waiting'

  /** `secure`: it has to be TLS. `refused` is called once; nothing passes from then on. */
  constructor(x: { host: string; secure: boolean; refused: (isTls: boolean) => void; settled: () => void }) {
    this.#host = x.host
    this.#secure = x.secure
    this.#refused = x.refused
    this.#settled = x.settled
  }

  /** What may go on now. */
  push(chunk: Buffer): Buffer | undefined {
    if (this.#state === 'open') return chunk
    if (this.#state === 'shut') return undefined
    const reader = this.#reader
    reader.feed(chunk)
    while (this.#checked < reader.hellos.length) {
      if (!this.#isOwn(reader.hellos[this.#checked++] as ServerName)) return this.#refuse()
    }
    if (this.#state === 'watching') {
      if (reader.over) this.#state = 'open'
      return chunk
    }
    this.#held.push(chunk)
    if (reader.hellos.length === 0 && !reader.over) return undefined
    if (reader.hellos.length === 0 && this.#secure) return this.#refuse()
    this.#state = reader.over ? 'open' : 'watching'
    this.#settled()
    return this.#release()
  }

  /** What was held back when the client ended its side: half a ClientHello is nobody's. */
  end(): Buffer | undefined {
    return this.#secure || this.#state !== 'waiting' ? undefined : this.#release()
  }

  #release(): Buffer | undefined {
    const held = this.#held
    this.#held = []
    return held.length > 1 ? Buffer.concat(held) : held[0]
  }

  #refuse(): undefined {
    this.#state = 'shut'
    this.#held = []
    this.#refused(this.#reader.hellos.length > 0)
  }

  /** An address has no server name (RFC 6066 §3); every client of today sends that of a host. */
  #isOwn(hello: ServerName): boolean {
    if (hello === 'malformed') return false
    if (hello.name === undefined) return isAddress(this.#host) || !this.#secure
    return canonicalHost(hello.name) === this.#host
  }
}
