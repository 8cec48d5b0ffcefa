import t from 'tap'
import { LOCAL } from '../../core/words.ts'
import { disablePrincipal } from '../../operations/principals.ts'
import { CLIENT_SECRET, startIdp } from '../kit/idp.ts'
import { BY_CODE, startLab } from '../kit/oauth-lab.ts'
import { makePerson } from '../kit/person.ts'

const APP = 'https://app.example.com'

async function startLogin(t: Parameters<typeof startLab>[0]) {
  const idp = await startIdp(t)
  const login = { clientId: 'web', clientSecret: { env: 'LOGIN_SECRET' } }
  const issuer = { issuer: idp.issuer, audience: 'locum', ca: idp.ca, allowPrivateNetwork: true, login }
  const lab = await startLab(t, BY_CODE, {
    idp,
    identity: { issuers: [issuer] },
    env: { LOGIN_SECRET: CLIENT_SECRET },
    connection: { source: 'per-user', cors: { origins: [APP] } },
  })
  const { issuer: name } = idp
  const signIn = async (person = lab.person, as = 'carol') => {
    const { data } = await person.post('/sign-in/issuer', { issuer: name, next: '/connect/idp' })
    const back = new URL(await idp.browse(data.go ?? '', { as, until: '/sign-in/callback' }))
    return person.get(back.pathname + back.search)
  }
  return { ...lab, signIn, name }
}

t.test('a user of an issuer signs in at the console by it, consents, and calls by a page', async (t) => {
  const lab = await startLogin(t)
  t.match((await lab.person.get('/sign-in')).body, /Sign in with localhost:\d+/)
  const done = await lab.signIn()
  t.match(done, { status: 303, headers: { location: '/connect/idp' } }, done.body)
  const [carol] = (await lab.site.context.store.principals(LOCAL)).filter(({ federated }) => federated)
  t.match(carol, { id: /^oidc-/, federated: { issuer: lab.idp.issuer, subject: 'carol' } })
  t.match((await lab.person.connect('idp', lab.idp, { as: 'carol' })).body, /is connected/)
  const { data } = await lab.person.post('/sign-in/page', { origin: APP })
  const { key, user } = JSON.parse(data.tell ?? '{}') as { key: string; user: string }
  t.equal(user, carol?.id)
  await lab.site.settle()
  const call = () =>
    fetch(`${lab.site.proxyUrl}/c/api/echo`, {
      headers: { 'locum-authorization': `Bearer ${key}`, origin: APP },
    })
  t.equal((await call()).status, 200)
  const token = await lab.idp.jwt({ sub: 'carol', aud: 'locum' })
  const byToken = await fetch(`${lab.site.proxyUrl}/c/api/echo`, {
    headers: { 'locum-authorization': `Bearer ${token}` },
  })
  t.equal(byToken.status, 200, 'the same user, by a token')
  await lab.site.run(disablePrincipal, { id: user })
  await lab.site.settle()
  t.equal((await call()).status, 401)
  t.equal((await lab.signIn(makePerson(lab.site))).status, 401, 'disabled here')
})

t.test('a sign-in serves once, in the browser that began', async (t) => {
  const lab = await startLogin(t)
  const begin = async () => {
    const { data } = await lab.person.post('/sign-in/issuer', { issuer: lab.name, next: '//evil.example' })
    const back = new URL(await lab.idp.browse(data.go ?? '', { until: '/sign-in/callback' }))
    return back.pathname + back.search
  }
  const first = await begin()
  t.equal((await makePerson(lab.site).get(first)).status, 400)
  t.equal((await lab.person.get(first)).status, 400, 'whoever took it has used it up')
  const done = await lab.person.get(await begin())
  t.match(done, { status: 303, headers: { location: '/sign-in' } }, 'and leads nowhere else')
  t.equal((await lab.person.post('/sign-in/issuer', { issuer: 'https://evil.example' })).status, 400)
  t.equal((await lab.person.post('/sign-in/issuer', { issuer: lab.name }, { origin: APP })).status, 403)
  const cookies = [...lab.person.cookies.keys()]
  t.equal(cookies.length, 1, 'of the way there none is left')
})
