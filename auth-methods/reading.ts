import type { CallOutRules } from '../core/call-out.ts'
import { LocumError } from '../core/errors.ts'
import type { Json, JsonObject } from '../core/secret.ts'

/** How methods read what the file says: each throws bad_request with the key, `within` before it. */

/** How what is asked for a provider may leave: keys of the file. */
export const RULES_SCHEMA: { readonly [key: string]: JsonObject } = {
  allowPrivateNetwork: {
    type: 'boolean',
    description: 'Lets its endpoints be at loopback and private addresses.',
  },
  allowPlaintext: { type: 'boolean', description: 'Lets its endpoints be asked over http.' },
  ca: { type: 'string', description: 'A PEM file: the CA of its endpoints, in place of the usual ones.' },
}

/** How what is asked for a method may leave. */
export function readRules(config: JsonObject, within = ''): CallOutRules {
  return {
    allowPrivateNetwork: flag(config, 'allowPrivateNetwork', within),
    allowPlaintext: flag(config, 'allowPlaintext', within),
    ca: config.ca === undefined ? undefined : text(config.ca, `${within}ca`),
  }
}

/** An address that a secret may go to. Throws bad_request. */
export function urlOf(config: JsonObject, name: string, rules: CallOutRules, within = ''): string {
  const key = within + name
  const value = text(config[name], key)
  const parsed = URL.canParse(value) ? new URL(value) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw wrong(`\`${key}\` is no https address`)
  if (parsed.username !== '' || parsed.password !== '')
    throw wrong(`\`${key}\` holds a user name or a password; they belong in the credential`)
  if (parsed.hash !== '') throw wrong(`\`${key}\` holds a fragment, which is never sent`)
  if (parsed.protocol === 'http:' && !rules.allowPlaintext)
    throw wrong(`\`${key}\` is no https address; say \`allowPlaintext: true\` if that is meant`)
  return value
}

export function oneOf<T extends string>(config: JsonObject, key: string, of: readonly T[]): T | undefined {
  const value = config[key]
  if (value === undefined) return undefined
  if (of.some((one) => one === value)) return value as T
  throw wrong(`\`${key}\` is one of ${of.join(', ')}`)
}

function flag(config: JsonObject, name: string, within: string): boolean {
  const value = config[name] ?? false
  if (typeof value !== 'boolean') throw wrong(`\`${within}${name}\` is true or false`)
  return value
}

export function text(value: Json | undefined, key: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(`\`${key}\` is a text`)
  return value
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function wrong(detail: string): LocumError {
  return new LocumError('bad_request', detail)
}
