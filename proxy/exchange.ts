import { actorOf, askedFor } from '../core/act-for.ts'
import type { Material, OpenRequest } from '../core/directory.ts'
import { asLocumError, type Code, type Entrance, LocumError } from '../core/errors.ts'
import type { Route } from '../core/route.ts'
import type { Base, Candidate } from '../core/target.ts'
import type { Caller } from '../core/words.ts'
import { servedAs } from './acting.ts'
import { Answering } from './answer/answering.ts'
import { checkBounds, identify, recognize } from './caller.ts'
import { clockOffset, noteClock } from './clocks.ts'
import { corsFields, rewriteResponse } from './gateway.ts'
import { both } from './limiter.ts'
import type { Living } from './live.ts'
import { type About, recordOutcome, recordRefusal, recordUse } from './records.ts'
import { refusalOf } from './refusal.ts'
import { Draft } from './request/draft.ts'
import { takesCredential } from './request/injection.ts'
import { checkAllowed, checkFilled, type Found, findRoute } from './request/reading.ts'
import type { Room, Session } from './room.ts'
import { specFor } from './specs.ts'
import type { Sending, UpstreamHandler, UpstreamSpec } from './upstreams/spec.ts'
import type { BodySource, ResponseHead, ServerExchange } from './wire/message.ts'

/**
 * One request, from its head to the last byte of its answer (which is in Answering). It is its own handler
 * and its own sink, so that a request costs few objects.
 */
export class Exchange extends Answering implements UpstreamHandler, Living {
  readonly #room: Room
  readonly #x: ServerExchange<Session>
  readonly #entrance: Entrance
  readonly #id: string
  readonly #startedAt: number
  readonly #clientMethod: string
  readonly #clientHost: string | undefined
  #caller: Caller | undefined
  #found: Found | undefined
  #draft: Draft | undefined
  readonly #origin: string | undefined
  #material: Material | undefined
  #candidate: Candidate | undefined
  #base: Base | undefined
  #sending: Sending | undefined
  place: number | undefined
  #used = false
  /** What counted the request among its caller's is told of its end. */
  #leave: (() => void) | undefined
  #budgeted = false
  #repeated = false
  /** ms that the upstream's clock was taken to be ahead. */
  #offset = 0

  /** `origin`: the listed origin of a browser's request at the gateway. */
  constructor(room: Room, x: ServerExchange<Session>, entrance: Entrance, origin?: string) {
    super(room, x)
    this.#room = room
    this.#x = x
    this.#entrance = entrance
    this.#origin = origin
    this.#id = room.nextId()
    this.#startedAt = room.clock.now()
    this.#clientMethod = x.head.method
    this.#clientHost = x.head.host
    room.counts.requests++
  }

  /** Takes the request on. Whatever fails becomes a refusal; nothing is thrown. */
  run(): void {
    this.#x.onabort = () => this.#clientGone()
    try {
      const caller = identify(this.#room, this.#x, this.#entrance)
      if (caller instanceof Promise)
        caller.then((known) => this.#admit(known)).catch((error) => this.refuse(error))
      else this.#admit(caller)
    } catch (error) {
      this.refuse(error)
    }
  }

  /** From who calls to as whom they are served. */
  #admit(caller: Caller): void {
    try {
      if (this.over) return
      this.#caller = caller
      recognize(this.#room, this.#x.session, caller)
      // Before whom it names is looked up: that costs as much as a request.
      this.#leave = this.#room.limiter.enter(caller.principal)
      const served = servedAs(this.#room.directory, caller, this.#x)
      if (served instanceof Promise)
        served.then((known) => this.#proceed(known)).catch((error) => this.refuse(error))
      else this.#proceed(served)
    } catch (error) {
      this.refuse(error)
    }
  }

  /** From a known caller to the placeholders. */
  #proceed(caller: Caller): void {
    try {
      if (this.over) return
      this.#caller = caller
      // From here on a revoked key ends it, whatever it waits for.
      this.#room.live.add(this)
      this.#room.directory.checkFresh()
      if (actorOf(caller)) this.#leave = both(this.#leave, this.#room.limiter.enter(caller.principal))
      const found = findRoute(this.#room.directory, caller, this.#x, this.#entrance)
      checkBounds(caller, this.#origin, found.route.connection.name)
      this.#found = found
      this.#candidate = found.candidate
      this.#base = found.base
      const draft = new Draft(this.#x, found.route, found.path, found.candidate)
      this.#draft = draft
      // A client may take its time for a body.
      this.lasting = draft.readsBody
      if (!draft.readsBody) this.#open(caller, found.route, draft)
      else
        draft.readBody(
          () => this.#open(caller, found.route, draft),
          (error) => this.refuse(error),
        )
    } catch (error) {
      this.refuse(error)
    }
  }

  /** From the placeholders to an open credential. */
  #open(caller: Caller, route: Route, draft: Draft): void {
    try {
      if (this.over) return
      this.lasting = false
      if (takesCredential(route) && (route.needsCredential || draft.drawsOnAuth)) {
        const material = this.#room.broker.open(this.#openRequest(caller, route))
        if (material instanceof Promise)
          material.then((open) => this.#permit(open)).catch((error) => this.refuse(error))
        else this.#permit(material)
      } else {
        if (takesCredential(route)) this.#room.counts.uncredentialed++
        this.#permit(undefined)
      }
    } catch (error) {
      this.refuse(error)
    }
  }

  #openRequest(caller: Caller, route: Route): OpenRequest {
    return { caller, route, destination: this.#found?.candidate?.destination }
  }

  /** From an open credential to the upstream: record the use, then write. */
  #permit(material: Material | undefined): void {
    try {
      if (this.over) return
      const { caller, found, draft } = this.#need()
      if (!this.#budgeted) {
        // Once, also where it is sent twice.
        this.#budgeted = true
        const drawn = this.#room.budgets.use(found.route.connection, caller)
        if (drawn) {
          drawn.then(() => this.#permit(material)).catch((error) => this.refuse(error))
          return
        }
      }
      const { route, path } = found
      if (material?.base) {
        this.#base = material.base
        this.#candidate = material.base.candidate
        checkAllowed(route, caller, this.#clientMethod, material.base, path)
      }
      const candidate = this.#candidate
      if (!candidate) throw new LocumError('internal', 'The request has no destination.')
      const base = this.#base
      const written = draft.fill(caller, material)
      if (draft.fillsPath) {
        const asked = { method: this.#clientMethod, base, path: written.path }
        checkFilled(this.#room.directory, caller, found, asked)
      }
      this.#material = material
      this.needles = written.needles
      this.unguarded = written.unguarded
      this.block = material?.redact === 'block'
      this.#offset = clockOffset(route, candidate)
      draft.write(written, candidate, base, material, this.#room.clock.now() + this.#offset)
      // As the client wrote it.
      const shown = (base?.shown?.prefix ?? base?.prefix ?? '') + path
      const use = { path: shown, slots: written.slots, credential: material?.credential }
      const spec = specFor(route, candidate, material)
      recordUse(this.#room.audit, this.#about(), use, (error) => this.#send(spec, error))
      this.#used = true
    } catch (error) {
      this.refuse(error)
    }
  }

  /** The use is recorded, unless there is an error. */
  #send(spec: UpstreamSpec, error: LocumError | undefined): void {
    if (this.over) return
    this.#used = error === undefined
    if (error) return this.refuse(error)
    const { draft } = this.#need()
    const body = draft.bodied ? draft.body((misplaced) => this.refuse(misplaced)) : undefined
    this.#sending = this.#room.upstreams.send(spec, this.#x.head, body, this)
    if (this.over) this.#sending.abort()
  }

  #need(): { caller: Caller; found: Found; draft: Draft } {
    if (!this.#caller || !this.#found || !this.#draft)
      throw new LocumError('internal', 'The request was not read.')
    return { caller: this.#caller, found: this.#found, draft: this.#draft }
  }

  // What the upstream says; the rest of it is for Answering.

  response(head: ResponseHead, body: BodySource): void {
    if (this.over) return body.discard()
    try {
      const challenge = this.#challenge(head)
      if (challenge !== undefined) {
        body.discard()
        this.#repeat(challenge)
        return
      }
      this.#draft?.release()
      this.relay(head, body)
    } catch (error) {
      body.discard()
      this.refuse(error)
    }
  }

  failed(error: LocumError): void {
    this.refuse(error)
  }

  /** Why the request is sent once more, if it is. A clock that is off is remembered all the same. */
  #challenge(head: ResponseHead): 'renew' | 'clock' | undefined {
    const { found, draft } = this.#need()
    const { method, connection } = found.route
    if (this.#repeated || this.#material === undefined || !method.challenge) return undefined
    const now = this.#room.clock.now()
    const challenge = method.challenge(connection.methodConfig, head, now, now + this.#offset)
    if (challenge === undefined || challenge === 'renew') return draft.repeatable ? challenge : undefined
    noteClock(found.route, this.#candidate as Candidate, challenge.clock)
    return draft.repeatable ? 'clock' : undefined
  }

  /** Sends once more, renewed or by the upstream's clock. */
  #repeat(why: 'renew' | 'clock'): void {
    this.#repeated = true
    if (why === 'clock') return this.#permit(this.#material)
    const { caller, found } = this.#need()
    this.#room.broker
      .renew(this.#openRequest(caller, found.route), this.#material as Material)
      .then((material) => this.#permit(material))
      .catch((error) => this.refuse(error))
  }

  protected rewrite(head: ResponseHead): void {
    if (this.#entrance !== 'gateway' || !this.#base) return
    rewriteResponse(head, {
      name: this.#need().found.route.connection.name,
      base: this.#base,
      target: this.#x.head.target,
      host: this.#clientHost,
      secure: this.#x.session.secure,
      origin: this.#origin,
    })
  }

  // How it ends.

  /** Ends it at once: with a refusal where no answer has begun, else broken off. */
  cut(code: Code): void {
    if (this.over) return
    if (this.tunnel) this.tunnel.destroy()
    else this.refuse(new LocumError(code, 'What permitted this request is no longer in force.'))
  }

  get caller(): Caller {
    return this.#caller as Caller
  }

  /** Only what goes on for long is ended by a change of these. */
  get connection(): string | undefined {
    return this.lasting ? this.#found?.route.connection.name : undefined
  }

  get credential(): string | undefined {
    return this.lasting ? this.#material?.credential.id : undefined
  }

  #clientGone(): void {
    if (this.over) return
    this.#sending?.abort()
    this.#draft?.cancel()
    this.finish()
  }

  protected refuse(thrown: unknown): void {
    if (this.over) return
    const error = asLocumError(thrown)
    if (error.code === 'internal') this.#room.onfault(thrown)
    this.#sending?.abort()
    this.#draft?.cancel()
    const refusal = refusalOf(error, this.#entrance)
    // A refusal of the origin itself carries no CORS; any other is readable by the page that asked.
    if (this.#origin !== undefined) corsFields(refusal.head.fields, this.#origin)
    if (this.status === 0) {
      this.status = refusal.head.status
      this.#x.sendWhole(refusal.head, refusal.body)
    } else this.#x.breakOff()
    this.#room.counts.refused++
    this.finish(error.code)
  }

  /** Records the outcome, once. */
  protected finish(code?: Code): void {
    if (this.over) return
    this.over = true
    this.#room.live.remove(this)
    this.#leave?.()
    this.stop()
    this.#room.counts.masked += this.masked
    const about = this.#about()
    try {
      if (this.#used) {
        const ms = this.#room.clock.now() - this.#startedAt
        const { status, masked, unsearched } = this
        recordOutcome(this.#room.audit, about, { status, code, masked, unsearched, ms })
      } else if (code) recordRefusal(this.#room.audit, about, code, askedFor(this.#x.head.fields))
    } catch (error) {
      this.#room.onfault(error)
    }
  }

  #about(): About {
    return {
      request: this.#id,
      caller: this.#caller,
      entrance: this.#entrance,
      connection: this.#found?.route.connection.name,
      destination: this.#base?.shown?.origin ?? this.#candidate?.text,
      method: this.#clientMethod,
      path: this.#found?.path,
    }
  }
}
