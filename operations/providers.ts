import { providerPlace } from '../core/provider.ts'
import type { JsonObject } from '../core/secret.ts'
import type { Connection, Provider } from '../core/words.ts'
import { openFingerprint } from './fingerprint.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { closed, Name, noSuch } from './schema.ts'

/** A provider without anything that is sealed. */
export interface ProviderView {
  readonly name: string
  readonly method: string
  readonly config: JsonObject
  /** URLs that it takes secrets to. */
  readonly calls: readonly string[]
  readonly fields: readonly string[]
  /** Connections that use it. */
  readonly connections: readonly string[]
  readonly managedBy?: string
  readonly version: number
}

/** Throws not_found where there is none of that name. */
export async function findProvider(
  { as, store }: Pick<Context, 'as' | 'store'>,
  name: string,
): Promise<Provider> {
  const provider = await store.provider(as, name)
  if (provider) return provider
  const known = (await store.providers(as)).map((other) => other.name)
  throw noSuch('provider', name, known, '`locum provider ls` lists them.')
}

/** That of a connection, if it has one. Throws not_found where it is gone. */
export async function findProviderOf(
  context: Pick<Context, 'as' | 'store'>,
  { provider }: Pick<Connection, 'provider'>,
): Promise<Provider | undefined> {
  return provider === undefined ? undefined : findProvider(context, provider)
}

/** Seals its secrets and keeps it, in the place of one of the same name. */
export async function keepProvider(
  context: Context,
  entry: Pick<Provider, 'name' | 'method' | 'config' | 'calls' | 'managedBy'> & {
    readonly fields: JsonObject
  },
): Promise<Provider> {
  const { as, store, sealer } = context
  const { fields, ...rest } = entry
  const current = await store.provider(as, entry.name)
  const place = { ...rest, version: (current?.version ?? 0) + 1 }
  const fingerprint = await openFingerprint(context)
  return store.putProvider(as, {
    ...place,
    fieldNames: Object.keys(fields),
    fingerprint: fingerprint(providerId(entry.name), fields),
    sealed: Object.fromEntries(
      Object.entries(fields).map(([field, value]) => [
        field,
        sealer.seal(providerPlace(place, field), Buffer.from(JSON.stringify(value), 'utf8')),
      ]),
    ),
  })
}

/** How it is called in fingerprints. */
export function providerId(name: string): string {
  return `provider ${name}`
}

function view(provider: Provider, connections: readonly Connection[]): ProviderView {
  const { name, method, config, calls, fieldNames, managedBy, version } = provider
  const used = connections.filter((one) => one.provider === name).map((one) => one.name)
  return { name, method, config, calls, fields: fieldNames, connections: used, managedBy, version }
}

export const listProviders = defineOperation({
  name: 'provider.ls',
  summary: 'List providers, without their secrets',
  input: closed({}),
  who: administrators,
  async run({ as, store }): Promise<readonly ProviderView[]> {
    const connections = await store.connections(as)
    return (await store.providers(as)).map((provider) => view(provider, connections))
  },
})

export const showProvider = defineOperation({
  name: 'provider.show',
  summary: 'Show one provider, without its secrets',
  input: closed({ name: Name }),
  who: administrators,
  async run(context, { name }): Promise<ProviderView> {
    return view(await findProvider(context, name), await context.store.connections(context.as))
  },
})
