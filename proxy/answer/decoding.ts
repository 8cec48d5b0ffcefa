import type { Transform } from 'node:stream'
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  constants as zlib,
} from 'node:zlib'
import type { Coding } from './codings.ts'
import { ZstdFrames } from './zstd-frames.ts'

/** What is decoded is searched and forgotten, so memory is no matter; time is. */
export interface DecodingLimits {
  /** Bytes that any body may unpack to, at each of its codings. */
  readonly free: number
  /** … and beyond it so many for each byte that came. */
  readonly ratio: number
  /** Frames of zstd in one body: each costs a call. */
  readonly frames: number
}

export const DECODING_LIMITS: DecodingLimits = { free: 16 << 20, ratio: 256, frames: 1024 }

/** What a decoder holds at most, as a power of two: RFC 9659 §3 allows no more on the web. */
export const ZSTD_PARAMS = { [zlib.ZSTD_d_windowLogMax]: 23 }
/** Bytes that a decoder gives out at once. */
const PIECE = 32 * 1024

export interface DecodingOwner {
  /** The piece is the owner's. False: no more until `resume`. */
  decoded(piece: Buffer): boolean
  /** What the coding at that place, from the outside, was taken off of and the next is not. The decoding's own. */
  between(place: number, piece: Buffer): void
  /** Everything that the first `bytes` of the body say was given out. */
  whole(bytes: number): void
  /** In words without a byte of the data. Nothing follows. */
  invalid(detail: string): void
}

/** Takes the codings off a body, piece by piece, in bounded memory and time. */
export class Decoding {
  readonly #owner: DecodingOwner
  readonly #limits: DecodingLimits
  /** In the order in which they are taken off. */
  readonly #stages: Stage[] = []
  #bytes = 0
  #over = false

  /** `codings` in the order in which they were put on; at least one. */
  constructor(codings: readonly Coding[], owner: DecodingOwner, limits: DecodingLimits = DECODING_LIMITS) {
    this.#owner = owner
    this.#limits = limits
    for (const [i, coding] of codings.entries())
      this.#stages.unshift(new Stage(coding, codings.length - 1 - i, this, this.#stages[0]))
  }

  /** One at a time. The bytes are read until `done`, which never comes once they were `invalid`. */
  write(bytes: Buffer, done: () => void): void {
    const before = this.#bytes
    this.#bytes += bytes.length
    const [first, ...others] = this.#stages as [Stage, ...Stage[]]
    first.write(bytes, done, (part) => {
      if (!this.#over && others.every((stage) => stage.clear)) this.#owner.whole(before + part)
    })
  }

  /** Behind the last byte. */
  end(done: () => void, nth = 0): void {
    const stage = this.#stages[nth]
    if (stage === undefined) done()
    else stage.end(() => this.end(done, nth + 1))
  }

  resume(): void {
    this.#stages.at(-1)?.resume()
  }

  destroy(): void {
    this.#over = true
    for (const stage of this.#stages) stage.destroy()
  }

  // What its stages tell.

  /** False where it may not be that much. */
  allows(given: number): boolean {
    if (this.#over) return false
    if (given <= this.#limits.free + this.#limits.ratio * this.#bytes) return true
    this.fail('it unpacks to more than any honest one')
    return false
  }

  allowsFrames(frames: number): boolean {
    if (frames <= this.#limits.frames) return true
    this.fail('it has too many frames')
    return false
  }

  show(place: number, piece: Buffer): void {
    this.#owner.between(place, piece)
  }

  give(piece: Buffer): boolean {
    return this.#owner.decoded(piece)
  }

  fail(detail: string): void {
    if (this.#over) return
    this.destroy()
    this.#owner.invalid(detail)
  }
}

const BROKEN = 'it is damaged or incomplete'
const TRAILING = 'it goes on behind its end'
const nothing = (): void => {}

/** One coding. */
class Stage {
  readonly #coding: Coding
  /** From the outside. */
  readonly #place: number
  readonly #decoding: Decoding
  readonly #next: Stage | undefined
  readonly #frames: ZstdFrames | undefined
  #decoder: (Transform & { readonly bytesWritten: number }) | undefined
  /** A first byte that does not tell yet how it was deflated. */
  #first: Buffer | undefined
  #taken = 0
  #given = 0
  /** The coding said its own end before the body's. */
  #ended = false
  #done = nothing
  /** The decoder used up what it has; so many pieces of it are on their way. */
  #idle = true
  #underWay = 0

  constructor(coding: Coding, place: number, decoding: Decoding, next: Stage | undefined) {
    this.#coding = coding
    this.#place = place
    this.#decoding = decoding
    this.#next = next
    this.#frames = coding === 'zstd' ? new ZstdFrames() : undefined
  }

  /** Nothing is kept in the decoder that it has not given out. */
  get clear(): boolean {
    return this.#first === undefined && this.#frames?.betweenBlocks !== false
  }

  /** `part` is called each time everything that so many of the bytes say was given out. */
  write(bytes: Buffer, done: () => void, part: (bytes: number) => void = nothing): void {
    this.#writeFrom(bytes, 0, done, part)
  }

  end(done: () => void): void {
    if (this.#taken === 0) done()
    else if (this.#first !== undefined || this.#frames?.betweenFrames === false) this.#decoding.fail(BROKEN)
    else if (this.#ended) done()
    else {
      this.#idle = false
      this.#done = done
      this.#decoder?.end()
    }
  }

  resume(): void {
    this.#decoder?.resume()
  }

  destroy(): void {
    this.#decoder?.destroy()
  }

  /** Of zstd one block's or frame's end at a time: a decoder stops at the latter, and what is behind the former waits. */
  #writeFrom(bytes: Buffer, from: number, done: () => void, part: (bytes: number) => void): void {
    if (from === bytes.length) return done()
    let to = bytes.length
    if (this.#frames !== undefined) {
      const { at, whole } = this.#frames.read(bytes, from)
      if (!this.#decoding.allowsFrames(this.#frames.frames)) return
      to = at
      if (whole > from && whole < at) {
        this.#feed(bytes.subarray(from, whole), () => {
          part(whole)
          this.#feed(bytes.subarray(whole, at), () => this.#writeFrom(bytes, at, done, part))
        })
        return
      }
    }
    this.#feed(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), () => {
      if (this.clear) part(to)
      this.#writeFrom(bytes, to, done, part)
    })
  }

  #feed(bytes: Buffer, done: () => void): void {
    this.#taken += bytes.length
    if (this.#ended) {
      if (this.#mayTrail(bytes)) done()
      return
    }
    const ready = this.#decoder === undefined ? this.#open(bytes) : bytes
    if (ready === undefined) return done()
    this.#idle = false
    this.#done = done
    this.#decoder?.write(ready, () => {
      const rest = this.#taken - (this.#decoder?.bytesWritten ?? 0)
      if (rest > 0) {
        this.#ended = true
        if (!this.#mayTrail(ready.subarray(ready.length - rest))) return
      }
      this.#idle = true
      this.#settle()
    })
  }

  /** Only gzip may be filled up with zeros, as gzip(1) has it. */
  #mayTrail(bytes: Buffer): boolean {
    if (this.#coding === 'gzip' && bytes.every((byte) => byte === 0)) return true
    this.#decoding.fail(TRAILING)
    return false
  }

  /** Makes the decoder; undefined where more bytes have to tell which. */
  #open(bytes: Buffer): Buffer | undefined {
    const all = this.#first === undefined ? bytes : Buffer.concat([this.#first, bytes])
    if (this.#coding === 'deflate' && all.length < 2) {
      this.#first = all
      return undefined
    }
    this.#first = undefined
    const decoder = decoderOf(this.#coding, all)
    this.#decoder = decoder
    decoder.on('data', (piece: Buffer) => this.#pass(piece))
    decoder.on('error', () => this.#decoding.fail(BROKEN))
    decoder.on('end', () => {
      this.#idle = true
      this.#settle()
    })
    return all
  }

  #pass(piece: Buffer): void {
    this.#given += piece.length
    if (!this.#decoding.allows(this.#given)) return
    if (this.#next === undefined) {
      if (!this.#decoding.give(piece)) this.#decoder?.pause()
      this.#settle()
      return
    }
    this.#decoding.show(this.#place, piece)
    this.#underWay++
    this.#decoder?.pause()
    this.#next.write(piece, () => {
      this.#underWay--
      this.#decoder?.resume()
      this.#settle()
    })
  }

  #settle(): void {
    if (!this.#idle || this.#underWay > 0 || (this.#decoder?.readableLength ?? 0) > 0) return
    const done = this.#done
    this.#done = nothing
    done()
  }
}

function decoderOf(coding: Coding, bytes: Buffer): Transform & { readonly bytesWritten: number } {
  switch (coding) {
    case 'gzip':
      return createGunzip({ chunkSize: PIECE })
    case 'br':
      return createBrotliDecompress({ chunkSize: PIECE })
    case 'zstd':
      return createZstdDecompress({ chunkSize: PIECE, params: ZSTD_PARAMS })
    default:
      return isZlib(bytes) ? createInflate({ chunkSize: PIECE }) : createInflateRaw({ chunkSize: PIECE })
  }
}

/** RFC 1950 §2.2; RFC 9110 §8.4.1.2 knows of senders of `deflate` that leave that format out. */
export function isZlib([one = 0, two = 0]: Buffer): boolean {
  return (one & 0x0f) === 8 && ((one << 8) | two) % 31 === 0
}
