import { randomBytes } from 'node:crypto'
import { checkSlots } from '../../core/approval.ts'
import type { BodyRewrite } from '../../core/auth-method.ts'
import { type BodyKind, type BodyUse, kindOfBody, planBody } from '../../core/body.ts'
import { checkCharset } from '../../core/charset.ts'
import type { Material } from '../../core/directory.ts'
import type { LocumError } from '../../core/errors.ts'
import { drawsOnAuth } from '../../core/placeholder.ts'
import type { Needles } from '../../core/redact.ts'
import type { Route } from '../../core/route.ts'
import {
  fieldMayHoldPlaceholder,
  findPlaceholders,
  placeholderOutside,
  type SlotUse,
} from '../../core/scan.ts'
import type { Base, Candidate } from '../../core/target.ts'
import { findInTarget, type TargetUse } from '../../core/target-slots.ts'
import type { Caller } from '../../core/words.ts'
import type { Session } from '../room.ts'
import type { BodySource, Fields, ServerExchange } from '../wire/message.ts'
import { BodyReading, KeptBody, type WholeBody } from './body.ts'
import { fillRest } from './filling.ts'
import { completeHead, type Injection, inject, injectionFor } from './injection.ts'
import { rewritten } from './rewriting.ts'
import { checkTrailers, guardTrailers, leaveOut } from './trailers.ts'

/** What is put into a request. */
export interface Written {
  /** Names for the audit: header names, `path`, `query:NAME`, `json:/pointer`, `form:NAME`, `text`. */
  readonly slots: readonly string[]
  readonly needles: Needles | undefined
  /** It carries a secret that answers are not searched for. */
  readonly unguarded: boolean
  /** Path and query behind the base. */
  readonly path: string
}

const EMPTY = Buffer.alloc(0)

/** A request as its client wrote it, from which what goes out is made; after a renewal once more. */
export class Draft {
  readonly #x: ServerExchange<Session>
  readonly #route: Route
  readonly #path: string
  readonly #fields: readonly SlotUse[]
  readonly #target: TargetUse | undefined
  readonly #kind: BodyKind | undefined
  #reading: BodyReading | undefined
  #whole: WholeBody | undefined
  #body: BodyUse | undefined
  /** The client's fields, kept where the request may be sent again. */
  #original: Fields | undefined
  #injection: Injection | undefined
  #bytes: Buffer | undefined
  /** Bytes that signing reads at most; undefined: it reads none. */
  readonly #hashes: number | undefined
  #rewrite: BodyRewrite | undefined
  #kept: KeptBody | undefined

  /**
   * Finds the placeholders in target and fields. `path`: with its query, as it goes upstream. `candidate`: where that is,
   * as far as it is known. Throws placeholder_not_allowed, placeholder_unknown, bad_request.
   */
  constructor(x: ServerExchange<Session>, route: Route, path: string, candidate: Candidate | undefined) {
    const { head, body } = x
    this.#x = x
    this.#route = route
    this.#path = path
    this.#target = findInTarget(path, route.slots)
    this.#fields = findPlaceholders(head.fields, route.slots)
    if (head.upgrade !== undefined && fieldMayHoldPlaceholder(head.upgrade, route.slots.standIns))
      throw placeholderOutside('the header `upgrade`')
    if (this.#target || route.secretQuery) checkCharset(head.fields)
    this.#kind = route.body && kindOfBody(route.body, head, body.empty)
    const { signsBody } = route.method
    if (signsBody && !body.empty) {
      const asked = { ...head, host: candidate && authorityOf(candidate) }
      this.#hashes = signsBody(
        route.connection.methodConfig,
        asked,
        candidate !== undefined && isSecure(candidate),
      )
    }
  }

  /** Whether the body has to be read before anything is known of it. */
  get readsBody(): boolean {
    return this.#kind !== undefined || this.#hashes !== undefined
  }

  /** Reads the body and finds what is to be put into it. Codes: bad_request, too_large, placeholder_*. */
  readBody(then: () => void, failed: (error: unknown) => void): void {
    const { head, body } = this.#x
    const read = (whole: WholeBody): void => {
      try {
        checkTrailers(whole.trailers, this.#route.slots.standIns)
        this.#whole = whole
        this.#body = this.#plan(whole.bytes)
      } catch (error) {
        failed(error)
        return
      }
      then()
    }
    if (body.empty) {
      read({ bytes: EMPTY, trailers: undefined })
      return
    }
    const most = this.#kind === undefined ? this.#hashes : undefined
    this.#reading = new BodyReading(body, read, (error: LocumError) => failed(error), most)
    this.#reading.start(head.contentLength)
  }

  #plan(bytes: Buffer): BodyUse | undefined {
    const { method, fields } = this.#x.head
    if (!this.#route.body || !this.#kind) return undefined
    const fresh = this.#kind === 'multipart' ? `locum-${randomBytes(18).toString('base64url')}` : ''
    return planBody(this.#route.body, this.#kind, { method, fields, bytes, fresh })
  }

  /** Nobody waits for the body any longer. */
  cancel(): void {
    this.#reading?.cancel()
  }

  /** It was answered, and is not sent again: an answer may go on for hours. */
  release(): void {
    this.#kept?.release()
    this.#whole = undefined
    this.#body = undefined
    this.#bytes = undefined
  }

  get drawsOnAuth(): boolean {
    return (
      this.#fields.some(({ template }) => drawsOnAuth(template)) ||
      this.#target?.drawsOnAuth === true ||
      (this.#body !== undefined && drawsOnAuth(this.#body))
    )
  }

  /** Where something of the credential goes because the client says so, by the audit's names. */
  #secretSlots(): string[] {
    const fields = this.#fields.filter(({ template }) => drawsOnAuth(template)).map(({ name }) => name)
    const target = this.#target?.drawsOnAuth ? this.#target.names : []
    const body = this.#body && drawsOnAuth(this.#body) ? this.#body.names : []
    return [...fields, ...target, ...body]
  }

  /** Whether a value stands in the path. */
  get fillsPath(): boolean {
    return this.#target !== undefined && this.#target.path.paths.length > 0
  }

  /** Whether it can go out a second time. */
  get repeatable(): boolean {
    return this.#x.body.empty || this.#whole !== undefined
  }

  /** Puts everything in. Throws placeholder_unknown, placeholder_not_allowed, credential_outside_audience. */
  fill(caller: Caller, material: Material | undefined): Written {
    const route = this.#route
    if (material?.barred)
      checkSlots(route.connection, material.barred, this.#secretSlots(), material.credential.scope)
    const injection = injectionFor(route, this.#fields, material, caller)
    this.#injection = injection
    if (!this.#target && !this.#whole && route.query.length === 0) {
      const { names, needles, unguarded } = injection
      return { slots: names, needles, unguarded, path: this.#path }
    }
    const rest = { path: this.#path, target: this.#target, body: this.#body }
    const filled = fillRest(rest, injection, caller, material)
    this.#bytes = filled.body ?? this.#whole?.bytes
    return filled
  }

  /** Writes the head that goes out, for `path` behind the base. After `fill`. `now`: as the upstream's clock has it. */
  write(
    written: Written,
    candidate: Candidate,
    base: Base | undefined,
    material: Material | undefined,
    now: number,
  ): void {
    const { head } = this.#x
    const route = this.#route
    if (route.method.challenge) {
      if (this.#original) head.fields = this.#original
      this.#original = head.fields.copy()
    }
    head.target = base ? base.prefix + written.path : written.path
    head.host = authorityOf(candidate)
    head.minor = 1
    const injection = this.#injection as Injection
    inject(head.fields, this.#fields, injection)
    if (this.#whole) this.#frame(this.#whole, injection)
    const body = this.#bytes ?? (this.#x.body.empty ? EMPTY : undefined)
    const searched = written.needles !== undefined
    this.#rewrite = completeHead(head, route, { searched, material, body, now, secure: isSecure(candidate) })
  }

  /** A body that was read whole has a length, or else trailers. A common header is the connection's last word. */
  #frame({ trailers }: WholeBody, { names }: Injection): void {
    const { head } = this.#x
    const type = this.#body?.type
    const { length } = this.#bytes ?? EMPTY
    head.expectContinue = false
    head.chunked = trailers !== undefined
    head.contentLength = head.chunked ? undefined : length
    if (type !== undefined && !names.includes('content-type')) head.fields.set('Content-Type', type)
  }

  /** Whether a body goes out. */
  get bodied(): boolean {
    return this.#whole ? (this.#bytes?.length ?? 0) > 0 || this.#x.head.chunked : !this.#x.body.empty
  }

  /** That body. `found`: a placeholder came in the trailers of one that passes as it comes. */
  body(found: (error: LocumError) => void): BodySource {
    const passing = this.#passing(found)
    return this.#rewrite ? rewritten(passing, this.#rewrite, found) : passing
  }

  #passing(found: (error: LocumError) => void): BodySource {
    const { body, head } = this.#x
    const set = this.#injection?.names ?? []
    if (this.#whole) {
      const { trailers } = this.#whole
      if (trailers) leaveOut(trailers, set)
      this.#kept = new KeptBody(this.#bytes ?? EMPTY, trailers)
      return this.#kept
    }
    return head.chunked ? guardTrailers(body, set, this.#route.slots.standIns, found) : body
  }
}

/** Host and, where it is not the usual one, port. */
function authorityOf({ text }: Candidate): string {
  return text.slice(text.indexOf('/') + 2)
}

function isSecure({ destination }: Candidate): boolean {
  return destination.scheme === 'https'
}
