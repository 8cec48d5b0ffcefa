import { generateKeyPairSync } from 'node:crypto'
import { exportSPKI, importJWK, type JWTPayload, SignJWT } from 'jose'
import t from 'tap'
import { ASKS } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, type RawResponse, sendBy } from '../kit/raw.ts'
import { CLAIMS, HERE, makeClock, makeKey, type Signed, startCallers, startIssuer } from './kit.ts'

const clock = makeClock()
const issuer = await startIssuer(t, clock)
const rsa = await makeKey('rsa', 'RS256')
issuer.keys.push(rsa)
const { site, upstream, goal } = await startCallers(t, {
  issuers: [{ issuer: issuer.issuer, audience: 'locum', claims: CLAIMS, ...HERE }],
  options: { clock },
})

const part = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

const detailOf = ({ body }: RawResponse) => JSON.parse(body) as { code: string; detail: string; hint: string }

/** The token with another head, which its signature does not cover. */
function withHead(token: string, head: object | string): string {
  return [part(head), ...token.split('.').slice(1)].join('.')
}

/** Signed as it stands, whatever that is. */
async function signedText(claims: string, header = ''): Promise<string> {
  const { privateKey } = issuer.keys[0] as Awaited<ReturnType<typeof makeKey>>
  const head = part(header === '' ? '{"alg":"ES256","kid":"first"}' : header)
  const data = `${head}.${part(claims)}`
  const bytes = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, Buffer.from(data))
  return `${data}.${Buffer.from(bytes).toString('base64url')}`
}

const token = (claims?: JWTPayload, signed?: Signed) => issuer.token(claims, signed)

t.test('a token of the issuer lets its user in, by every entrance', async (t) => {
  for (const as of [
    await token(),
    await token({}, { key: rsa }),
    await token({}, { header: { typ: 'at+jwt' } }),
  ])
    for (const entrance of ENTRANCES) {
      const { status, body } = await askBy(t, site, entrance, goal, { as, headers: [ASKS] })
      t.equal(status, 200, entrance)
      t.notOk(body.includes(as), 'no upstream sees the token')
    }
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.ok(uses.length > 0 && uses.every(({ via }) => via === 'jwt'))
})

t.test('what does not hold lets nobody in, and each is told apart by its detail alone', async (t) => {
  const now = clock.seconds
  const good = await token({ marker: 'a-claim-of-hers' })
  const stranger = await makeKey('first')
  const spki = await exportSPKI((await importJWK(rsa.publicJwk, 'RS256')) as never)
  const bySecret = await new SignJWT(issuer.claims())
    .setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
    .sign(Buffer.from(spki))
  const claims = JSON.stringify(issuer.claims())
  const own = { jwk: stranger.publicJwk }
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['alg none', `${part({ alg: 'none' })}.${good.split('.')[1]}.x`, /algorithm/],
    ['alg none in another case', withHead(good, { alg: 'nOnE', kid: 'first' }), /algorithm/],
    ['alg none without a signature', `${part({ alg: 'none' })}.${good.split('.')[1]}.`, /neither/],
    ['the public key as a secret', bySecret, /algorithm/],
    ['no alg', withHead(good, { kid: 'first' }), /how it is signed/],
    ['another key of that id', await token({}, { key: stranger }), /signature/],
    ['a key that it brings along', await token({}, { key: stranger, header: own }), /signature/],
    [
      'a key by address',
      await token({}, { key: stranger, header: { jku: `${issuer.issuer}/mine` } }),
      /signature/,
    ],
    [
      'a certificate by address',
      await token({}, { key: stranger, header: { x5u: `${issuer.issuer}/mine` } }),
      /signature/,
    ],
    ['another payload', [good.split('.')[0], part(claims), good.split('.')[2]].join('.'), /signature/],
    ['a key id of nobody', await token({}, { header: { kid: 'nobody' } }), /key id/],
    ['a key of another kind', await token({}, { key: rsa, header: { kid: 'first' } }), /key id/],
    ['an algorithm that its head denies', withHead(good, { alg: 'ES256', kid: 'first', x: 1 }), /signature/],
    [
      'a header that has to be known',
      await signedText(claims, '{"alg":"ES256","kid":"first","crit":["x"],"x":1}'),
      /verified/,
    ],
    ['another issuer', await token({ iss: 'https://evil.example' }), /issuer/],
    ['its issuer with a slash', await token({ iss: `${issuer.issuer}/` }), /issuer/],
    ['no issuer', await token({}, { without: ['iss'] }), /issuer/],
    ['another audience', await token({ aud: 'another' }), /audience/],
    ['an audience that begins so', await token({ aud: ['locum2', 'loc'] }), /audience/],
    ['no audience', await token({}, { without: ['aud'] }), /audience/],
    ['no end', await token({}, { without: ['exp'] }), /no end/],
    ['an end that is now', await token({ exp: now }), /expired/],
    ['an end long ago', await token({ exp: now - 3600 }), /expired/],
    ['an end in words', await signedText(claims.replace(/"exp":\d+/, '"exp":"never"')), /verified/],
    ['a beginning to come', await token({ nbf: now + 31 }), /not valid yet/],
    ['issued in the future', await token({ iat: now + 31 }), /not valid yet/],
    ['no subject', await token({}, { without: ['sub'] }), /names no user/],
    ['an empty subject', await token({ sub: '' }), /names no user/],
    [
      'a subject that is no text',
      await signedText(claims.replace('"sub":"ada"', '"sub":7')),
      /names no user/,
    ],
    ['two profiles', await token({ role: ['sales', 'support'] }), /not one profile/],
    ['a logout token', await token({}, { header: { typ: 'logout+jwt' } }), /kind/],
    ['a logout token that does not say so', await token({ events: {} }), /kind/],
    ['a proof', await token({}, { header: { typ: 'dpop+jwt' } }), /kind/],
    ['a token of its holder’s key', await token({ cnf: { jkt: 'x' } }), /bound/],
    ['two subjects', await signedText(claims.replace('"sub"', '"sub":"ben","sub"')), /neither/],
    [
      'two subjects, one in escapes',
      await signedText(claims.replace('"sub"', '"s\\u0075b":"ben","sub"')),
      /neither/,
    ],
    ['two algorithms', await signedText(claims, '{"alg":"none","alg":"ES256","kid":"first"}'), /neither/],
    ['claims that are a list', await signedText('[]'), /neither/],
    [
      'bytes that are no text',
      `${good.split('.')[0]}.${Buffer.from([0xff, 0x7b]).toString('base64url')}.x`,
      /neither/,
    ],
    ['an encrypted token', 'a.b.c.d.e', /encrypted/],
    ['half a token', good.slice(0, good.lastIndexOf('.')), /neither/],
    ['a token of base64', `${good.slice(0, -2)}+/`, /neither/],
    ['what is no token', 'nonsense', /neither/],
    ['too large', await token({ fill: 'x'.repeat(17_000) }), /larger than 16 KiB/],
  ]
  const before = upstream.bytes.length
  for (const [what, as, says] of cases) {
    for (const entrance of ENTRANCES) {
      if (entrance === 'connect') {
        const refused = /^HTTP\/1.1 407 .*caller_unauthenticated/
        await t.rejects(sendBy(t, site, entrance, goal, { as }), { message: refused }, what)
        continue
      }
      const answer = await askBy(t, site, entrance, goal, { as, headers: [ASKS] })
      t.equal(answer.status, entrance === 'gateway' ? 401 : 407, `${entrance}: ${what}`)
      const { code, detail, hint } = detailOf(answer)
      t.equal(code, 'caller_unauthenticated')
      t.match(detail, says, what)
      t.ok(hint, 'there is a next step')
      t.notMatch(answer.body, /a-claim-of-hers|evil\.example|nobody|dpop/, 'nothing of the token is in it')
    }
  }
  t.equal(upstream.bytes.length, before, 'nothing left')
  const refused = (await site.audit()).filter(({ event }) => event === 'refused')
  t.equal(refused.length, cases.length * ENTRANCES.length)
  t.ok(refused.every(({ code }) => code === 'caller_unauthenticated'))
  t.notOk(JSON.stringify(refused).includes(good))
  t.strictSame(new Set(issuer.asked), new Set(['/.well-known/openid-configuration', '/jwks']))
})

t.test('clocks may differ by 30 s, but nobody is let in after a token’s end', async (t) => {
  const now = clock.seconds
  for (const claims of [{ nbf: now + 30 }, { iat: now + 30 }, { exp: now + 1 }]) {
    const { status } = await askBy(t, site, 'forward', goal, { as: await token(claims) })
    t.equal(status, 200, JSON.stringify(claims))
  }
  const as = await token({ exp: now + 2 })
  t.equal((await askBy(t, site, 'forward', goal, { as })).status, 200)
  clock.time += 2000
  const late = await askBy(t, site, 'forward', goal, { as })
  t.equal(late.status, 407)
  t.match(detailOf(late).detail, /expired/)
})

t.test('a token is the password of Basic for its own user, for `jwt` and for nobody', async (t) => {
  const as = await token()
  const ask = async (id: string, key = as) => {
    const line = `Proxy-Authorization: Basic ${Buffer.from(`${id}:${key}`).toString('base64')}`
    return (await askBy(t, site, 'forward', goal, { as: '', headers: [line] })).status
  }
  await askBy(t, site, 'forward', goal, { as })
  const own = upstream.requests.at(-1)?.headers['x-user'] as string
  for (const id of ['', 'jwt', own]) t.equal(await ask(id), 200, id)
  for (const id of ['ada', 'JWT', `${own}x`]) t.equal(await ask(id), 407, id)
  t.equal(await ask('', site.keys.ada), 407, 'a key without an id')
  t.equal(await ask('ada', site.keys.ada), 200)
})

t.test('what begins as a proxy key does is never read as a token, and costs what it did', async (t) => {
  const { tokens } = site.running.room
  const looked: string[] = []
  t.intercept(tokens as NonNullable<typeof tokens>, 'verify', {
    value: async (hash: string) => {
      looked.push(hash)
      throw new Error('it was looked at')
    },
  })
  const good = await askBy(t, site, 'forward', goal)
  t.equal(good.status, 200)
  for (const as of [`lcm_${await token()}`, `lcm_${'x'.repeat(49)}`, 'lcm_.a.b']) {
    const { status, body } = await askBy(t, site, 'forward', goal, { as })
    t.equal(status, 407)
    t.match(JSON.parse(body).detail, 'No valid key of a caller')
  }
  t.strictSame(looked, [])
})

t.test('the token is in no log, and prints as nothing', async (t) => {
  const as = await token()
  const caller = await site.running.room.tokens?.verify(
    'a-hash',
    new (await import('../../core/secret.ts')).Secret(as),
  )
  t.equal(caller?.token?.reveal(), as)
  const { inspect } = await import('node:util')
  for (const text of [
    JSON.stringify(caller),
    inspect(caller, { depth: 9, showHidden: true }),
    `${caller?.token}`,
  ])
    t.notOk(text.includes(as.split('.')[2] as string))
  t.equal(caller?.principal.via, 'jwt')
  t.equal(caller?.expiresAt, (clock.seconds + 300) * 1000)
  t.equal(caller?.principal.claims?.sub, 'ada')
  t.notOk(caller?.principal.admin)
})

t.test('a weak key of an issuer verifies nothing', async (t) => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const publicJwk = { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256', use: 'sig' }
  issuer.keys.push({ kid: 'weak', alg: 'RS256', publicJwk, privateKey: weak.privateKey as never })
  clock.time += 30_000
  await site.settle()
  const data = `${part({ alg: 'RS256', kid: 'weak' })}.${part(issuer.claims())}`
  const { sign } = await import('node:crypto')
  const as = `${data}.${sign('sha256', Buffer.from(data), weak.privateKey).toString('base64url')}`
  const { status, body } = await askBy(t, site, 'forward', goal, { as })
  t.equal(status, 407)
  t.match(JSON.parse(body).detail, /too weak/)
})
