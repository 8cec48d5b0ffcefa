import type { AuthMethod } from './auth-method.ts'
import { LocumError } from './errors.ts'
import { fieldsOf, isByConsent } from './provider.ts'
import type { JsonObject } from './secret.ts'
import { SHORTEST_SECRET } from './secret-forms.ts'
import type { SealedPlace } from './store.ts'
import type { Credential, Provider } from './words.ts'

/** The place that a credential's field is sealed for; what is sealed is the UTF-8 of the field's JSON. */
export function credentialPlace(
  credential: Pick<Credential, 'id' | 'version' | 'owner' | 'audience'>,
  field: string,
): SealedPlace {
  return {
    table: 'credentials',
    row: credential.id,
    field,
    version: credential.version,
    owner: credential.owner,
    audience: credential.audience,
  }
}

/**
 * Checks entered fields against what the method takes. `plain`: those that are no secrets. Returns warnings for people. Throws
 * bad_request for a missing, unknown or empty field; no value of a field is ever in the error.
 */
export function checkFields(
  method: AuthMethod,
  fields: JsonObject,
  provider?: Pick<Provider, 'name' | 'config'>,
  plain: readonly string[] = [],
): string[] {
  const names = Object.keys(fields)
  const rules = fieldsOf(method, provider)
  if (provider && isByConsent(method, provider)) {
    throw new LocumError(
      'bad_request',
      `The credentials of \`${provider.name}\` are by consent, and not entered.`,
      {
        hint: `locum connect ${provider.name}`,
      },
    )
  }
  if (rules !== 'any') {
    const known = Object.keys(rules)
    if (known.length === 0)
      throw new LocumError('bad_request', `The method \`${method.id}\` takes no credential.`)
    const list = known.map((name) => `\`${name}\``).join(', ')
    for (const name of names) {
      if (!known.includes(name))
        throw new LocumError('bad_request', `\`${method.id}\` has no such field; it takes ${list}.`)
    }
    for (const name of known) {
      if (
        rules[name]?.required &&
        (fields[name] === undefined || fields[name] === null || fields[name] === '')
      ) {
        throw new LocumError('bad_request', `The field \`${name}\` is missing or empty.`, {
          hint: `\`${method.id}\` takes ${list}.`,
        })
      }
    }
  } else if (names.length === 0) {
    throw new LocumError('bad_request', 'The credential has no fields.', {
      hint: 'Give one JSON object: {"token": "…"}',
    })
  }
  method.checkFields?.(fields)
  return names
    .filter((name) => (rules === 'any' ? !plain.includes(name) : rules[name]?.secret))
    .filter(
      (name) =>
        typeof fields[name] === 'string' && Buffer.byteLength(fields[name] as string) < SHORTEST_SECRET,
    )
    .map((name) => `\`${name}\` is shorter than ${SHORTEST_SECRET} bytes: answers are not searched for it.`)
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `cred_` and 22 characters of base62: 128 random bits and a little less. */
export function newCredentialId(random: (bytes: number) => Uint8Array): string {
  let text = ''
  while (text.length < 22) {
    // 248 is the last multiple of 62 in a byte: what lies above would favour some characters.
    for (const byte of random(32)) if (byte < 248 && text.length < 22) text += BASE62[byte % 62]
  }
  return `cred_${text}`
}
