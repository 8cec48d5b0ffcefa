import type { Goal } from './raw.ts'
import { type SiteOptions, startSite, type Teardown, type TestSite } from './site.ts'
import { startUpstream } from './upstream.ts'

/** What the connection `echo` puts in for everybody. */
export const SECRET = 'sk_live_7f3a9c51e0b24d86'
/** The header line in which a client asks for it. */
export const ASKS = 'Authorization: Bearer <<$Auth.API_Key>>'
/** What the upstream then gets, and what a client sees of it. */
export const REAL = `Bearer ${SECRET}`
export const MASKED = `Bearer ${'*'.repeat(SECRET.length)}`

export type TestUpstream = Awaited<ReturnType<typeof startUpstream>>

export interface EchoSite {
  readonly site: TestSite
  readonly upstream: TestUpstream
  readonly goal: Goal
}

/** A connection to an upstream as an entry of the file, with a shared API key. */
export function connectionTo(
  { origin, ca }: { origin: string; ca: string | undefined },
  more: Readonly<Record<string, unknown>> = {},
) {
  return {
    name: 'echo',
    destinations: [origin],
    ...(ca !== undefined && { ca }),
    allowPrivateNetwork: true,
    ...(origin.startsWith('http:') && { allowPlaintext: true }),
    auth: { method: 'api-key' },
    ...more,
  }
}

/** The caller `ada`, one upstream, and a connection `echo` to it that shares `SECRET`. */
export async function startEchoSite(
  t: Teardown,
  x: {
    upstream?: Parameters<typeof startUpstream>[1]
    connection?: Readonly<Record<string, unknown>>
    options?: SiteOptions
  } = {},
): Promise<EchoSite> {
  const upstream = await startUpstream(t, x.upstream)
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada', kind: 'user' }],
      connections: [connectionTo(upstream, x.connection)],
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
    },
    x.options,
  )
  return { site, upstream, goal: { ...upstream, name: 'echo' } }
}
