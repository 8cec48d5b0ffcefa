import { actorOf } from '../../core/act-for.ts'
import { asLocumError, type Code, LocumError } from '../../core/errors.ts'
import type { TunnelTarget } from '../../core/target.ts'
import { chooseTunnel, type TunnelWay } from '../../core/tunnel.ts'
import type { Caller } from '../../core/words.ts'
import { both } from '../limiter.ts'
import type { Living } from '../live.ts'
import { type About, recordOutcome, recordRefusal, recordUse } from '../records.ts'
import { refusalOf } from '../refusal.ts'
import type { Room, Session } from '../room.ts'
import type { UpstreamSpec } from '../upstreams/spec.ts'
import { Fields, type ServerExchange, type Tunnel, WireError } from '../wire/message.ts'
import { join } from './join.ts'
import { NameGuard } from './name-guard.ts'

/** How long a client may take for its TLS server name once the tunnel is open, ms. */
const OPENING = 20_000

/** A TLS alert: fatal, unrecognized_name (RFC 8446 §6). */
const UNRECOGNIZED_NAME = Buffer.from('15030100020270', 'hex')

const NOTHING = Buffer.alloc(0)

/** What was permitted. */
interface Permit {
  readonly caller: Caller
  readonly target: TunnelTarget
  readonly way: Exclude<TunnelWay, { kind: 'open' }>
  /** The client's `Locum-Connection`. */
  readonly named: string | undefined
}

/**
 * A CONNECT whose bytes pass untouched: recorded, judged and dialled before it is answered, so that the client
 * hears why it fails. No leaf is minted for it, and nothing in it is read but the TLS server name.
 */
export class Passage implements Living {
  readonly caller: Caller
  place: number | undefined
  readonly #room: Room
  readonly #x: ServerExchange<Session>
  readonly #permit: Permit
  readonly #ended: (passage: Passage) => void
  readonly #about: About
  readonly #startedAt: number
  #dialling: { cancel(): void } | undefined
  #joined: { destroy(): void } | undefined
  #timer: NodeJS.Timeout | undefined
  #leave: (() => void) | undefined
  #used = false
  #settled = false
  #over = false
  #status = 0
  #code: Code | undefined
  #sent = 0
  #received = 0

  constructor(room: Room, x: ServerExchange<Session>, permit: Permit, ended: (passage: Passage) => void) {
    this.#room = room
    this.#x = x
    this.#permit = permit
    this.#ended = ended
    this.caller = permit.caller
    this.#startedAt = room.clock.now()
    const { caller, target } = permit
    this.#about = {
      request: room.nextId(),
      caller,
      entrance: 'connect',
      connection: this.connection,
      destination: `${target.host}:${target.port}`,
      method: 'CONNECT',
      path: undefined,
    }
  }

  /** Takes it on. Whatever fails becomes a refusal; nothing is thrown. */
  run(): void {
    this.#x.onabort = () => this.#finish()
    this.#room.live.add(this)
    try {
      const { limiter } = this.#room
      const actor = actorOf(this.caller)
      this.#leave = actor && limiter.enter(actor)
      this.#leave = both(this.#leave, limiter.enter(this.caller.principal))
      const { way } = this.#permit
      const drawn = way.kind === 'untouched' && this.#room.budgets.use(way.route.connection, this.caller)
      if (drawn) drawn.then(() => this.#record()).catch((error) => this.#refuse(error))
      else this.#record()
    } catch (error) {
      this.#refuse(error)
    }
  }

  #record(): void {
    if (this.#over) return
    const use = { path: '', slots: [], credential: undefined, passes: this.#permit.way.kind }
    try {
      recordUse(this.#room.audit, this.#about, use, (error) => (error ? this.#refuse(error) : this.#dial()))
    } catch (error) {
      this.#refuse(error)
    }
  }

  get connection(): string | undefined {
    const { way } = this.#permit
    return way.kind === 'untouched' ? way.route.connection.name : undefined
  }

  /** Whether a CONNECT would still pass, and by the same connection. */
  isPermitted(): boolean {
    const { caller, target, named } = this.#permit
    const { directory, passesUnmatched } = this.#room
    try {
      const way = chooseTunnel(directory, caller, target, { named, passesUnmatched })
      return way.kind === 'untouched'
        ? way.route.connection.name === this.connection
        : way.kind === 'unmatched' && this.connection === undefined
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      return false
    }
  }

  /** Locum stops: what has not begun is refused, what has may end by itself. */
  stop(): void {
    if (!this.#settled) this.cut('overloaded')
  }

  cut(code: Code): void {
    if (this.#over) return
    this.#code = code
    if (this.#joined) this.#joined.destroy()
    else this.#refuse(new LocumError(code, 'What permitted this tunnel is no longer in force.'))
  }

  #dial(): void {
    this.#used = true
    if (this.#over) {
      // It went before its use was on record.
      this.#recordOutcome()
      return
    }
    const { target, way } = this.#permit
    const secure = way.kind === 'unmatched' || way.secure
    const spec: UpstreamSpec = {
      key: 'passage',
      group: this.connection ?? 'unmatched',
      destination: { scheme: secure ? 'https' : 'http', ...target, wildcard: false },
      allowPrivateNetwork: way.kind === 'untouched' && way.route.connection.allowPrivateNetwork,
      raw: true,
    }
    this.#dialling = this.#room.upstreams.dial(spec, (error, socket) => {
      this.#dialling = undefined
      if (error) this.#refuse(error)
      else if (socket) this.#open({ socket, rest: NOTHING }, secure)
    })
  }

  #open(upstream: Tunnel, secure: boolean): void {
    if (this.#over) {
      upstream.socket.destroy()
      return
    }
    let client: Tunnel
    try {
      client = this.#x.takeOver({
        status: 200,
        reason: 'Connection Established',
        fields: new Fields(),
        contentLength: undefined,
      })
    } catch (thrown) {
      upstream.socket.destroy()
      if (thrown instanceof WireError && thrown.fault === 'closed') this.#finish()
      else this.#refuse(thrown)
      return
    }
    this.#status = 200
    if (this.#permit.way.kind === 'unmatched') this.#room.counts.unmatched++
    if (secure) this.#timer = setTimeout(() => this.cut('bad_request'), OPENING).unref()
    else this.#settled = true
    const guard = new NameGuard({
      host: this.#permit.target.host,
      secure,
      refused: (isTls) => {
        this.#code = 'authority_mismatch'
        client.socket.end(isTls ? UNRECOGNIZED_NAME : NOTHING, () => client.socket.destroy())
        upstream.socket.destroy()
      },
      settled: () => {
        this.#settled = true
        clearTimeout(this.#timer)
      },
    })
    const up = {
      push: (chunk: Buffer) => {
        const bytes = guard.push(chunk)
        this.#sent += bytes?.length ?? 0
        return bytes
      },
      end: () => {
        const bytes = guard.end()
        this.#sent += bytes?.length ?? 0
        return bytes
      },
    }
    const down = {
      push: (chunk: Buffer) => {
        this.#received += chunk.length
        return chunk
      },
      end: () => undefined,
    }
    this.#joined = join(client, upstream, up, down, () => this.#finish())
  }

  #refuse(thrown: unknown): void {
    if (this.#over) return
    const error = asLocumError(thrown)
    if (error.code === 'internal') this.#room.onfault(thrown)
    const { head, body } = refusalOf(error, 'connect', { connect: true })
    this.#status = head.status
    this.#code = error.code
    this.#room.counts.refused++
    this.#x.sendWhole(head, body)
    this.#finish()
  }

  /** Once, whatever ends it. */
  #finish(): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.#dialling?.cancel()
    this.#room.live.remove(this)
    this.#leave?.()
    this.#ended(this)
    if (this.#used || this.#code) this.#recordOutcome()
  }

  #recordOutcome(): void {
    const { audit, clock } = this.#room
    try {
      if (!this.#used) {
        if (this.#code) recordRefusal(audit, this.#about, this.#code)
        return
      }
      recordOutcome(audit, this.#about, {
        status: this.#status,
        code: this.#code,
        masked: 0,
        ms: clock.now() - this.#startedAt,
        sent: this.#sent,
        received: this.#received,
      })
    } catch (error) {
      this.#room.onfault(error)
    }
  }
}
