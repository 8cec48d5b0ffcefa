import type { AuthMethod, FieldSpec } from './auth-method.ts'
import type { SealedPlace } from './store.ts'
import type { Connection, Provider } from './words.ts'

/** Where credentials are bound that serve every connection of a provider. No connection has such a name. */
export function bindingPlace(provider: string): string {
  return `provider:${provider}`
}

/** The provider's name, where the place of a binding is one's. */
export function providerOf(place: string): string | undefined {
  return place.startsWith('provider:') ? place.slice('provider:'.length) : undefined
}

/** Stands in grants for the credential that a method does without. */
export function noCredentialId(place: string): string {
  return `none:${place}`
}

/** Whether its credentials are made by consent of somebody at the provider, not entered. */
export function isByConsent(method: AuthMethod, provider: Pick<Provider, 'config'> | undefined): boolean {
  return provider !== undefined && (method.provider?.byConsent?.(provider.config) ?? false)
}

/** Where a connection looks for its credentials. */
export function placeOf(connection: Connection, method: AuthMethod, provider: Provider | undefined): string {
  return provider && isByConsent(method, provider) ? bindingPlace(provider.name) : connection.name
}

/** What a credential for it is made of. */
export function fieldsOf(method: AuthMethod, provider: Pick<Provider, 'config'> | undefined): FieldSpec {
  return (provider && method.provider?.credentialFields?.(provider.config)) ?? method.fields
}

/** Whether it serves callers for whom there is no credential. */
export function needsNoCredential(
  connection: Connection,
  method: AuthMethod,
  provider: Provider | undefined,
): boolean {
  return method.worksWithoutCredential?.(connection.methodConfig, provider?.config) ?? false
}

/**
 * The connection with all that a credential of it is taken to, and with what: what its owner approves. What somebody
 * consented to goes to the provider's endpoints alone, by the way that they are reached.
 */
export function withProvider(
  connection: Connection,
  method: AuthMethod,
  provider: Pick<Provider, 'config' | 'calls'> | undefined,
): Connection {
  if (!provider) return connection
  const { config } = provider
  const calls = [...new Set([...(connection.calls ?? []), ...provider.calls])]
  if (!method.provider?.byConsent?.(config))
    return { ...connection, calls, methodConfig: { ...connection.methodConfig, provider: config } }
  const { ca = null, allowPlaintext = false, allowPrivateNetwork = false } = config
  return { ...connection, calls, methodConfig: { ca, allowPlaintext, allowPrivateNetwork } }
}

/** The place that a provider's field is sealed for; what is sealed is the UTF-8 of the field's JSON. */
export function providerPlace(
  { name, version, calls }: Pick<Provider, 'name' | 'version' | 'calls'>,
  field: string,
): SealedPlace {
  return { table: 'providers', row: name, field, version, owner: 'site', audience: calls }
}
