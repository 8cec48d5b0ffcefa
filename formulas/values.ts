export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** Characters, items and members that the values of one formula have at most, all in all. */
export const LARGEST = 65_536

/** Thrown for what is larger or takes longer than a formula may. */
export class TooMuch extends Error {}

/** Thrown for a result that no JSON has. `kind` says what it is. */
export class NoJson extends Error {
  readonly kind: string
  constructor(kind: string) {
    super(kind)
    this.kind = kind
  }
}

/** Counts what values are made of. Throws TooMuch beyond `LARGEST`. */
export class Size {
  #left = LARGEST

  take(amount: number): void {
    this.#left -= amount
    if (this.#left < 0) throw new TooMuch()
  }
}

/** JSON as CEL has it: whole numbers are `int`, all others `double`; objects are maps of their own, without a prototype. */
export function toCel(value: Json, size: Size): unknown {
  size.take(typeof value === 'string' ? value.length + 1 : 1)
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((one: Json) => toCel(one, size))
  return new Map(
    Object.entries(value).map(([name, one]) => {
      size.take(name.length)
      return [name, toCel(one, size)]
    }),
  )
}

/** How large a value is with everything in it, however often it stands there. Throws TooMuch. */
export function sizeOf(value: unknown, size: Size): void {
  if (typeof value === 'string' || value instanceof Uint8Array) size.take(value.length + 1)
  else size.take(1)
  if (Array.isArray(value)) for (const one of value) sizeOf(one, size)
  else if (isMap(value)) for (const pair of entriesOf(value)) for (const one of pair) sizeOf(one, size)
}

/**
 * A result as JSON: bytes as lower-case hex, a time by RFC 3339, a duration in seconds with an `s`. Throws NoJson for a
 * type, an infinite number and a whole one beyond 2^53; TooMuch.
 */
export function toJson(value: unknown, size: Size = new Size()): Json {
  size.take(typeof value === 'string' ? value.length + 1 : 1)
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return finite(value)
  if (typeof value === 'bigint') return whole(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Date) return timeText(value)
  if (Array.isArray(value)) return value.map((one) => toJson(one, size))
  if (isMap(value)) {
    const made = Object.create(null) as Record<string, Json>
    for (const [name, one] of entriesOf(value)) made[nameOf(name)] = toJson(one, size)
    return { ...made }
  }
  if (isDuration(value)) return String(value)
  const inner = (value as { valueOf(): unknown }).valueOf()
  if (typeof inner === 'bigint') return whole(inner)
  throw new NoJson('a type')
}

/** RFC 3339, without a fraction where there is none. */
export function timeText(time: Date): string {
  return time.toISOString().replace('.000Z', 'Z')
}

function isMap(value: unknown): value is object {
  if (value === null || typeof value !== 'object') return false
  if (value instanceof Map) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function entriesOf(value: object): Iterable<[unknown, unknown]> {
  return value instanceof Map ? value : Object.entries(value)
}

function nameOf(key: unknown): string {
  if (typeof key === 'string') return key
  throw new NoJson('a map whose keys are no strings')
}

function isDuration(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object google.protobuf.Duration]'
}

function finite(value: number): number {
  if (Number.isFinite(value)) return value
  throw new NoJson('an infinite number')
}

function whole(value: bigint): number {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new NoJson('a whole number beyond 2^53')
}
