import { type Needles, StreamMask } from '../../core/redact.ts'
import { WireError } from '../wire/message.ts'

/** The longest head of a frame that a server sends: two bytes and a length of eight (RFC 6455 §5.2). */
const HEAD_LIMIT = 10

/**
 * Masks what a WebSocket server sends, payload by payload: nothing is held back at the end of a frame,
 * so that a message is never delayed by the one behind it. A secret that is spread over frames is not
 * found.
 */
export class FrameMask {
  readonly #needles: Needles
  /** The head of a frame, as far as it came. */
  #head = Buffer.alloc(0)
  /** Bytes of the payload that are still to come. */
  #left = 0
  #payload: StreamMask | undefined
  #hits = 0

  constructor(needles: Needles) {
    this.#needles = needles
  }

  /** How many forms were masked so far. */
  get hits(): number {
    return this.#hits + (this.#payload?.hits ?? 0)
  }

  /**
   * What may go on now. Throws WireError malformed for a frame that no server may send here and that
   * would hide what it holds: masked (§5.1), or with a bit of an extension that was not agreed on (§5.2).
   */
  push(chunk: Buffer): Buffer | undefined {
    const parts: Buffer[] = []
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#payload) rest = this.#pass(rest, this.#payload, parts)
      else rest = this.#readHead(rest, parts)
    }
    return parts.length > 1 ? Buffer.concat(parts) : parts[0]
  }

  /** What was held back when the stream ended. */
  end(): Buffer | undefined {
    return this.#payload?.end()
  }

  #pass(bytes: Buffer, payload: StreamMask, parts: Buffer[]): Buffer {
    const piece = bytes.subarray(0, this.#left)
    this.#left -= piece.length
    const safe = payload.push(piece)
    if (safe) parts.push(safe)
    if (this.#left === 0) {
      const held = payload.end()
      if (held) parts.push(held)
      this.#hits += payload.hits
      this.#payload = undefined
    }
    return bytes.subarray(piece.length)
  }

  #readHead(bytes: Buffer, parts: Buffer[]): Buffer {
    const before = this.#head.length
    const head = Buffer.concat([this.#head, bytes.subarray(0, HEAD_LIMIT - before)])
    this.#head = head
    if (head.length < 2) return NOTHING
    const [first, second] = head as unknown as [number, number]
    if ((first & 0x70) !== 0 || (second & 0x80) !== 0)
      throw new WireError('malformed', 'a frame that hides what it holds')
    const size = second === 127 ? 10 : second === 126 ? 4 : 2
    if (head.length < size) return NOTHING
    const length = size === 2 ? second : size === 4 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2))
    if (!Number.isSafeInteger(length)) throw new WireError('malformed', 'a frame beyond all bounds')
    parts.push(head.subarray(0, size))
    this.#head = NOTHING
    this.#left = length
    if (length > 0) this.#payload = new StreamMask(this.#needles)
    return bytes.subarray(size - before)
  }
}

const NOTHING = Buffer.alloc(0)
