/** Percent-encoding (RFC 3986 §2.1), on latin1 text: a character is a byte. */

/** Decoded text that still knows where each of its characters stood. */
export interface Decoded {
  readonly text: string
  /** Where character i begins in what was decoded; one more for its end. Undefined: where it stands. */
  readonly starts: readonly number[] | undefined
}

const CODE = /%[0-9A-Fa-f]{2}/
const CODES = /%([0-9A-Fa-f]{2})/g

/** What is no code stays as it is. `+` too: it is a blank in a query alone. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  return text.replace(CODES, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** As `decodePercent`, with the places. */
export function decodePlaces(text: string): Decoded {
  if (!CODE.test(text)) return { text, starts: undefined }
  const starts: number[] = []
  const decoded = decodePercent(text)
  for (let at = 0; at < text.length; ) {
    starts.push(at)
    at += text.charCodeAt(at) === 0x25 && CODE.test(text.slice(at, at + 3)) ? 3 : 1
  }
  starts.push(text.length)
  return { text: decoded, starts }
}

/** The value of a name in a query or a form: decoded, `+` a blank (URL Standard §5.1). */
export function decodeName(text: string): string {
  return decodePercent(text.replaceAll('+', ' '))
}

/** The UTF-8 bytes of a text, each as a latin1 character. */
export function utf8Text(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** A value as it may stand anywhere in an URL or a form: all but what RFC 3986 §2.3 keeps is encoded. */
export function encodePercent(value: string): string {
  return encode(value, /[A-Za-z0-9._~-]/)
}

/** A value as data of a path's segment: `:` and `@` stand there as they are (RFC 3986 §3.3), as in bot tokens. */
export function encodeSegment(value: string): string {
  return encode(value, /[A-Za-z0-9._~:@-]/)
}

function encode(value: string, kept: RegExp): string {
  let text = ''
  for (const byte of Buffer.from(value, 'utf8')) {
    const char = String.fromCharCode(byte)
    text += kept.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}
