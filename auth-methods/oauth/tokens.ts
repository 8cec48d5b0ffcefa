import type { Grant } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import type { AuthValues } from '../../core/words.ts'
import { timeOf } from '../expires.ts'

/** What of a token answer has a variable of its own, or none at all. */
const NAMED = ['access_token', 'id_token', 'refresh_token']

/**
 * A token answer (RFC 6749 §5.1) as it is kept: `access_token`, `id_token`, `refresh_token`, and in `token` every
 * parameter that is none of them. What an answer leaves out of a renewal stays as it was (RFC 6749 §6).
 */
export function grantOf(answer: JsonObject, previous: Grant | undefined, now: number): Grant {
  const { access_token: access, id_token: id, refresh_token: refresh } = answer
  if (typeof access !== 'string' || access === '')
    throw new LocumError('refresh_failed', 'The token endpoint gave no access token.')
  const before = previous?.values ?? {}
  const expiresAt = expiryOf(answer, now)
  return {
    values: {
      access_token: access,
      ...optional('id_token', id ?? before.id_token),
      ...optional('refresh_token', refresh ?? before.refresh_token),
      token: Object.fromEntries(Object.entries(answer).filter(([name]) => !NAMED.includes(name))),
    },
    ...(expiresAt === undefined ? {} : { expiresAt }),
  }
}

/** `expires_in`, or what some write in its place: `expires`. */
function expiryOf({ expires_in: within, expires }: JsonObject, now: number): number | undefined {
  const said = within ?? expires
  if (said === undefined || said === null) return undefined
  const at = timeOf(said, now)
  if (at === undefined)
    throw new LocumError('refresh_failed', 'The token endpoint says no time in `expires_in`.')
  // Some say 0 for what never ends; what is over already serves for the one request.
  return at > now ? at : undefined
}

/** A refresh token has no variable: it never leaves but for the token endpoint. */
export function tokenValues(grant: Grant | undefined): AuthValues {
  const { access_token: access = null, id_token: id = null, token = null } = grant?.values ?? {}
  return { values: { Access_Token: access, Id_Token: id, Token: token }, plain: [] }
}

function optional(name: string, value: Json | undefined): JsonObject {
  return typeof value === 'string' && value !== '' ? { [name]: value } : {}
}
