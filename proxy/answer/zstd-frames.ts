/** RFC 8878 §3.1.1, §3.1.2. */
const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
const BLOCK_HEAD = 3
const RLE = 1
/** By the Dictionary_ID_Flag, and by the Frame_Content_Size_Flag. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const
const SIZE_BYTES = [0, 2, 4, 8] as const

const MAGIC_NEXT = 0
const DESCRIPTOR = 1
const SKIP_SIZE = 2
const HEADER = 3
const BLOCK = 4
const CONTENT = 5
const FRAME_END = 6

/**
 * Finds where blocks and frames of zstd end. A decoder gives out a block when all of it is there, so that
 * what lies behind the last end was not seen yet. What is not valid it leaves to the decoder to refuse.
 */
export class ZstdFrames {
  /** Frames that were begun. */
  frames = 0
  #state = MAGIC_NEXT
  /** Bytes to come until the state changes, and what they have said so far. */
  #left = 4
  #number = 0
  #place = 0
  #checksum = false
  #lastBlock = false

  /** Nothing but whole frames came. */
  get betweenFrames(): boolean {
    return this.#state === MAGIC_NEXT && this.#left === 4
  }

  /** Nothing but whole blocks came, in this frame too. */
  get betweenBlocks(): boolean {
    return this.betweenFrames || (this.#state === BLOCK && this.#left === BLOCK_HEAD)
  }

  /**
   * Reads on from `from` to the end of a frame, or else of the bytes. Returns where it stopped, and where the
   * last block ended before that (`from` where none did).
   */
  read(bytes: Buffer, from: number): { at: number; whole: number } {
    let at = from
    let whole = from
    while (at < bytes.length) {
      const take = Math.min(this.#left, bytes.length - at)
      if (this.#state === CONTENT || this.#state === HEADER || this.#state === FRAME_END) at += take
      else for (let i = 0; i < take; i++) this.#number += (bytes[at++] as number) * 2 ** (8 * this.#place++)
      this.#left -= take
      if (this.#left > 0) break
      // An empty part is over at once.
      do this.#advance()
      while (this.#left === 0)
      if (this.betweenBlocks) whole = at
      if (this.betweenFrames) break
    }
    return { at, whole }
  }

  #advance(): void {
    const number = this.#number
    this.#number = 0
    this.#place = 0
    switch (this.#state) {
      case MAGIC_NEXT:
        this.frames++
        // The lowest four bits of a skippable frame's are free.
        if (number === MAGIC) this.#expect(DESCRIPTOR, 1)
        else if (number - (number % 16) === SKIPPABLE) this.#expect(SKIP_SIZE, 4)
        else this.#expect(CONTENT, Number.POSITIVE_INFINITY)
        break
      case SKIP_SIZE:
        this.#expect(FRAME_END, number)
        break
      case DESCRIPTOR: {
        const single = (number & 0x20) !== 0
        this.#checksum = (number & 0x04) !== 0
        const size = number >> 6 === 0 && single ? 1 : (SIZE_BYTES[number >> 6] as number)
        this.#expect(HEADER, (single ? 0 : 1) + (DICTIONARY_BYTES[number & 3] as number) + size)
        break
      }
      case HEADER:
        this.#expect(BLOCK, BLOCK_HEAD)
        break
      case BLOCK: {
        this.#lastBlock = (number & 1) === 1
        const kind = (number >> 1) & 3
        this.#expect(CONTENT, kind === RLE ? 1 : number >> 3)
        break
      }
      case CONTENT:
        if (!this.#lastBlock) this.#expect(BLOCK, BLOCK_HEAD)
        else this.#expect(FRAME_END, this.#checksum ? 4 : 0)
        break
      default:
        this.#expect(MAGIC_NEXT, 4)
    }
  }

  #expect(state: number, bytes: number): void {
    this.#state = state
    this.#left = bytes
  }
}
