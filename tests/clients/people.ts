import { startSite, type Teardown, type TestSite } from '../kit/site.ts'

/** Three callers of one connection, each served by another's credential. */
export const SCOPES = { ada: 'user:ada', ben: 'profile:sales', cleo: 'shared' } as const
export type Who = keyof typeof SCOPES
export const WHO = Object.keys(SCOPES) as Who[]

/** A site where each of them may use `connection`, to which each brings fields of their own. */
export function startPeople(
  t: Teardown,
  connection: Readonly<Record<string, unknown>> & { readonly name: string },
  fields: Readonly<Record<Who, object>>,
): Promise<TestSite> {
  return startSite(t, {
    principals: [
      { id: 'ada', kind: 'user', profile: 'sales' },
      { id: 'ben', kind: 'user', profile: 'sales' },
      { id: 'cleo', kind: 'user', profile: 'support' },
    ],
    connections: [
      { allowPrivateNetwork: true, source: 'per-user', fallback: ['profile', 'shared'], ...connection },
    ],
    credentials: WHO.map((who) => ({
      connection: connection.name,
      for: SCOPES[who],
      fields: fields[who],
    })),
  })
}
