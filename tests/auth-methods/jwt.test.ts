import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { jwt } from '../../auth-methods/jwt.ts'
import { keySet, signingKeeper } from '../../certs/signing.ts'
import type { JsonObject } from '../../core/secret.ts'
import { refusal } from '../core/kit.ts'
import { CLIENT_SECRET, startIdp } from '../kit/idp.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** A site whose connection `api` is called with JWTs. */
async function startLab(t: Test, provider: JsonObject) {
  const upstream = await startUpstream(t)
  let now = Date.now()
  const site = await startSite(t, file(upstream, provider), { clock: { now: () => now } })
  const { sealer, store, clock } = site.context
  const keeper = signingKeeper(sealer, clock)
  const call = (as = 'ada') => askBy(t, site, 'gateway', { ...upstream, name: 'api' }, { path: '/echo', as })
  const bearer = () => upstream.requests.at(-1)?.headers.authorization?.replace('Bearer ', '') ?? ''
  const later = async (ms: number) => {
    now += ms
    await site.settle()
  }
  const verify = async (token: string) =>
    jwtVerify(token, createLocalJWKSet(JSON.parse(keySet(await keeper.list(store)))), {
      currentDate: new Date(now),
    })
  return { site, upstream, call, bearer, later, verify, keeper, store }
}

const CLAIMS = { issuer: 'https://locum.example', subject: 'the-service', audience: ['a', 'b'] }

t.test('a signed JWT is the bearer; its standard claims are what the provider says', async (t) => {
  const lab = await startLab(t, {
    ...CLAIMS,
    lifetime: 120,
    claims: { roles: ['x'], deep: { level: 3, on: true } },
  })
  const { status, body } = await lab.call()
  t.equal(status, 200, body)
  t.notMatch(body, lab.bearer(), 'it is masked on its way back')
  const { payload, protectedHeader } = await lab.verify(lab.bearer())
  t.match(protectedHeader, { alg: 'RS256', typ: 'JWT', kid: /^[\w-]{43}$/ })
  t.match(payload, {
    iss: CLAIMS.issuer,
    sub: CLAIMS.subject,
    aud: ['a', 'b'],
    roles: ['x'],
    deep: { level: 3, on: true },
  })
  t.match(payload.jti, /^[0-9a-f-]{36}$/)
  t.equal((payload.exp ?? 0) - (payload.iat ?? 0), 120)
  t.equal(payload.nbf, payload.iat)
  const first = lab.bearer()
  await lab.call('ben')
  t.equal(lab.bearer(), first, 'it names nobody, and serves everybody')
  await lab.later(121_000)
  await lab.call()
  t.not(decodeJwt(lab.bearer()).jti, payload.jti)
})

t.test('every algorithm signs with a certificate of its kind, and with no other', async (t) => {
  const lab = await startLab(t, CLAIMS)
  for (const [kind, algorithms] of [
    ['rsa-2048', ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']],
    ['ec-p256', ['ES256']],
    ['ec-p384', ['ES384']],
    ['ec-p521', ['ES512']],
    ['ed25519', ['EdDSA']],
  ] as const) {
    await lab.keeper.make(lab.store, kind, kind)
    for (const algorithm of algorithms) {
      await lab.site.apply(file(lab.upstream, { ...CLAIMS, algorithm, certificate: kind }))
      await lab.later(1)
      const { status, body } = await lab.call()
      t.equal(status, 200, `${algorithm}: ${body}`)
      t.equal(decodeProtectedHeader(lab.bearer()).alg, algorithm)
      await lab.verify(lab.bearer())
    }
  }
  await lab.site.apply(file(lab.upstream, { ...CLAIMS, algorithm: 'ES256', certificate: 'rsa-2048' }))
  await lab.later(1)
  t.match(JSON.parse((await lab.call()).body), { code: 'refresh_failed', hint: /^It signs with RS256/ })
  await lab.site.apply(file(lab.upstream, { ...CLAIMS, certificate: 'nothing' }))
  await lab.later(1)
  t.match(JSON.parse((await lab.call()).body), { code: 'refresh_failed', hint: /locum cert new nothing/ })
})

function file(upstream: { origin: string; ca?: string | undefined }, provider: JsonObject) {
  return {
    principals: [
      { id: 'ada', profile: 'sales', email: 'ada@example.com' },
      { id: 'ben', profile: 'ops' },
    ],
    providers: [{ name: 'issuer', method: 'jwt', ...provider }],
    connections: [
      {
        name: 'api',
        destinations: [upstream.origin],
        auth: { method: 'jwt', provider: 'issuer' },
        allowPrivateNetwork: true,
        ca: upstream.ca,
      },
    ],
  }
}

t.test('a JWT that names its caller is that caller’s, and no other’s (R24)', async (t) => {
  const lab = await startLab(t, { ...CLAIMS, subject: '{{$User.Id}}', claims: { role: '{{$User.Profile}}' } })
  await lab.call()
  t.match(decodeJwt(lab.bearer()), { sub: 'ada', role: 'sales' })
  await lab.call('ben')
  t.match(decodeJwt(lab.bearer()), { sub: 'ben', role: 'ops' })
  await lab.call()
  t.match(decodeJwt(lab.bearer()), { sub: 'ada', role: 'sales' })
})

t.test('the next key signs from its date on, and is known before', async (t) => {
  const lab = await startLab(t, CLAIMS)
  await lab.call()
  const first = decodeProtectedHeader(lab.bearer()).kid
  await lab.keeper.rotate(lab.store, 'default', undefined)
  const [now, next] = await lab.keeper.list(lab.store)
  t.match([now, next], [{ role: 'signs', kid: first }, { role: 'next' }])
  await lab.later(400_000)
  await lab.call()
  t.equal(decodeProtectedHeader(lab.bearer()).kid, first)
  await lab.later(7 * 86_400_000)
  await lab.call()
  t.equal(decodeProtectedHeader(lab.bearer()).kid, next?.kid)
  await lab.verify(lab.bearer())
})

t.test('claims take formulas, and are then each caller’s own (R24)', async (t) => {
  const lab = await startLab(t, {
    ...CLAIMS,
    clientId: 'client-1',
    subject: '{{$Auth.clientId + "/" + $User.Id}}',
    claims: { level: '{{size($User.Id) + 1}}', tags: ['{{$User.Id.upperAscii()}}'], at: '{{int(now())}}' },
  })
  await lab.call()
  const { payload } = await lab.verify(lab.bearer())
  t.match(payload, { sub: 'client-1/ada', level: 4, tags: ['ADA'] })
  t.equal(payload.at, payload.iat)
  await lab.call('ben')
  t.match(decodeJwt(lab.bearer()), { sub: 'client-1/ben', tags: ['BEN'] })
})

t.test('it is traded for a token where the provider says so', async (t) => {
  const idp = await startIdp(t)
  const exchange = { tokenEndpoint: `${idp.issuer}/token` }
  const lab = await startLab(t, {
    ...CLAIMS,
    exchange,
    ca: idp.ca,
    allowPrivateNetwork: true,
    clientId: 'bearer',
    clientSecret: CLIENT_SECRET,
  })
  const { status, body } = await lab.call()
  t.equal(status, 200, body)
  t.equal(lab.bearer(), idp.tokens.at(-1))
  t.match(decodeJwt(idp.asked[0]?.assertion ?? ''), { sub: 'the-service', aud: ['a', 'b'] })
})

t.test('what makes no sense is said when it is applied', async (t) => {
  const check = (config: JsonObject, fields: string[] = []) =>
    refusal(() => jwt.provider?.checkConfig?.(config, fields)).detail
  for (const [config, says] of [
    [{ claims: { iss: 'x' } }, /`claims.iss` is said by `issuer`/],
    [{ claims: { sub: 'x' } }, /`claims.sub` is said by `subject`/],
    [{ claims: { aud: 'x' } }, /`claims.aud` is said by `audience`/],
    [{ claims: { exp: 1 } }, /`claims.exp` is set anew/],
    [{ claims: { jti: 'x' } }, /`claims.jti` is set anew/],
    [{ claims: ['x'] }, /`claims` is a mapping/],
    [{ lifetime: 0 }, /`lifetime`/],
    [{ lifetime: 1.5 }, /`lifetime`/],
    [{ lifetime: 90_000 }, /`lifetime`/],
    [{ algorithm: 'HS256' }, /`algorithm` is one of RS256/],
    [{ algorithm: 'none' }, /`algorithm` is one of RS256/],
    [{ subject: '{{$Auth.clientSecret}}' }, /\$Auth\.clientSecret cannot stand in a JWT/],
    [{ subject: '{{$Api.Session_Id}}' }, /cannot stand in a JWT/],
    [{ claims: { a: ['{{$Auth.clientSecret + "x"}}'] } }, /\$Auth\.clientSecret cannot stand in a JWT/],
    [{ claims: { a: '{{$User.Id +}}' } }, /no formula/],
    [{ exchange: {} }, /`exchange` is/],
    [{ exchange: { tokenEndpoint: 'http://idp.example/token' } }, /no https address/],
    [{ exchange: { tokenEndpoint: 'https://a:b@idp.example/token' } }, /a user name or a password/],
    [{ audience: [] }, /`audience` is a text/],
  ] as [JsonObject, RegExp][])
    t.match(check(config), says, JSON.stringify(config))
  t.match(check({}, ['clientId', 'clientSecret']), /is for `exchange`/)
})
