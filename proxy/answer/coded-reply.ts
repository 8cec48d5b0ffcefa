import { LocumError } from '../../core/errors.ts'
import { type Needles, StreamMask } from '../../core/redact.ts'
import type { BodySink, Fields, ResponseHead, WireError } from '../wire/message.ts'
import type { Coding } from './codings.ts'
import { DECODING_LIMITS, Decoding, type DecodingLimits } from './decoding.ts'
import { ownTrailers, unpackedHead } from './head.ts'
import { brokenReply, echoed, type ReplyTarget } from './reply.ts'
import { unpackAtOnce } from './unpacking.ts'

export interface CodedLimits extends DecodingLimits {
  /** Bytes of a body that wait, head and all, for its end: so many can be sent again, masked. */
  readonly held: number
  /** … as long as they unpack to no more than this. */
  readonly unpacked: number
  /** ms that they wait: what is no event stream by its name may be one all the same. */
  readonly heldMs: number
  /** ms for the end of a body with an echo in it. */
  readonly echoMs: number
  /** A whole body of so many bytes is unpacked at once, as long as it unpacks to no more than that. */
  readonly atOnce: number
  readonly unpackedAtOnce: number
  /** Bytes that may come while others are decoded. */
  readonly queued: number
  /** Bytes behind what was searched that wait for what comes: a block of zstd, and what was read with it. */
  readonly ahead: number
}

export const CODED_LIMITS: CodedLimits = {
  ...DECODING_LIMITS,
  held: 64 << 10,
  unpacked: 4 << 20,
  heldMs: 250,
  echoMs: 5_000,
  atOnce: 16 << 10,
  unpackedAtOnce: 256 << 10,
  queued: 64 << 10,
  ahead: 512 << 10,
}

/** What begins a form by chance in packed bytes waits for nothing; so much of one does not. Bytes. */
const TELLING = 4

/**
 * The body of a compressed answer on its way to the client. It is unpacked to be searched, and the
 * upstream's own bytes go on: a small body's when all of it was, any other's behind what was searched.
 */
export class CodedReply implements BodySink {
  ondrain: (() => void) | undefined
  readonly #needles: Needles
  readonly #codings: readonly Coding[]
  readonly #limits: CodedLimits
  readonly #to: ReplyTarget
  readonly #block: boolean
  /** Until it is sent. */
  #head: ResponseHead | undefined
  #decoding: Decoding
  /** What is unpacked, and the bytes themselves: a name in a gzip header is text too. So it is between two codings. */
  readonly #search: StreamMask
  readonly #raw: StreamMask
  readonly #between: readonly StreamMask[]
  /** Bytes that came, were given to be decoded, and went on; and those that were unpacked. */
  #came = 0
  #given = 0
  #gone = 0
  #unpacked = 0
  /** What came and was not given; what was given and has not gone on. */
  #queue: Buffer[] = []
  #waiting: Buffer[] = []
  /** How far everything was given out, and what it came to, where it may not go on yet. */
  #marks: { readonly bytes: number; readonly unpacked: number }[] = []
  /** The whole of it waits. */
  #holding: boolean
  #timer: NodeJS.Timeout | undefined
  #echoes = false
  #busy = false
  /** The client takes no more until it drains. */
  #stuck = false
  #ended = false
  #trailers: Fields | undefined
  #over = false

  /** `stream`: it comes as it is made, so that nothing may wait for its end. */
  constructor(
    x: {
      needles: Needles
      codings: readonly Coding[]
      head: ResponseHead
      block: boolean
      stream: boolean
    },
    to: ReplyTarget,
    limits: CodedLimits = CODED_LIMITS,
  ) {
    this.#needles = x.needles
    this.#codings = x.codings
    this.#head = x.head
    this.#block = x.block
    this.#holding = !x.stream
    this.#to = to
    this.#limits = limits
    this.#search = new StreamMask(x.needles)
    this.#raw = new StreamMask(x.needles)
    this.#between = x.codings.slice(1).map(() => new StreamMask(x.needles))
    this.#decoding = new Decoding(x.codings, this, limits)
    if (x.stream && !x.block) this.#begin()
    if (this.#holding) this.#wait(limits.heldMs)
  }

  write(chunk: Buffer): boolean {
    if (this.#over) return true
    this.#came += chunk.length
    this.#queue.push(Buffer.from(chunk))
    this.#raw.pass(chunk, NOWHERE)
    if (!this.#busy) this.#start()
    return this.#room
  }

  end(trailers?: Fields): void {
    if (this.#over) return
    this.#ended = true
    this.#trailers = trailers
    if (!this.#busy) this.#finish()
  }

  abort(fault: WireError): void {
    if (this.#over) return
    const begun = this.#head === undefined
    this.stop()
    if (begun) this.#to.abort(fault)
    else this.#to.fail(brokenReply(fault))
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#decoding.destroy()
    this.#waiting = []
  }

  // What the decoding tells.

  decoded(piece: Buffer): boolean {
    this.#unpacked += piece.length
    this.#search.pass(piece, NOWHERE)
    return true
  }

  between(place: number, piece: Buffer): void {
    // A copy, since it is not unpacked yet.
    this.#between[place]?.pass(Buffer.from(piece), NOWHERE)
  }

  whole(bytes: number): void {
    const mark = { bytes, unpacked: this.#unpacked }
    if (this.#marks.at(-1)?.unpacked === mark.unpacked) this.#marks.pop()
    this.#marks.push(mark)
  }

  invalid(detail: string): void {
    this.#fail(
      new LocumError('upstream_invalid', `The upstream's compressed answer cannot be searched: ${detail}.`),
    )
  }

  #fail(error: LocumError): void {
    if (this.#over) return
    this.stop()
    this.#to.fail(error)
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#late(), ms)
    this.#timer.unref()
  }

  #late(): void {
    // What came meanwhile, while the program was busy elsewhere, is looked at first.
    setImmediate(() => {
      if (this.#over || !this.#holding) return
      if (this.#busy && !this.#ended) return this.#wait(this.#limits.heldMs)
      if (this.#echoes) return this.#fail(echoed())
      if (this.#busy) return
      this.#holding = false
      this.#passOn()
    })
  }

  get #room(): boolean {
    return !this.#stuck && this.#came - this.#given < this.#limits.queued
  }

  #start(): void {
    if (!this.#holding || this.#given > 0) return this.#decode()
    // A body that came as a whole ends before this is done.
    this.#busy = true
    queueMicrotask(() => {
      if (this.#over || (this.#ended && this.#passAtOnce())) return
      this.#decode()
    })
  }

  /** A small whole body without an echo; false where it has to be looked at in more detail. */
  #passAtOnce(): boolean {
    const { atOnce, unpackedAtOnce } = this.#limits
    const [coding, ...more] = this.#codings as [Coding, ...Coding[]]
    if (more.length > 0 || this.#came > atOnce || this.#raw.hits > 0 || this.#raw.open > 0) return false
    const bytes = Buffer.concat(this.#queue)
    const plain = unpackAtOnce(coding, bytes, unpackedAtOnce)
    if (plain === undefined || this.#needles.find(plain) !== undefined) return false
    this.#waiting.push(bytes)
    this.#given = bytes.length
    this.#complete()
    return true
  }

  #decode(): void {
    const [only] = this.#queue
    const bytes = this.#queue.length === 1 && only ? only : Buffer.concat(this.#queue)
    this.#queue = []
    this.#given += bytes.length
    this.#waiting.push(bytes)
    this.#busy = true
    this.#decoding.write(bytes, () => {
      this.#busy = false
      this.#judge()
    })
  }

  /** Behind each piece. */
  #judge(): void {
    if (this.#over || this.#lookForEchoes()) return
    const { held, unpacked, ahead } = this.#limits
    if (this.#holding && (this.#came > held || this.#unpacked > unpacked)) {
      if (this.#echoes) return this.#fail(echoed())
      this.#holding = false
    }
    this.#passOn()
    if (!this.#holding && this.#given - this.#gone > ahead)
      return this.invalid('too much has to come before any of it can be searched')
    if (this.#queue.length > 0) this.#decode()
    else if (this.#ended) return this.#finish()
    if (this.#room) this.#more()
  }

  /** True where that was the end of it. */
  #lookForEchoes(): boolean {
    const found = this.#search.hits + this.#raw.hits > 0 || this.#between.some(({ hits }) => hits > 0)
    if (this.#echoes || !found) return false
    if (this.#block || !this.#holding) {
      this.#fail(echoed())
      return true
    }
    this.#echoes = true
    this.#wait(this.#limits.echoMs)
    return false
  }

  #more(): void {
    const call = this.ondrain
    this.ondrain = undefined
    call?.()
  }

  /** What was searched, as far as nothing in it could begin a form. */
  #passOn(): void {
    if (this.#holding || this.#echoes || this.#between.some(({ open }) => open >= TELLING)) return
    const unpacked = this.#unpacked - this.#search.open
    const bytes = this.#raw.open < TELLING ? this.#came : this.#came - this.#raw.open
    let far = this.#gone
    while (this.#marks[0] && this.#marks[0].unpacked <= unpacked && this.#marks[0].bytes <= bytes)
      far = (this.#marks.shift() as { bytes: number }).bytes
    this.#passUpTo(far)
  }

  #passUpTo(far: number): void {
    while (this.#gone < far) {
      const [next] = this.#waiting as [Buffer]
      const piece = next.subarray(0, far - this.#gone)
      if (piece.length === next.length) this.#waiting.shift()
      else this.#waiting[0] = next.subarray(piece.length)
      this.#gone += piece.length
      this.#begin()
      if (!this.#to.write(piece)) this.#await()
    }
  }

  #await(): void {
    this.#stuck = true
    this.#to.ondrain = () => {
      this.#stuck = false
      if (this.#room) this.#more()
    }
  }

  #begin(): void {
    if (this.#head) this.#to.begin(this.#head)
    this.#head = undefined
  }

  /** All of it came. */
  #finish(): void {
    this.#busy = true
    this.#decoding.end(() => {
      this.#search.end()
      this.#raw.end()
      for (const between of this.#between) between.end()
      if (this.#over || this.#lookForEchoes()) return
      if (this.#echoes) this.#sendUnpacked()
      else this.#complete()
    })
  }

  /** Without an echo, as it came. */
  #complete(): void {
    if (this.#block && this.#trailers && ownTrailers(this.#trailers, this.#needles) > 0)
      return this.#fail(echoed())
    this.#begin()
    this.#passUpTo(this.#given)
    this.#to.end(this.#trailers)
    this.stop()
  }

  /** Once more from the beginning: unpacked, masked. */
  #sendUnpacked(): void {
    const head = this.#head as ResponseHead
    const bytes = Buffer.concat(this.#waiting)
    clearTimeout(this.#timer)
    this.#waiting = []
    unpackedHead(head, this.#trailers)
    this.#begin()
    const mask = new StreamMask(this.#needles)
    this.#decoding = new Decoding(
      this.#codings,
      {
        decoded: (piece) => {
          if (mask.pass(piece, this.#to)) return true
          this.#to.ondrain = () => this.#decoding.resume()
          return false
        },
        between() {},
        whole() {},
        invalid: (detail) => this.invalid(detail),
      },
      this.#limits,
    )
    this.#decoding.write(bytes, () =>
      this.#decoding.end(() => {
        const rest = mask.end()
        if (rest) this.#to.write(rest)
        this.#to.found(mask.hits)
        this.#to.end(this.#trailers)
        this.stop()
      }),
    )
  }
}

const NOWHERE = { write: () => true }
