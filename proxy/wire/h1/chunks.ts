import type { Limits } from '../limits.ts'
import { type Fields, WireError } from '../message.ts'
import { readTrailers } from './field-lines.ts'
import { HeadBytes } from './head-bytes.ts'

const CR = 13
const LF = 10
const SEMICOLON = 59

const SIZE = 0
const EXTENSION = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAILERS = 6
const DONE = 7

/** 15 digits stay below 2^60; the number itself must stay below 2^53. */
const MAX_DIGITS = 15

/** RFC 9112 §7.1.1 without blanks around `;` and `=`, which no sender needs and parsers disagree on. */
const EXTENSIONS =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"))?)*$/

/** Takes the chunked coding off (RFC 9112 §7.1). Fed with bytes as they come, cut anywhere. */
export class ChunkReader {
  done = false
  trailers: Fields | undefined
  readonly #limits: Limits
  #state = SIZE
  #digits = 0
  #size = 0
  #extension = ''
  #extensionBytes = 0
  #trailerBytes: HeadBytes | undefined

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /**
   * Reads on from `at` and returns where it stopped: behind a piece of data, which is then in `data`
   * as [from, to), or at the end of the buffer, or behind the body. Throws WireError malformed.
   */
  next(bytes: Buffer, at: number, data: { from: number; to: number }): number {
    data.to = data.from = 0
    let i = at
    while (i < bytes.length) {
      const byte = bytes[i] as number
      switch (this.#state) {
        case SIZE: {
          const digit = hexDigit(byte)
          if (digit >= 0) {
            if (++this.#digits > MAX_DIGITS) throw malformed('a chunk size with too many digits')
            this.#size = this.#size * 16 + digit
          } else if (this.#digits === 0) throw malformed('a chunk size that is not hexadecimal')
          else if (byte === CR) this.#state = SIZE_LF
          else if (byte === SEMICOLON) {
            this.#state = EXTENSION
            this.#extension = ';'
          } else throw malformed('a chunk size that is not hexadecimal')
          i++
          break
        }
        case EXTENSION:
          if (byte === CR) {
            this.#endExtension()
            this.#state = SIZE_LF
          } else if (this.#extension.length >= this.#limits.chunkExtensionBytes)
            throw malformed('a chunk extension that is too long')
          else this.#extension += String.fromCharCode(byte)
          i++
          break
        case SIZE_LF:
          if (byte !== LF) throw malformed('a chunk size without its line feed')
          if (!Number.isSafeInteger(this.#size)) throw malformed('a chunk beyond all bounds')
          i++
          if (this.#size > 0) this.#state = DATA
          else {
            this.#state = TRAILERS
            this.#trailerBytes = new HeadBytes()
            this.#trailerBytes.take(Buffer.from('\r\n'), this.#limits.trailerBytes)
          }
          break
        case DATA: {
          const take = Math.min(this.#size, bytes.length - i)
          this.#size -= take
          if (this.#size === 0) this.#state = DATA_CR
          data.from = i
          data.to = i + take
          return i + take
        }
        case DATA_CR:
          if (byte !== CR) throw malformed('chunk data that does not end where its size says')
          this.#state = DATA_LF
          i++
          break
        case DATA_LF:
          if (byte !== LF) throw malformed('chunk data that does not end where its size says')
          this.#state = SIZE
          this.#digits = 0
          this.#size = 0
          i++
          break
        case TRAILERS:
          return this.#readTrailers(bytes, i)
        default:
          return i
      }
    }
    return i
  }

  /** The section is gathered with the line end before it, so that none at all ends in a blank line too. */
  #readTrailers(bytes: Buffer, at: number): number {
    const gathered = this.#trailerBytes as HeadBytes
    try {
      const text = gathered.take(at === 0 ? bytes : bytes.subarray(at), this.#limits.trailerBytes)
      if (text === undefined) return bytes.length
      this.trailers = readTrailers(text.slice(2), this.#limits.trailerLines)
    } catch (fault) {
      throw fault instanceof WireError ? malformed(fault.detail) : fault
    }
    this.#state = DONE
    this.done = true
    return bytes.length - (gathered.rest?.length ?? 0)
  }

  #endExtension(): void {
    this.#extensionBytes += this.#extension.length
    if (this.#extensionBytes > this.#limits.chunkExtensionsBytes)
      throw malformed('more chunk extensions than any body needs')
    if (!EXTENSIONS.test(this.#extension)) throw malformed('a chunk extension that is none')
    this.#extension = ''
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 0x20
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function malformed(detail: string): WireError {
  return new WireError('malformed', detail, 'body')
}
