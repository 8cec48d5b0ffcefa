import type { Code, LocumError } from '../../core/errors.ts'
import type { Needles } from '../../core/redact.ts'
import type { Room, Session } from '../room.ts'
import type {
  BodySink,
  BodySource,
  Fields,
  ResponseHead,
  ServerExchange,
  Tunnel,
  WireError,
} from '../wire/message.ts'
import { isEventStream, maskHead, ownTrailers, removeProxyFields, type Unsearched } from './head.ts'
import { echoed, type ReplyTarget } from './reply.ts'
import { type SearchedReply, searchedReply, unsearchedBy } from './searching.ts'
import { joinTunnels } from './upgrade.ts'

/**
 * What comes back of one request, on its way to the client: each head made Locum's own, the body searched.
 * An exchange is its own, so that an answer that is not searched costs no object.
 */
export abstract class Answering implements ReplyTarget {
  /** What the request carries, and what becomes of its echoes. */
  protected needles: Needles | undefined
  protected block = false
  /** It carries a secret that answers are not searched for. */
  protected unguarded = false
  /** 0: no head was sent. */
  protected status = 0
  protected masked = 0
  /** Nothing more is to be said to the client. */
  protected over = false
  protected unsearched: Unsearched | undefined
  /** It goes on long after it was permitted: a tunnel, an event stream. */
  protected lasting = false
  protected tunnel: { destroy(): void } | undefined
  readonly #counts: Room['counts']
  readonly #client: ServerExchange<Session>
  #sink: BodySink | undefined
  #reply: SearchedReply | undefined

  constructor(room: Room, client: ServerExchange<Session>) {
    this.#counts = room.counts
    this.#client = client
  }

  /** What this entrance makes of an upstream's head. */
  protected abstract rewrite(head: ResponseHead): void
  protected abstract refuse(thrown: unknown): void
  protected abstract finish(code?: Code): void

  informational(head: ResponseHead): void {
    if (this.over) return
    try {
      this.#makeOwn(head)
      this.#client.sendInformational(head)
    } catch (error) {
      this.refuse(error)
    }
  }

  upgraded(head: ResponseHead, upstream: Tunnel): void {
    if (this.over) {
      upstream.socket.destroy()
      return
    }
    try {
      this.#makeOwn(head)
      const client = this.#client.takeOver(head)
      this.status = head.status
      this.lasting = true
      const search = { needles: this.needles, block: this.block }
      this.tunnel = joinTunnels(client, upstream, search, head.upgrade, (masked, blocked) => {
        this.masked += masked
        this.finish(blocked ? 'upstream_echoed_secret' : undefined)
      })
    } catch (error) {
      upstream.socket.destroy()
      this.refuse(error)
    }
  }

  /** Sends the answer on. Throws where it may not be, before anything was sent. */
  protected relay(head: ResponseHead, body: BodySource): void {
    const { needles } = this
    this.#makeOwn(head)
    this.lasting = isEventStream(head.fields)
    const empty = body.empty || this.#client.head.method === 'HEAD'
    if (!empty) this.unsearched = needles ? unsearchedBy(head) : this.unguarded ? 'off' : undefined
    if (this.unsearched) this.#counts.unsearched++
    if (needles && !empty && this.unsearched !== 'media') {
      this.#reply = searchedReply(needles, head, this.block, this)
      body.start(this.#reply)
    } else {
      this.begin(head)
      body.start(this)
    }
  }

  /** Nobody waits for the answer any more. */
  protected stop(): void {
    this.#reply?.stop()
  }

  /** Whatever an upstream says in a head, final or not, is Locum's to answer for. */
  #makeOwn(head: ResponseHead): void {
    removeProxyFields(head.fields)
    this.rewrite(head)
    // Last: a base may hold what is searched for.
    const echoes = this.needles ? maskHead(this.needles, head) : 0
    this.masked += echoes
    if (echoes > 0 && this.block) throw echoed()
  }

  // The body, searched where it is.

  get ondrain(): (() => void) | undefined {
    return this.#sink?.ondrain
  }

  set ondrain(call: (() => void) | undefined) {
    if (this.#sink) this.#sink.ondrain = call
  }

  begin(head: ResponseHead): void {
    if (this.over) return
    this.status = head.status
    this.#sink = this.#client.sendHead(head)
  }

  write(chunk: Buffer): boolean {
    return this.#sink === undefined || this.#sink.write(chunk)
  }

  end(trailers?: Fields): void {
    const echoes = trailers ? ownTrailers(trailers, this.needles) : 0
    this.masked += echoes
    if (echoes > 0 && this.block) return this.refuse(echoed())
    this.#sink?.end(trailers)
    this.finish()
  }

  abort(fault: WireError): void {
    this.#sink?.abort(fault)
    this.finish(fault.fault === 'timeout' ? 'upstream_timeout' : 'upstream_invalid')
  }

  found(echoes: number): void {
    this.masked += echoes
  }

  fail(error: LocumError): void {
    this.refuse(error)
  }
}
