import type { JsonObject } from '../../core/secret.ts'
import { CLIENT_SECRET, type Idp, startIdp } from './idp.ts'
import { makePerson } from './person.ts'
import { askBy } from './raw.ts'
import { startSite, type Teardown } from './site.ts'
import { startUpstream } from './upstream.ts'

const PEOPLE = [
  { id: 'ada', kind: 'user', profile: 'sales' },
  { id: 'ben', kind: 'user' },
]

/** A site whose connection `api` gets its tokens at an OpenID provider. */
export async function startLab(
  t: Teardown,
  provider: JsonObject,
  x: {
    idp?: Idp
    connection?: object
    credentials?: object[]
    identity?: object
    notify?: object
    env?: Record<string, string>
  } = {},
) {
  const idp = x.idp ?? (await startIdp(t))
  const upstream = await startUpstream(t)
  let now = Date.now()
  const config = (changes: JsonObject = {}) => ({
    ...(x.identity ? { identity: x.identity } : {}),
    ...(x.notify ? { notify: x.notify } : {}),
    principals: PEOPLE,
    providers: [
      {
        name: 'idp',
        method: 'oauth2',
        issuer: idp.issuer,
        ca: idp.ca,
        allowPrivateNetwork: true,
        ...provider,
        ...changes,
      },
    ],
    connections: [
      {
        name: 'api',
        destinations: [upstream.origin],
        auth: { method: 'oauth2', provider: 'idp' },
        allowPrivateNetwork: true,
        ca: upstream.ca,
        ...x.connection,
      },
    ],
    credentials: x.credentials ?? [],
  })
  const site = await startSite(t, config(), { clock: { now: () => now }, env: x.env, pause: async () => {} })
  const goal = { ...upstream, name: 'api' }
  const call = (as = 'ada', headers: readonly string[] = []) =>
    askBy(t, site, 'connect', goal, { path: '/echo', headers, as })
  const later = async (ms: number) => {
    now += ms
    await site.settle()
  }
  idp.sendBackTo(site.consoleUrl)
  return { idp, upstream, site, goal, call, config, later, person: makePerson(site) }
}

export const BY_CODE: JsonObject = {
  grant: 'authorization_code',
  clientId: 'web',
  clientSecret: CLIENT_SECRET,
  scopes: ['openid', 'offline_access', 'read'],
  authorizeParams: { prompt: 'consent' },
}
export const PER_USER = { connection: { source: 'per-user' } }
export const bearers = ({ requests }: { requests: readonly { headers: { authorization?: string } }[] }) =>
  requests.map(({ headers }) => headers.authorization)
