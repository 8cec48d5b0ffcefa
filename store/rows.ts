import type { Json } from '../core/secret.ts'
import type { Sealed } from '../core/words.ts'

/** An optional value as a column. */
export function column<T>(value: T | undefined): T | null {
  return value === undefined ? null : value
}

/** An optional member: `{}` where the column is empty, so that it is absent rather than undefined. */
export function member<K extends string, T>(key: K, value: T | null): { [P in K]?: T } {
  return (value === null ? {} : { [key]: value }) as { [P in K]?: T }
}

export function flag(value: boolean): number {
  return value ? 1 : 0
}

/** JSON text of a column whose stamp was checked. */
export function parse<T = Json>(text: string): T {
  return JSON.parse(text) as T
}

export function sealedText(sealed: Sealed): string {
  return Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).toString('base64')
}

export function sealedBytes(text: string): Sealed {
  return Buffer.from(text, 'base64')
}
