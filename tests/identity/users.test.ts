import t from 'tap'
import { federatedId } from '../../core/identity.ts'
import { type PrincipalRecord, SYSTEM } from '../../core/words.ts'
import { lendKey } from '../../operations/lent-keys.ts'
import {
  addPrincipal,
  disablePrincipal,
  enablePrincipal,
  listPrincipals,
  revokePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../../operations/principals.ts'
import { makeCa } from '../kit/certificates.ts'
import { ASKS, SECRET } from '../kit/echo-site.ts'
import { clientCertificate, dialTls, listenerFiles } from '../kit/listener.ts'
import { askBy, ENTRANCES, eventually, openTunnel, sendBy } from '../kit/raw.ts'
import type { Teardown } from '../kit/site.ts'
import { CLAIMS, HERE, makeClock, startCallers, startIssuer } from './kit.ts'

/** Two issuers, the local `ada` with a credential of her own, and one that the profile `sales` shares. */
async function open(t: Teardown, more: { claims?: object; listen?: object } = {}) {
  const clock = makeClock()
  const one = await startIssuer(t, clock)
  const other = await startIssuer(t, clock, '/realms/other')
  const { claims = CLAIMS } = more
  const made = await startCallers(t, {
    issuers: [one, other].map(({ issuer }) => ({ issuer, audience: 'locum', claims, ...HERE })),
    connection: { source: 'per-user', fallback: ['profile'] },
    more: {
      ...(more.listen && { listen: more.listen }),
      principals: [
        { id: 'ada', kind: 'user' },
        { id: 'desk', kind: 'service', mayActFor: ['user:*'] },
        { id: 'root', admin: true },
      ],
      credentials: [
        { connection: 'echo', for: 'user:ada', fields: { apiKey: 'the-key-of-the-local-ada' } },
        { connection: 'echo', for: 'profile:sales', fields: { apiKey: SECRET } },
      ],
    },
    options: { clock },
  })
  const { site, goal } = made
  const statusOf = async (as: string) =>
    (await askBy(t, site, 'forward', goal, { as, headers: [ASKS] })).status
  const idOf = (subject: string, issuer = one.issuer) => federatedId({ issuer, subject })
  return { ...made, clock, one, other, statusOf, idOf }
}

t.test('a user of an issuer is nobody else, whatever they are called', async (t) => {
  const { site, goal, seen, one, other, idOf } = await open(t)
  const ids = new Set<unknown>()
  for (const issuer of [one, other])
    for (const sub of ['ada', 'root', 'desk', idOf('ada'), `x\n${one.issuer}\nada`, 'ada']) {
      const as = await issuer.token({
        sub,
        role: 'sales',
        admin: true,
        mayActFor: ['user:*'],
        kind: 'service',
      })
      for (const entrance of ENTRANCES) {
        const { status } = await askBy(t, site, entrance, goal, { as, headers: [ASKS] })
        t.equal(status, 200)
        t.equal(seen().authorization, `Bearer ${SECRET}`, 'never the credential of the local ada')
        t.match(seen()['x-user'], /^oidc-[\w-]{32}$/)
        ids.add(seen()['x-user'])
      }
      const acting = await askBy(t, site, 'forward', goal, { as, headers: [ASKS, 'Locum-For: user:ada'] })
      t.equal(acting.status, 403)
    }
  t.equal(ids.size, 10, 'two issuers with five users each')
  const admin = await askBy(t, site, 'forward', goal, {
    as: await one.token({ sub: 'root' }),
    headers: [ASKS],
  })
  t.equal(admin.status, 424, 'without a profile there is no credential')
  t.strictSame(await site.verify(), [])
})

t.test('what a token says holds for its requests, and lists show what was said last', async (t) => {
  const { site, goal, seen, one, statusOf, idOf } = await open(t)
  const said = { role: 'sales', email: 'ada@example.com', groups: ['north', 'east'] }
  t.equal(await statusOf(await one.token({ ...said, sid: 'a-session' })), 200)
  const session = seen()['x-session']
  t.equal(await statusOf(await one.token({ ...said, sid: 'a-session', jti: 'another' })), 200)
  t.equal(seen()['x-session'], session, 'the session of the issuer')
  t.equal(await statusOf(await one.token({ ...said, sid: 'another' })), 200)
  t.not(seen()['x-session'], session)
  const listed = (await site.run(listPrincipals, {})).find(({ id }) => id === idOf('ada'))
  t.match(listed, {
    kind: 'user',
    profile: 'sales',
    email: 'ada@example.com',
    projects: ['east', 'north'],
    admin: false,
    disabled: false,
    federated: { issuer: one.issuer, subject: 'ada' },
    keys: [],
  })
  t.equal(await statusOf(await one.token({ role: 'support' })), 424, 'the profile of this token')
  t.equal((await askBy(t, site, 'forward', goal, { as: await one.token(said), headers: [ASKS] })).status, 200)
  const joins = (await site.audit()).filter((record) => record.operation === 'principal.join')
  t.match(joins, [{ caller: idOf('ada'), via: 'jwt', subject: idOf('ada'), outcome: 'done' }])
})

t.test('what is made for one token of a user is not sent for another', async (t) => {
  const clock = makeClock()
  const issuer = await startIssuer(t, clock)
  const { site, goal, seen } = await startCallers(t, {
    issuers: [{ issuer: issuer.issuer, audience: 'locum', ...HERE }],
    connection: { headers: { 'X-Tenant': '{{$User.Claims.tenant}}' } },
    options: { clock },
  })
  const tokens = await Promise.all(['north', 'south', 'north'].map((tenant) => issuer.token({ tenant })))
  for (const [i, as] of [...tokens, ...tokens].entries()) {
    t.equal((await askBy(t, site, 'forward', goal, { as, headers: [ASKS] })).status, 200)
    t.equal(seen()['x-tenant'], ['north', 'south', 'north'][i % 3])
  }
})

t.test('nobody makes, alters or takes up a user of an issuer from here (R28)', async (t) => {
  const { site, one, statusOf, idOf } = await open(t)
  t.equal(await statusOf(await one.token({ role: 'sales' })), 200)
  const id = idOf('ada')
  const refused = { code: 'bad_request', detail: /user of an issuer/ }
  for (const name of [id, 'oidc-', 'oidc-me']) {
    await t.rejects(site.run(addPrincipal, { id: name }), refused)
    for (const config of [
      { principals: [{ id: name }] },
      { principals: [{ id: name, kind: 'service', mayActFor: ['user:*'] }] },
      { identity: { default: name } },
    ])
      await t.rejects(site.apply(config), refused)
  }
  await t.rejects(site.run(rotatePrincipalKey, { id }), refused)
  await t.rejects(site.run(lendKey, { id }), refused)
  const { store } = site.context
  await t.rejects(store.addKey(SYSTEM, { hash: 'a', principal: id, createdAt: 1 }), refused)
  const { version, createdAt, ...record } = (await store.principal(SYSTEM, id)) as PrincipalRecord
  const other = { issuer: one.issuer, subject: 'ben' }
  for (const wrong of [
    { admin: true },
    { kind: 'service' as const },
    { mayActFor: ['user:*'] },
    { managedBy: 'default' },
    { federated: undefined },
    { federated: other },
    { id: 'ada' },
    { id: 'root' },
  ])
    await t.rejects(store.putPrincipal(SYSTEM, { ...record, ...wrong }), { code: 'bad_request' })
  t.equal((await site.run(showPrincipal, { id })).keys.length, 0)
})

t.test('a client certificate names no user of an issuer', async (t) => {
  const files = await listenerFiles(t)
  const clients = await makeCa('Client CA')
  const tls = { ...files.listener.tls, clientCa: files.write('clients.pem', clients.cert) }
  const clock = makeClock()
  const issuer = await startIssuer(t, clock)
  const { site, upstream } = await startCallers(t, {
    issuers: [{ issuer: issuer.issuer, audience: 'locum', ...HERE }],
    more: { listen: { proxy: { ...files.listener, tls } } },
    options: { clock },
  })
  const id = federatedId({ issuer: issuer.issuer, subject: 'ada' })
  const ask = async (options: object, line = '') => {
    const client = await dialTls(t, site.port, { ca: files.ca.cert, ...options })
    const head = [`GET http://${upstream.authority}/ HTTP/1.1`, `Host: ${upstream.authority}`, ASKS]
    const lines = [...head, ...(line ? [line] : []), '', '']
    return (await client.send(lines.join('\r\n')).response()).status
  }
  const line = `Proxy-Authorization: Bearer ${await issuer.token()}`
  t.equal(await ask({}, line), 200)
  t.equal(await ask(await clientCertificate(clients, id)), 407)
  t.equal(await ask(await clientCertificate(clients, id), line), 200, 'they agree')
  t.equal(await ask(await clientCertificate(clients, 'ada'), line), 407, 'they do not')
})

t.test('a disabled user is refused, and what they hold open ends within a second', async (t) => {
  const { site, goal, one, statusOf, idOf, upstream } = await open(t)
  const as = await one.token({ role: 'sales' })
  const stranger = await one.token({ sub: 'ben', role: 'sales' })
  const tunnel = await openTunnel(t, site, upstream.authority, { as })
  const quiet = await openTunnel(t, site, upstream.authority, { as: stranger })
  const stream = await sendBy(t, site, 'gateway', goal, { as, path: '/sse', headers: [ASKS] })
  await stream.until((received) => received.includes('\r\n\r\n'))
  await site.run(disablePrincipal, { id: idOf('ada') })
  await site.settle()
  await tunnel.gone()
  await stream.gone()
  t.notOk(quiet.closed, 'nobody else’s')
  const refused = await askBy(t, site, 'forward', goal, { as, headers: [ASKS] })
  t.equal(refused.status, 407)
  t.match(JSON.parse(refused.body), { code: 'caller_unauthenticated', detail: /disabled/ })
  t.equal(
    await statusOf(await one.token({ role: 'support', jti: 'new' })),
    407,
    'a token does not enable them',
  )
  t.match(await site.run(showPrincipal, { id: idOf('ada') }), { disabled: true })
  t.equal(await statusOf(stranger), 200)
  await site.run(enablePrincipal, { id: idOf('ada') })
  await site.settle()
  t.equal(await statusOf(as), 200)
})

t.test('a revocation ends tokens from before it, and the issuer gives new ones', async (t) => {
  const { site, goal, one, clock, statusOf, idOf, upstream } = await open(t)
  const as = await one.token({ role: 'sales' })
  const timeless = await one.token({ role: 'sales' }, { without: ['iat'] })
  const tunnel = await openTunnel(t, site, upstream.authority, { as })
  for (const token of [as, timeless]) t.equal(await statusOf(token), 200)
  await site.run(revokePrincipal, { id: idOf('ada') })
  await site.settle()
  await tunnel.gone()
  for (const token of [as, timeless]) t.equal(await statusOf(token), 407)
  const { body } = await askBy(t, site, 'forward', goal, { as })
  t.match(JSON.parse(body).detail, /revoked/)
  clock.time += 31_000
  await site.settle()
  t.equal(await statusOf(await one.token({ role: 'sales' })), 200)
  t.equal(await statusOf(timeless), 407, 'it could be from before')
})

t.test('tunnels and streams end with their token', async (t) => {
  const { site, goal, one, clock, upstream } = await open(t)
  const exp = clock.seconds + 20
  const as = await one.token({ role: 'sales', exp })
  const tunnel = await openTunnel(t, site, upstream.authority, { as })
  tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\n${ASKS}\r\n\r\n`)
  t.equal((await tunnel.response()).status, 200)
  const stream = await sendBy(t, site, 'forward', goal, { as, path: '/sse', headers: [ASKS] })
  await stream.until((received) => received.includes('\r\n\r\n'))
  clock.time = exp * 1000
  await site.settle()
  await eventually(() => tunnel.closed && stream.closed, 'both end')
})

t.test('requests in a tunnel go on with its token while that is verified anew', async (t) => {
  const { site, one, clock, upstream } = await open(t)
  const as = await one.token({ role: 'sales' })
  const tunnel = await openTunnel(t, site, upstream.authority, { as })
  for (let i = 0; i < 3; i++) {
    tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\n${ASKS}\r\n\r\n`)
    t.equal((await tunnel.response()).status, 200)
    clock.time += 61_000
    await site.settle()
  }
})

t.test('where an e-mail address says who calls, the issuer has to vouch for it', async (t) => {
  const { one, statusOf, seen } = await open(t, { claims: { ...CLAIMS, id: 'email' } })
  const email = 'ada@example.com'
  for (const more of [{}, { email_verified: false }, { email_verified: 'true' }])
    t.equal(await statusOf(await one.token({ role: 'sales', email, ...more })), 407)
  t.equal(await statusOf(await one.token({ role: 'sales', email, email_verified: true })), 200)
  t.equal(seen()['x-user'], federatedId({ issuer: one.issuer, claim: 'email', subject: email }))
  t.not(
    seen()['x-user'],
    federatedId({ issuer: one.issuer, subject: email }),
    'nor is it who has it as `sub`',
  )
})

t.test('an address that a user only claims is not passed on', async (t) => {
  const clock = makeClock()
  const issuer = await startIssuer(t, clock)
  const { site, goal, seen } = await startCallers(t, {
    issuers: [
      {
        issuer: issuer.issuer,
        audience: 'locum',
        claims: { email: 'email', profile: 'realm_access.roles', projects: 'https://example.com/groups' },
        ...HERE,
      },
    ],
    connection: {
      headers: { 'X-Email': 'to {{$User.Email}}', 'X-Profile': '{{$User.Profile}}' },
      allow: { projects: ['north'] },
    },
    options: { clock },
  })
  const claims = {
    email: 'ada@example.com',
    realm_access: { roles: ['sales'] },
    'https://example.com/groups': 'north',
  }
  const ask = async (more: object) =>
    (
      await askBy(t, site, 'forward', goal, {
        as: await issuer.token({ ...claims, ...more }),
        headers: [ASKS],
      })
    ).status
  t.equal(await ask({}), 200)
  t.match(seen(), { 'x-email': 'to ada@example.com', 'x-profile': 'sales' })
  t.not(await ask({ email_verified: false }), 200)
  t.equal(await ask({ 'https://example.com/groups': ['south'] }), 403)
})

t.test('without the store nobody new is let in, and it is said so', async (t) => {
  const { site, goal, one } = await open(t)
  const { store } = site.context
  t.intercept(store, 'principal', {
    value: async () => {
      const { LocumError } = await import('../../core/errors.ts')
      throw new LocumError('store_unavailable', 'The store does not answer.')
    },
  })
  const { status, body } = await askBy(t, site, 'forward', goal, { as: await one.token({ role: 'sales' }) })
  t.equal(status, 503)
  t.match(JSON.parse(body), { code: 'store_unavailable' })
})

t.test('an issuer that cannot be reached is said with when to try again', async (t) => {
  const { site, goal, one } = await open(t)
  one.state.down = true
  for (const entrance of ['forward', 'gateway'] as const) {
    const { status, headers, body } = await askBy(t, site, entrance, goal, { as: await one.token() })
    t.equal(status, entrance === 'gateway' ? 401 : 407)
    t.match(headers['retry-after'], /^\d+$/)
    t.match(JSON.parse(body), { code: 'caller_unauthenticated', detail: /could not be had/ })
  }
})
