import { createHash, createHmac, randomUUID } from 'node:crypto'
import type { Environment } from '@marcbachmann/cel-js'
import { LARGEST, TooMuch, timeText, toJson } from './values.ts'

/** Hash functions that `hmac` takes, by the names that vendors use. */
const HASHES: readonly unknown[] = ['sha1', 'sha256', 'sha384', 'sha512']

/** What makes a formula another one each time. */
export const VOLATILE: readonly string[] = ['now', 'uuid']

/** Functions of the library that are not offered, and what to say. */
export const REFUSED: Readonly<Record<string, string>> = {
  // JavaScript's own patterns: a few characters of a caller's claim could keep one busy for hours.
  matches: '`matches` is not offered; there are contains, startsWith, endsWith and ==.',
}

/** Thrown by a function that cannot do what it is asked. Its message holds no value. */
export class BadCall extends Error {}

const TIMESTAMP = 'google.protobuf.Timestamp'

/** Gives an environment the functions that formulas have beside CEL's own. `now` is in Unix ms. */
export function addFunctions(environment: Environment, now: () => number): Environment {
  const bytes = (value: unknown) => Buffer.from(value as string | Uint8Array)
  for (const type of ['string', 'bytes']) {
    environment
      .registerFunction(`base64(${type}): string`, (value) => bytes(value).toString('base64'))
      .registerFunction(`base64url(${type}): string`, (value) => bytes(value).toString('base64url'))
      .registerFunction(`hex(${type}): string`, (value) => bytes(value).toString('hex'))
      .registerFunction(`sha256(${type}): bytes`, (value) => digest(bytes(value)))
      .registerFunction(`hmac(${type}, string): bytes`, (key, text) => hmac(key, text, 'sha256'))
      .registerFunction(`hmac(${type}, string, string): bytes`, hmac)
  }
  return environment
    .registerFunction(`now(): ${TIMESTAMP}`, () => new Date(now()))
    .registerFunction('uuid(): string', () => randomUUID())
    .registerFunction('json(dyn): string', (value) => JSON.stringify(toJson(value)))
    .registerFunction(`string(${TIMESTAMP}): string`, (time) => timeText(time as Date))
    .registerFunction(`int(${TIMESTAMP}): int`, (time) => BigInt(Math.floor((time as Date).getTime() / 1000)))
    .registerFunction('string.replace(string, string): string', replace)
}

function digest(value: Buffer): Uint8Array {
  return plain(createHash('sha256').update(value).digest())
}

/** RFC 2104. */
function hmac(key: unknown, text: unknown, hash: unknown): Uint8Array {
  if (!HASHES.includes(hash)) throw new BadCall(`\`hmac\` takes ${HASHES.join(', ')}`)
  const value = createHmac(hash as string, Buffer.from(key as string | Uint8Array))
  return plain(value.update(text as string, 'utf8').digest())
}

/** CEL's `bytes` are a Uint8Array, and nothing that is derived from it. */
function plain(value: Buffer): Uint8Array {
  return new Uint8Array(value)
}

/** Every occurrence; `old` is not empty. */
function replace(text: unknown, old: unknown, fresh: unknown): string {
  const [all, from, to] = [text as string, old as string, fresh as string]
  if (from === '') throw new BadCall('`replace` takes what is replaced, and it is not empty')
  const parts = all.split(from)
  if ((parts.length - 1) * to.length > LARGEST) throw new TooMuch()
  return parts.join(to)
}
