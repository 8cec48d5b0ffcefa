import t, { type Test } from 'tap'
import type { JsonObject } from '../../core/secret.ts'
import { CLIENT_SECRET, type Idp, startIdp } from '../kit/idp.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const PEOPLE = [
  { id: 'ada', kind: 'user', profile: 'sales' },
  { id: 'ben', kind: 'user' },
]

/** A site whose connection `api` gets its tokens at an OpenID provider. */
async function startLab(
  t: Test,
  provider: JsonObject,
  x: { idp?: Idp; connection?: object; credentials?: object[] } = {},
) {
  const idp = x.idp ?? (await startIdp(t))
  const upstream = await startUpstream(t)
  let now = Date.now()
  const config = (changes: JsonObject = {}) => ({
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
  const site = await startSite(t, config(), { clock: { now: () => now } })
  const goal = { ...upstream, name: 'api' }
  const call = (as = 'ada', headers: readonly string[] = []) =>
    askBy(t, site, 'connect', goal, { path: '/echo', headers, as })
  const later = async (ms: number) => {
    now += ms
    await site.settle()
  }
  return { idp, upstream, site, goal, call, config, later }
}

const bearers = ({ requests }: { requests: readonly { headers: { authorization?: string } }[] }) =>
  requests.map(({ headers }) => headers.authorization)

t.test('client credentials: every way in which a client authenticates, at every entrance', async (t) => {
  const idp = await startIdp(t)
  for (const [clientId, clientAuth] of [
    ['basic', undefined],
    ['basic', 'basic'],
    ['post', 'post'],
    ['secret-jwt', 'client_secret_jwt'],
  ] as const) {
    const way: JsonObject = clientAuth === undefined ? {} : { clientAuth }
    const client = {
      grant: 'client_credentials',
      clientId,
      clientSecret: CLIENT_SECRET,
      scopes: ['read'],
      ...way,
    }
    const lab = await startLab(t, client, { idp })
    const given = idp.tokens.length
    for (const entrance of ENTRANCES) {
      const { status, body } = await askBy(t, lab.site, entrance, lab.goal, { path: '/echo' })
      t.equal(status, 200, `${clientId} ${entrance}: ${body}`)
      t.notMatch(body, idp.tokens.at(-1) ?? '', 'the token is masked on its way back')
    }
    t.equal(idp.tokens.length, given + 1, 'one token serves all')
    t.same(bearers(lab.upstream), Array(3).fill(`Bearer ${idp.tokens.at(-1)}`))
    t.match(idp.asked.at(-1), { grant_type: 'client_credentials', scope: 'read' })
  }
})
