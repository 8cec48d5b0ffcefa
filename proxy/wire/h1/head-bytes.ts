import { WireError } from '../message.ts'

const END = Buffer.from('\r\n\r\n')
const CR = 13
const LF = 10
const TAB = 9

/**
 * Gathers the bytes of a head until its blank line. What cannot become a head (a bare CR or LF, a
 * control byte) is refused before the end is there, so that nobody waits for it.
 */
export class HeadBytes {
  /** Behind the blank line of the head that `take` returned last. */
  rest: Buffer | undefined
  #kept: Buffer | undefined
  #size = 0

  get partial(): boolean {
    return this.#size > 0
  }

  /**
   * The head as latin1, blank line included; undefined while it is not whole.
   * Throws WireError malformed or head_too_large.
   */
  take(chunk: Buffer, maxBytes: number): string | undefined {
    if (this.#size > 0) return this.#join(chunk, maxBytes)
    const end = chunk.indexOf(END)
    if (end < 0) {
      this.#keep(chunk, maxBytes)
      return undefined
    }
    if (end + 4 > maxBytes) throw tooLarge()
    this.rest = end + 4 === chunk.length ? undefined : chunk.subarray(end + 4)
    return chunk.toString('latin1', 0, end + 4)
  }

  /** The bytes that were gathered and do not make a head yet. */
  first(count: number): string {
    return this.#kept?.toString('latin1', 0, Math.min(count, this.#size)) ?? ''
  }

  #join(chunk: Buffer, maxBytes: number): string | undefined {
    const before = this.#size
    this.#keep(chunk, maxBytes)
    const kept = this.#kept as Buffer
    const end = kept.subarray(0, this.#size).indexOf(END, Math.max(0, before - 3))
    if (end < 0) return undefined
    const size = end + 4
    if (size > maxBytes) throw tooLarge()
    this.rest = size - before === chunk.length ? undefined : chunk.subarray(size - before)
    this.#kept = undefined
    this.#size = 0
    return kept.toString('latin1', 0, size)
  }

  /** Keeps no more of a chunk than a head can have. */
  #keep(chunk: Buffer, maxBytes: number): void {
    const before = this.#size
    const size = Math.min(before + chunk.length, maxBytes + 1)
    if (this.#kept === undefined || this.#kept.length < size) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1024, Math.min(2 * size, maxBytes + 1)))
      this.#kept?.copy(larger, 0, 0, before)
      this.#kept = larger
    }
    chunk.copy(this.#kept, before, 0, size - before)
    this.#size = size
    const end = this.#check(before)
    if (size > maxBytes && end < 0) throw tooLarge()
  }

  /** Looks through the new bytes up to a blank line; returns where it is, or else -1. */
  #check(from: number): number {
    const kept = this.#kept as Buffer
    for (let i = from; i < this.#size; i++) {
      const byte = kept[i] as number
      const previous = i > 0 ? kept[i - 1] : 0
      if (byte === LF) {
        if (previous !== CR) throw malformed('a line feed without a carriage return')
        if (i >= 3 && kept[i - 2] === LF && kept[i - 3] === CR) return i
      } else if (previous === CR) throw malformed('a carriage return without a line feed')
      else if ((byte < 0x20 && byte !== TAB && byte !== CR) || byte === 0x7f)
        throw malformed('a control byte in a head')
    }
    return -1
  }
}

function tooLarge(): WireError {
  return new WireError('head_too_large', 'the head is too large', 'head')
}

function malformed(detail: string): WireError {
  return new WireError('malformed', detail, 'head')
}
