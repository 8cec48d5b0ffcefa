import type { BodyRewrite } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import { canonicalValue, EMPTY_HASH, sha256 } from './canonical.ts'
import { ALGORITHM, type Signer } from './signature.ts'

/**
 * `aws-chunked` (Amazon S3, "Signature calculations: transferring payload in multiple chunks"): pieces of a body, each
 * with a signature over it and over the one before. The client's signatures are replaced; every size stays, and with
 * it the length of the whole.
 */

/** Bytes of a chunk: its signature stands before it, so that it is held whole. SDKs send 64 KiB to 1 MiB. */
export const LARGEST_CHUNK = 1024 * 1024
/** Bytes of a line: a chunk's header, or a trailer. */
const LONGEST_LINE = 4096
/** Bytes of all trailers: they are held until their signature. */
const LARGEST_TRAILERS = 16 * 1024
const CHUNK = /^([0-9A-Fa-f]{1,8});chunk-signature=[0-9A-Fa-f]{64}$/
const TRAILER = /^([A-Za-z0-9-]{1,128}):([\t\x20-\x7e]*)$/
const TRAILER_SIGNATURE = 'x-amz-trailer-signature'
const SIGNATURE = /^[0-9A-Fa-f]{64}$/
const CR = 0x0d
const LF = 0x0a

/** What is awaited: a chunk's header, its data, the line end behind it, a trailer, nothing any more. */
type State = 'size' | 'data' | 'end of data' | 'trailer' | 'over'

export class Resigning implements BodyRewrite {
  readonly #signer: Signer
  readonly #trailers: boolean
  #state: State = 'size'
  /** Of the line or the chunk that is not whole yet. */
  #held: Buffer[] = []
  #heldLength = 0
  #size = 0
  /** That size as the client spelt it. */
  #hex = ''
  #previous: string
  /** The trailers so far, as they are signed. */
  #signed = ''
  /** Characters of their lines. */
  #trailing = 0

  /** `seed`: the signature of the head. `trailers`: whether they follow, signed. */
  constructor(signer: Signer, seed: string, { trailers }: { readonly trailers: boolean }) {
    this.#signer = signer
    this.#previous = seed
    this.#trailers = trailers
  }

  write(piece: Buffer): Buffer {
    const made: Buffer[] = []
    let at = 0
    while (at < piece.length)
      at = this.#state === 'data' ? this.#data(piece, at, made) : this.#line(piece, at, made)
    return made.length === 1 ? (made[0] as Buffer) : Buffer.concat(made)
  }

  end(): Buffer {
    if (this.#state !== 'over') throw broken('it ends too early')
    return Buffer.alloc(0)
  }

  #data(piece: Buffer, at: number, made: Buffer[]): number {
    const to = Math.min(piece.length, at + this.#size - this.#heldLength)
    // What is pushed is read into again.
    this.#hold(Buffer.from(piece.subarray(at, to)))
    if (this.#heldLength === this.#size) {
      const data = this.#release()
      made.push(this.#header(data), data)
      this.#state = 'end of data'
    }
    return to
  }

  #line(piece: Buffer, at: number, made: Buffer[]): number {
    if (this.#state === 'over') throw broken('something follows its end')
    const end = piece.indexOf(LF, at)
    const to = end < 0 ? piece.length : end + 1
    this.#hold(Buffer.from(piece.subarray(at, to)))
    if (this.#heldLength > LONGEST_LINE) throw broken('a line is too long')
    if (end < 0) return to
    const line = this.#release()
    if (line.length < 2 || line[line.length - 2] !== CR) throw broken('a line does not end in CRLF')
    this.#read(line.toString('latin1', 0, line.length - 2), made)
    return to
  }

  #read(line: string, made: Buffer[]): void {
    if (this.#state === 'size') this.#readSize(line, made)
    else if (this.#state === 'trailer') this.#readTrailer(line, made)
    else {
      if (line !== '') throw broken('a chunk is longer than it says')
      made.push(LINE_END)
      this.#state = 'size'
    }
  }

  #readSize(line: string, made: Buffer[]): void {
    const match = CHUNK.exec(line)
    if (!match) throw broken('a chunk has no size and signature')
    this.#hex = match[1] as string
    this.#size = Number.parseInt(this.#hex, 16)
    if (this.#size > LARGEST_CHUNK) {
      throw new LocumError(
        'too_large',
        `A chunk of the signed body is larger than ${LARGEST_CHUNK / 1024} KiB.`,
        {
          hint: 'Have the client sign smaller chunks, or send UNSIGNED-PAYLOAD over TLS.',
        },
      )
    }
    if (this.#size > 0) this.#state = 'data'
    else {
      made.push(this.#header(Buffer.alloc(0)))
      this.#state = 'trailer'
    }
  }

  #header(data: Buffer): Buffer {
    const hashes = `${EMPTY_HASH}\n${sha256(data)}`
    this.#previous = this.#signer.sign(`${ALGORITHM}-PAYLOAD`, hashes, this.#previous)
    return Buffer.from(`${this.#hex};chunk-signature=${this.#previous}\r\n`, 'latin1')
  }

  /** Behind the last chunk: an empty line, before which trailers may stand. */
  #readTrailer(line: string, made: Buffer[]): void {
    if (line === '') {
      made.push(LINE_END)
      this.#state = 'over'
      return
    }
    this.#trailing += line.length
    if (this.#trailing > LARGEST_TRAILERS)
      throw new LocumError(
        'too_large',
        `The trailers of the signed body are longer than ${LARGEST_TRAILERS / 1024} KiB.`,
      )
    const match = this.#trailers ? TRAILER.exec(line) : undefined
    if (!match) throw broken('what follows the last chunk is no trailer')
    const [, name = '', value = ''] = match
    if (name.toLowerCase() === TRAILER_SIGNATURE) {
      if (!SIGNATURE.test(value)) throw broken('the signature of its trailers is none')
      const signature = this.#signer.sign(`${ALGORITHM}-TRAILER`, sha256(this.#signed), this.#previous)
      made.push(Buffer.from(`${name}:${signature}\r\n`, 'latin1'))
      return
    }
    this.#signed += `${name.toLowerCase()}:${canonicalValue(value)}\n`
    made.push(Buffer.from(`${line}\r\n`, 'latin1'))
  }

  #hold(piece: Buffer): void {
    this.#held.push(piece)
    this.#heldLength += piece.length
  }

  #release(): Buffer {
    const whole = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held)
    this.#held = []
    this.#heldLength = 0
    return whole
  }
}

const LINE_END = Buffer.from('\r\n')

function broken(why: string): LocumError {
  return new LocumError('bad_request', `The body is not aws-chunked as its head says: ${why}.`)
}
