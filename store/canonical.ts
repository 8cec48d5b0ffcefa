/** What can be encoded: nothing beside these is ever in a row or a place. */
export type Part = string | number | null | Uint8Array | readonly Part[]

const NULL = 0
const TEXT = 1
const NUMBER = 2
const BYTES = 3
const LIST = 4

/**
 * One encoding for each value, and no two values with the same: a type byte, a 32-bit length or
 * count, the content. So no part can run into its neighbour.
 */
export function encodeCanonically(part: Part): Buffer {
  const pieces: Uint8Array[] = []
  append(pieces, part)
  return Buffer.concat(pieces)
}

function append(pieces: Uint8Array[], part: Part): void {
  if (part === null) pieces.push(head(NULL, 0))
  else if (typeof part === 'string') appendBytes(pieces, TEXT, Buffer.from(part, 'utf8'))
  else if (typeof part === 'number') appendBytes(pieces, NUMBER, Buffer.from(String(part), 'latin1'))
  else if (part instanceof Uint8Array) appendBytes(pieces, BYTES, part)
  else {
    pieces.push(head(LIST, part.length))
    for (const item of part) append(pieces, item)
  }
}

function appendBytes(pieces: Uint8Array[], type: number, bytes: Uint8Array): void {
  pieces.push(head(type, bytes.length), bytes)
}

function head(type: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = type
  bytes.writeUInt32BE(length, 1)
  return bytes
}
