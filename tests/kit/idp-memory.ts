import type { Configuration } from 'oidc-provider'
// @ts-expect-error: it has no types, and the provider warns of it where it takes it by itself
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'

/** Where a provider of the tests keeps what it gave: in memory, said on purpose. */
export function memoryAdapter(): NonNullable<Configuration['adapter']> {
  return createMemoryAdapter(0)
}
