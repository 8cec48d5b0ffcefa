import { LocumError } from '../core/errors.ts'
import { lookUp, parsePath, type VariablePath } from '../core/placeholder.ts'
import type { Json, JsonObject } from '../core/secret.ts'

/** From where it is known how long an answer serves; undefined: until it is refused. */
export type Expires =
  | { readonly path: readonly (string | number)[]; readonly text: string }
  | { readonly jwt: readonly (string | number)[]; readonly text: string }
  | { readonly header: string }
  | { readonly seconds: number }
  | undefined

/** An answer, as it is kept. */
export interface Answer extends JsonObject {
  readonly Body: Json
  /** By lower-case names. */
  readonly Headers: { readonly [name: string]: string }
}

const KINDS = ['path', 'jwt', 'header', 'seconds']

export const EXPIRES_SCHEMA: JsonObject = {
  type: 'object',
  description:
    'From where it is known how long the answer serves. Left out: until the upstream refuses it with 401.',
  properties: {
    path: {
      type: 'string',
      description: 'Where the answer says it: seconds from now, a Unix time, or a date. `data.expires_in`',
    },
    jwt: { type: 'string', description: 'Where in the answer a JWT stands, whose `exp` counts.' },
    header: { type: 'string', description: 'The header field that says it.' },
    seconds: { type: 'number', description: 'So long.' },
  },
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
}

/** Throws bad_request. */
export function readExpires(value: Json | undefined): Expires {
  if (value === undefined) return undefined
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  const [kind, of] = entries[0] ?? []
  if (entries.length !== 1 || kind === undefined || !KINDS.includes(kind))
    throw wrong(
      '`expires` is one of { path: expires_in }, { header: Expires }, { jwt: access_token }, { seconds: 3600 }',
    )
  if (kind === 'seconds') {
    if (typeof of !== 'number' || !(of >= 1 && of <= 366 * 86_400))
      throw wrong('`expires.seconds` is a number from 1')
    return { seconds: of }
  }
  if (typeof of !== 'string') throw wrong(`\`expires.${kind}\` is a text`)
  if (kind === 'header') {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(of))
      throw wrong('`expires.header` is the name of a header field')
    return { header: of.toLowerCase() }
  }
  const steps = stepsOf(of)
  if (!steps) throw wrong(`\`expires.${kind}\` is a path in the answer, such as data.expires_in`)
  return kind === 'path' ? { path: steps, text: of } : { jwt: steps, text: of }
}

function stepsOf(text: string): readonly (string | number)[] | undefined {
  return parsePath(`$Auth.Body${text.startsWith('[') ? '' : '.'}${text}`)?.steps
}

/** Unix ms. Throws refresh_failed where the answer does not say it, or is over already. */
export function expiryOf(expires: Expires, answer: Answer, now: number): number | undefined {
  const expiresAt = saidBy(expires, answer, now)
  if (expiresAt === undefined || expiresAt > now) return expiresAt
  throw new LocumError(
    'refresh_failed',
    'The answer of the authentication URL says that it is over already.',
    {
      hint: 'Look at the clocks of both sides, and at what `expires` names: a number is seconds from now, or a Unix time.',
    },
  )
}

function saidBy(expires: Expires, answer: Answer, now: number): number | undefined {
  if (expires === undefined) return undefined
  if ('seconds' in expires) return now + expires.seconds * 1000
  if ('header' in expires) {
    const value = answer.Headers[expires.header]
    return value === undefined
      ? unsaid(`field \`${expires.header}\``)
      : (timeOf(value, now) ?? unread(expires.header))
  }
  const steps = 'path' in expires ? expires.path : expires.jwt
  const path: VariablePath = { text: expires.text, root: 'Auth', steps }
  const value = lookUp(path, { auth: { values: answer, plain: [] } } as never)
  if (value === undefined || value === null) return unsaid(`\`${expires.text}\``)
  return ('path' in expires ? timeOf(value, now) : expOf(value)) ?? unread(expires.text)
}

/** Seconds from now, Unix seconds or ms, or a date. */
export function timeOf(value: Json, now: number): number | undefined {
  const number = typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
  if (typeof number === 'number') {
    if (!Number.isFinite(number) || number < 0) return undefined
    if (number >= 1e11) return number
    return number >= 1e9 ? number * 1000 : now + number * 1000
  }
  const date = typeof number === 'string' ? Date.parse(number) : Number.NaN
  return Number.isNaN(date) ? undefined : date
}

/** `exp` of a JWT (RFC 7519 §4.1.4), whose signature is its reader's to verify. */
function expOf(value: Json): number | undefined {
  const claims = typeof value === 'string' ? value.split('.')[1] : undefined
  if (claims === undefined) return undefined
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as { exp?: unknown }
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined
  } catch {
    // Without the parser's error: it would show a piece of the token.
    return undefined
  }
}

function unsaid(what: string): never {
  throw new LocumError('refresh_failed', `The answer of the authentication URL has no ${what}.`, {
    hint: '`expires` names where it says how long it serves; leave it out where it does not.',
  })
}

function unread(what: string): never {
  throw new LocumError('refresh_failed', `What the answer says in \`${what}\` is no time.`, {
    hint: 'A time is a number of seconds, a Unix time or a date; a JWT is named by `expires: { jwt: … }`.',
  })
}

function wrong(detail: string): LocumError {
  return new LocumError('bad_request', detail)
}
