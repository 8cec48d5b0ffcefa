import { LocumError } from '../core/errors.ts'
import type { ConsolePages } from './pages.ts'

/** Whether some connection lists the origin; with a provider: one of that provider. */
async function isListed(
  { using }: Pick<ConsolePages, 'using'>,
  origin: string | undefined,
  provider?: string,
): Promise<boolean> {
  if (origin === undefined) return false
  const connections = await using.store.connections(using.as)
  return connections.some(
    (one) => one.corsOrigins.includes(origin) && (provider === undefined || one.provider === provider),
  )
}

/** Throws not_allowed for an origin that no connection lists; with a provider: none of that provider. */
export async function demandListed(
  pages: Pick<ConsolePages, 'using'>,
  origin: string | undefined,
  provider?: string,
): Promise<void> {
  if (await isListed(pages, origin, provider)) return
  const what = provider === undefined ? 'no connection' : `no connection of the provider \`${provider}\``
  throw new LocumError('not_allowed', `Pages of this origin may use ${what}.`, {
    hint: "An administrator lists it in the connection's `cors: { origins: […] }`.",
  })
}

/** Lets the pages of a listed origin read an answer, and no others: what is not listed is never reflected (R21). */
export async function readableBy(
  pages: Pick<ConsolePages, 'using'> | undefined,
  origin: string | undefined,
): Promise<Record<string, string>> {
  if (!pages || origin === undefined || !(await isListed(pages, origin))) return { Vary: 'Origin' }
  return { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
}
