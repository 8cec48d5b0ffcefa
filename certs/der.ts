/**
 * As much DER (X.690) as a certificate needs: values are written in their one shortest form, and
 * reading refuses every other.
 */

const SEQUENCE = 0x30
const SET = 0x31

/** Tag, length, contents. `tag` is one byte. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of contents) length += part.length
  const head = length < 0x80 ? [tag, length] : [tag, 0, ...bigEndian(length)]
  if (length >= 0x80) head[1] = 0x80 | (head.length - 2)
  return Buffer.concat([Uint8Array.from(head), ...contents])
}

function bigEndian(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return bytes
}

export function sequence(...contents: readonly Uint8Array[]): Buffer {
  return element(SEQUENCE, ...contents)
}

/** Of one member only, so that there is no order to keep. */
export function setOf(member: Uint8Array): Buffer {
  return element(SET, member)
}

/** `true`; DER leaves out a `false` that is the default. */
export const TRUE: Buffer = element(0x01, Uint8Array.of(0xff))

/** A non-negative integer from its big-endian bytes, in as few of them as it takes. */
export function integer(magnitude: Uint8Array): Buffer {
  let from = 0
  while (from < magnitude.length - 1 && magnitude[from] === 0) from++
  const bytes = magnitude.length === 0 ? Uint8Array.of(0) : magnitude.subarray(from)
  return (bytes[0] as number) >= 0x80 ? element(0x02, Uint8Array.of(0), bytes) : element(0x02, bytes)
}

/** Whole bytes. */
export function bitString(bytes: Uint8Array): Buffer {
  return element(0x03, Uint8Array.of(0), bytes)
}

/** A BIT STRING of named bits (X.690 §11.2.2), bit 0 the left-most: trailing zero bits are left out. At most 8. */
export function namedBits(...bits: readonly number[]): Buffer {
  let byte = 0
  for (const bit of bits) byte |= 0x80 >> bit
  return element(0x03, Uint8Array.of(7 - Math.max(...bits), byte))
}

export function octets(...contents: readonly Uint8Array[]): Buffer {
  return element(0x04, ...contents)
}

/** `1.2.840.10045.4.3.2` → an OBJECT IDENTIFIER. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const septets = [arc & 0x7f]
    for (let high = arc >>> 7; high > 0; high >>>= 7) septets.unshift(0x80 | (high & 0x7f))
    return septets
  })
  return element(0x06, Uint8Array.from(bytes))
}

export function utf8(text: string): Buffer {
  return element(0x0c, Buffer.from(text, 'utf8'))
}

/** Unix ms → UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5); parts of a second are cut. */
export function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return text < '2050' ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text))
}

/** `[number]` around a whole value. */
export function explicit(number: number, content: Uint8Array): Buffer {
  return element(0xa0 | number, content)
}

/** `[number]` in place of a primitive value's own tag. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return element(0x80 | number, content)
}

/** One value as it was read: `whole` with its tag and length, `content` without. */
export interface Element {
  readonly tag: number
  readonly whole: Buffer
  readonly content: Buffer
}

/**
 * The values that `bytes` consists of, one after the other. Throws RangeError for a length that is
 * not minimal, or that reaches past the end, and for tags of more than one byte.
 */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] as number
    let length = bytes[at + 1] ?? Number.NaN
    let start = at + 2
    if (length >= 0x80) {
      const count = length & 0x7f
      if (count < 1 || count > 4 || start + count > bytes.length) throw new RangeError('not DER')
      length = bytes.readUIntBE(start, count)
      start += count
      if (length < (count === 1 ? 0x80 : 256 ** (count - 1))) throw new RangeError('not DER')
    }
    if ((tag & 0x1f) === 0x1f || !(start + length <= bytes.length)) throw new RangeError('not DER')
    found.push({
      tag,
      whole: bytes.subarray(at, start + length),
      content: bytes.subarray(start, start + length),
    })
    at = start + length
  }
  return found
}
