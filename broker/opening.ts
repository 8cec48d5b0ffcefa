import type { OpenProvider } from '../core/auth-method.ts'
import { credentialPlace } from '../core/credential.ts'
import { LocumError } from '../core/errors.ts'
import { providerPlace } from '../core/provider.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import type { SealedPlace, Sealer } from '../core/store.ts'
import type { Credential, Provider, Sealed } from '../core/words.ts'

/** Opens a value whose plaintext is JSON. Throws internal where it was not sealed for this place. */
export function openJson(sealer: Sealer, place: SealedPlace, sealed: Sealed): Json {
  const plain = sealer.open(place, sealed)
  try {
    return JSON.parse(plain.toString('utf8')) as Json
  } catch {
    // Without the parser's error: it would show a piece of the text.
    throw new LocumError('internal', 'A sealed value is not what Locum seals.')
  } finally {
    plain.fill(0)
  }
}

/** All fields of a credential. Throws internal where one was not sealed for its place. */
export function openFields(sealer: Sealer, credential: Credential): JsonObject {
  return Object.fromEntries(
    credential.fieldNames.map((name) => [
      name,
      openJson(sealer, credentialPlace(credential, name), credential.sealed[name] as Sealed),
    ]),
  )
}

/** A provider with its secrets. Throws internal where one was not sealed for its place. */
export function openProvider(sealer: Sealer, provider: Provider): OpenProvider {
  const { name, config, fieldNames, sealed } = provider
  const fields = fieldNames.map((field) => [
    field,
    openJson(sealer, providerPlace(provider, field), sealed[field] as Sealed),
  ])
  return { name, config, fields: Object.fromEntries(fields) }
}
