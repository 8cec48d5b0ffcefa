import t, { type Test } from 'tap'
import type { JsonObject } from '../../core/secret.ts'
import { CLIENT_SECRET, type Idp, startIdp } from '../kit/idp.ts'
import { makePerson } from '../kit/person.ts'
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
  idp.sendBackTo(site.consoleUrl)
  return { idp, upstream, site, goal, call, config, later, person: makePerson(site) }
}

const BY_CODE: JsonObject = {
  grant: 'authorization_code',
  clientId: 'web',
  clientSecret: CLIENT_SECRET,
  scopes: ['openid', 'offline_access', 'read'],
  authorizeParams: { prompt: 'consent' },
}
const PER_USER = { connection: { source: 'per-user' } }

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

t.test('a person is told to connect, consents, and is served from then on', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  const refused = await lab.call()
  t.equal(refused.status, 424)
  t.match(JSON.parse(refused.body), {
    code: 'credential_missing',
    authorizeUrl: `${lab.site.consoleUrl}/connect/idp`,
    hint: 'Consent at idp: locum connect idp --as ada',
  })
  const asked = await lab.person.get('/connect/idp')
  t.match(asked.body, /<form method="post" action="\/sign-in">/, 'first, who it is')
  t.equal((await lab.person.signIn('ada')).status, 303)
  t.match((await lab.person.get('/connect/idp')).body, /<strong>api<\/strong>/)
  const done = await lab.person.connect('idp', lab.idp)
  t.equal(done.status, 200, done.body)
  t.match(done.body, /idp is connected/)
  const served = await lab.call()
  t.equal(served.status, 200, served.body)
  t.same(bearers(lab.upstream), [`Bearer ${lab.idp.tokens.at(-2)}`])
  t.equal((await lab.call('ben')).status, 424, 'nobody else is')
  const changes = (await lab.site.audit()).filter(({ operation }) => operation === 'provider.connect')
  t.match(changes, [{ subject: 'idp/user:ada', caller: 'ada', outcome: 'done' }])
})

t.test('a token that expires is renewed by its refresh token, behind requests, in its turn', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  lab.idp.lifetime = 60
  const first = (await lab.call(), bearers(lab.upstream).at(-1))
  t.equal(lab.idp.asked.length, 1)
  await lab.later(3_570_000)
  await lab.call()
  t.equal(bearers(lab.upstream).at(-1), first, 'no request waits for it')
  for (;;) {
    await lab.call()
    if (bearers(lab.upstream).at(-1) !== first) break
  }
  t.match(lab.idp.asked.at(-1), { grant_type: 'refresh_token' })
  const second = lab.idp.asked.at(-1)?.refresh_token
  await lab.later(61_000)
  await lab.call()
  t.equal(lab.idp.asked.length, 3, 'and once it is over, before the request')
  t.not(lab.idp.asked.at(-1)?.refresh_token, second, 'with the refresh token that was given last')
  t.notMatch(await lab.call('ada', ['X-Api-Key: <<$Auth.Token.refresh_token>>']), { status: 200 })
})
