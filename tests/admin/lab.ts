import { type Ask, makeAsk } from '../kit/api.ts'
import { type SiteOptions, startSite, type Teardown, type TestSite } from '../kit/site.ts'

/** A secret that nothing ever tells. */
export const SECRET = 'sk_live_never_told_to_anybody_4711'

const LAB = {
  name: 'lab',
  site: { url: 'http://localhost:8081', contact: 'it@example.com' },
  principals: [
    { id: 'admin', kind: 'user', admin: true },
    { id: 'ada', kind: 'user', profile: 'sales', projects: ['north'], limits: { rate: 5 } },
    { id: 'bob', kind: 'user' },
    { id: 'robot', kind: 'service' },
    { id: 'ops', kind: 'service', admin: true },
    { id: 'agent', kind: 'service', mayActFor: ['user:*'] },
  ],
  providers: [
    {
      name: 'idp',
      method: 'oauth2',
      grant: 'client_credentials',
      tokenEndpoint: 'https://idp.example/token',
      clientId: 'locum',
      clientSecret: SECRET,
    },
    {
      name: 'reports',
      method: 'aws-role',
      roleArn: 'arn:aws:iam::123456789012:role/locum-assumable-role/reports',
      credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: SECRET },
    },
  ],
  connections: [
    {
      name: 'stripe',
      destinations: ['https://api.stripe.example'],
      auth: { method: 'api-key' },
      headers: { Authorization: 'Bearer {{$Auth.API_Key}}' },
      body: { json: { tenant: 'acme' } },
      query: { version: '2' },
      slots: { headers: ['x-key'], path: true, query: ['key'], json: ['/a'], form: ['token'] },
      placeholders: { sk_test_standin123: '$Auth.API_Key' },
      budget: { total: '20000/day', perCaller: '1000/day' },
      cors: { origins: ['https://app.example'] },
    },
    {
      name: 'crm',
      destinations: ['https://*.crm.example'],
      ownedWildcard: true,
      base: 'https://eu.crm.example/api',
      auth: { method: 'basic' },
      source: 'per-user',
      fallback: ['profile', 'shared'],
      allow: { methods: ['GET'], paths: ['/api/*'], profiles: ['sales'], projects: ['north'] },
      redact: 'block',
    },
    { name: 'mail', destinations: ['https://mail.example'], auth: { method: 'oauth2', provider: 'idp' } },
    { name: 'own', destinations: ['https://own.example'], auth: { method: 'api-key' }, source: 'per-user' },
    { name: 'open', destinations: ['https://open.example'], auth: { method: 'none' } },
  ],
  credentials: [
    { connection: 'stripe', for: 'shared', fields: { apiKey: SECRET } },
    { connection: 'crm', for: 'user:ada', fields: { username: 'ada', password: SECRET } },
  ],
}

export interface Lab {
  readonly site: TestSite
  readonly ask: Ask
  /** The credential that is bound there. */
  bound(connection: string, scope: string): Promise<string>
}

export async function startLab(t: Teardown, options: SiteOptions = {}): Promise<Lab> {
  const site = await startSite(t, LAB, options)
  return {
    site,
    ask: makeAsk(site),
    async bound(connection, scope) {
      const { store, as } = site.context
      const bindings = await store.bindings(as, connection)
      return bindings.find((binding) => binding.scope === scope)?.credential as string
    },
  }
}
