import { createHash } from 'node:crypto'

/**
 * A proxy key: `lcm_`, 43 characters of base62 (32 random bytes, left-padded), 6 of base62 (the
 * CRC-32 of what stands between), so that secret scanners know one when they see it.
 */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const BODY = 43
const CHECK = 6
const SHAPE = /^lcm_[0-9A-Za-z]{49}$/

function base62(value: bigint, width: number): string {
  let text = ''
  for (let rest = value; rest > 0n; rest /= 62n) text = ALPHABET[Number(rest % 62n)] + text
  return text.padStart(width, '0')
}

/** CRC-32 as in RFC 1952 §8. */
function crc32(text: string): number {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i)
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

/** The text of a key from 32 random bytes. */
export function proxyKeyText(random: Uint8Array): string {
  if (random.length !== 32) throw new RangeError('a proxy key takes 32 bytes')
  const body = base62(BigInt(`0x${Buffer.from(random).toString('hex')}`), BODY)
  return `lcm_${body}${base62(BigInt(crc32(body)), CHECK)}`
}

/** Whether the text has a key's shape and its check is right. */
export function isProxyKey(text: string): boolean {
  if (!SHAPE.test(text)) return false
  const body = text.slice(4, 4 + BODY)
  return text.slice(4 + BODY) === base62(BigInt(crc32(body)), CHECK)
}

/** Whether a key stands anywhere in the text. */
export function holdsProxyKey(text: string): boolean {
  return text.includes('lcm_') && (text.match(/lcm_[0-9A-Za-z]{49}/g) ?? []).some(isProxyKey)
}

/** Hex of the key's SHA-256: what is stored and looked up (R29). */
export function proxyKeyHash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/**
 * What manages keys that Locum makes by itself: for a console session in a cookie, and for a link at which a new key is
 * fetched, which call nothing, and for pages. No file has such a name: theirs have no colon.
 */
export const CONSOLE_KEY = 'locum:console'
export const PAGE_KEY = 'locum:page'
export const LINK_KEY = 'locum:link'

/** Whether a key that this manages serves for calls. */
export function servesCalls(managedBy: string | undefined): boolean {
  return managedBy !== CONSOLE_KEY && managedBy !== LINK_KEY
}
