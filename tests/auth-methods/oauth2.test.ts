import type { ServerResponse } from 'node:http'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { keySet, signingKeeper } from '../../certs/signing.ts'
import type { JsonObject } from '../../core/secret.ts'
import { issue, makeCa } from '../kit/certificates.ts'
import { CLIENT_SECRET, PASSWORD, startIdp } from '../kit/idp.ts'
import { BY_CODE, bearers, PER_USER, startLab } from '../kit/oauth-lab.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { upstreamCa } from '../kit/upstream.ts'

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

t.test('a client authenticates with a JWT that it signs, or with its certificate', async (t) => {
  const idp = await startIdp(t)
  const alone = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }
  const signing = { grant: 'client_credentials', clientId: 'key-jwt', clientAuth: 'private_key_jwt' }
  const signed = await startLab(t, signing, { idp })
  const { sealer, clock, store } = signed.site.context
  const { keys } = JSON.parse(keySet(await signingKeeper(sealer, clock).list(store)))
  const jwks = { keys: keys.map((key: object) => ({ ...key, alg: 'RS256' })) }
  await idp.addClient({ client_id: 'key-jwt', ...alone, token_endpoint_auth_method: 'private_key_jwt', jwks })
  t.equal((await signed.call()).status, 200)
  t.match(idp.asked.at(-1), {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  })

  const { cert, key } = await issue(await upstreamCa(), ['client.example'], { forClient: true })
  const dn = { tls_client_auth_subject_dn: 'CN=client.example' }
  await idp.addClient({ client_id: 'mtls', ...alone, ...dn, token_endpoint_auth_method: 'tls_client_auth' })
  const showing = { grant: 'client_credentials', clientId: 'mtls', clientAuth: 'mtls' }
  const shown = await startLab(t, { ...showing, clientCertificate: cert, clientKey: key }, { idp })
  const { status, body } = await shown.call()
  t.equal(status, 200, body)
  const another = await issue(await makeCa('another CA'), ['client.example'], { forClient: true })
  const other = await startLab(
    t,
    { ...showing, clientCertificate: another.cert, clientKey: another.key },
    { idp },
  )
  t.match(JSON.parse((await other.call()).body), { code: 'refresh_failed', detail: /invalid_client/ })
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
  await lab.call()
  const first = bearers(lab.upstream).at(-1)
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

t.test('a user name and a password, entered as a credential, are sent to the provider alone', async (t) => {
  const credential = { connection: 'api', for: 'user:ada', fields: { username: 'ada', password: PASSWORD } }
  const client = { grant: 'password', clientId: 'owner', clientSecret: CLIENT_SECRET, scopes: ['read'] }
  const lab = await startLab(t, client, { ...PER_USER, credentials: [credential] })
  const { status, body } = await lab.call()
  t.equal(status, 200, body)
  t.match(lab.idp.asked, [{ grant_type: 'password', username: 'ada', password: PASSWORD, scope: 'read' }])
  t.equal(JSON.parse((await lab.call('ben')).body).code, 'credential_missing')
  const wrong = { ...credential, fields: { username: 'ada', password: 'not the password of ada' } }
  const other = await startLab(t, client, { ...PER_USER, idp: lab.idp, credentials: [wrong] })
  const refused = await other.call()
  t.equal(refused.status, 502)
  t.match(JSON.parse(refused.body), {
    code: 'refresh_failed',
    detail: 'idp said invalid_grant (*** is not the password).',
    hint: /^Enter user name and password again/,
  })
  const asked = lab.idp.asked.length
  await other.call()
  t.equal(lab.idp.asked.length, asked, 'what was refused is not asked again at once: it may lock the account')
  await other.later(2_000)
  await other.call()
  t.equal(lab.idp.asked.length, asked + 1)
})

t.test('a JWT of ours is traded for a token, one for each caller whom it names', async (t) => {
  const idp = await startIdp(t)
  const lab = await startLab(
    t,
    {
      grant: 'jwt_bearer',
      issuer: 'https://locum.example',
      tokenEndpoint: `${idp.issuer}/token`,
      clientId: 'bearer',
      clientSecret: CLIENT_SECRET,
      scopes: ['read'],
      subject: '{{$User.Id}}@example.com',
      claims: { groups: ['{{$User.Profile}}', 'all'], level: 3 },
    },
    { idp },
  )
  const { status, body } = await lab.call()
  t.equal(status, 200, body)
  const keys = createLocalJWKSet(
    JSON.parse(
      keySet(
        await signingKeeper(lab.site.context.sealer, lab.site.context.clock).list(lab.site.context.store),
      ),
    ),
  )
  const { payload, protectedHeader } = await jwtVerify(lab.idp.asked[0]?.assertion ?? '', keys, {
    issuer: 'https://locum.example',
    audience: `${idp.issuer}/token`,
  })
  t.match(protectedHeader, { alg: 'RS256', typ: 'JWT' })
  t.match(payload, { sub: 'ada@example.com', groups: ['sales', 'all'], level: 3, jti: String })
  t.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300)
  t.match(JSON.parse((await lab.call('ben')).body), { code: 'placeholder_unknown' }, 'ben has no profile')
  t.equal(lab.idp.asked.length, 1)
})

t.test(
  'what a client is not allowed, and what a server does wrong, is refresh_failed with a next step',
  async (t) => {
    const client = { grant: 'client_credentials', clientId: 'basic', clientSecret: CLIENT_SECRET }
    const lab = await startLab(t, { ...client, clientSecret: 'not-the-secret-of-the-client' })
    const refused = JSON.parse((await lab.call()).body)
    t.match(refused, { code: 'refresh_failed', detail: /^idp said invalid_client/, hint: /clientAuth/ })
    const cases: [string, (response: ServerResponse) => void, RegExp][] = [
      ['is down', (response) => response.writeHead(503).end('oh'), /no answer/],
      ['says nothing', (response) => response.writeHead(200).end(), /no answer/],
      [
        'is no JSON',
        (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<b>'),
        /no answer/,
      ],
      ['is a list', (response) => json(response, 200, []), /no answer/],
      [
        'has no token',
        (response) => json(response, 200, { token_type: 'Bearer' }),
        /no answer|no access token/,
      ],
      [
        'has a number for a token',
        (response) => json(response, 200, { access_token: 5 }),
        /no answer|no access/,
      ],
      [
        'leads elsewhere',
        (response) => response.writeHead(302, { location: 'https://evil.example' }).end(),
        /no answer/,
      ],
      [
        'is too long',
        (response) => json(response, 200, { access_token: 'x'.repeat(1 << 21) }),
        /larger than 1 MiB/,
      ],
      [
        'breaks off',
        (response) => response.writeHead(200, { 'content-length': '9' }).write('{', () => response.destroy()),
        /./,
      ],
      [
        'says an error under 200',
        (response) => json(response, 200, { error: 'invalid_scope' }),
        /invalid_scope/,
      ],
      ['says an error that is markup', (response) => json(response, 400, { error: '<script>' }), /no answer/],
    ]
    for (const [title, answer, detail] of cases) {
      await lab.later(120_000)
      const { idp } = lab
      idp.instead = (request, response) => {
        if (request.url !== '/token') return false
        answer(response)
        return true
      }
      const { status, body } = await lab.call()
      t.equal(status, 502, `${title}: ${body}`)
      t.match(JSON.parse(body), { code: 'refresh_failed', detail }, title)
      t.notMatch(body, /script|not-the-secret/, title)
    }
    await lab.later(120_000)
    const other = await startLab(t, client, { idp: lab.idp })
    lab.idp.instead = (request, response) => {
      if (request.url?.startsWith('/.well-known'))
        json(response, 200, { issuer: 'https://evil.example', token_endpoint: 'https://evil.example/token' })
      return request.url?.startsWith('/.well-known') ?? false
    }
    t.equal(JSON.parse((await other.call()).body).code, 'refresh_failed', 'an issuer that is another')
    t.equal(lab.upstream.requests.length + other.upstream.requests.length, 0)
  },
)

t.test('the literal answers of RFC 6749 serve: any token type, `expires`, further parameters', async (t) => {
  const client = { grant: 'client_credentials', clientId: 'basic', clientSecret: CLIENT_SECRET }
  const lab = await startLab(t, client, {
    connection: { headers: { 'X-Api-Key': '{{$Auth.Token.example_parameter}}' } },
  })
  let given = 0
  lab.idp.instead = (request, response) => {
    if (request.url !== '/token') return false
    const token = {
      access_token: `2YotnFZFEjr1zCsicMWpAA${++given}`,
      token_type: 'example',
      expires: 60,
      example_parameter: 'example_value',
    }
    json(response, 200, token)
    return true
  }
  t.equal((await lab.call()).status, 200)
  t.match(lab.upstream.requests[0]?.headers, {
    authorization: 'Bearer 2YotnFZFEjr1zCsicMWpAA1',
    'x-api-key': 'example_value',
  })
  await lab.later(61_000)
  await lab.call()
  t.equal(given, 2, 'it had expired')
})

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

t.test(
  'the token of the caller is exchanged for one of the upstream, each for its own (RFC 8693)',
  async (t) => {
    const idp = await startIdp(t)
    const issuer = { issuer: idp.issuer, audience: 'locum', ca: idp.ca, allowPrivateNetwork: true }
    const exchange = { grant: 'token_exchange', clientId: 'bearer', clientSecret: CLIENT_SECRET }
    const lab = await startLab(t, exchange, { idp, identity: { issuers: [issuer] } })
    const call = (token: string) =>
      fetch(`${lab.site.proxyUrl}/c/api/echo`, { headers: { 'locum-authorization': `Bearer ${token}` } })
    const ada = await idp.jwt({ sub: 'ada', aud: 'locum' })
    const ben = await idp.jwt({ sub: 'ben', aud: 'locum' })
    for (const token of [ada, ben, ada]) t.equal((await call(token)).status, 200)
    t.match(idp.asked, [
      { subject_token: ada, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
      { subject_token: ben },
    ])
    t.equal(idp.asked.length, 2)
    t.equal(new Set(bearers(lab.upstream)).size, 2)
    const narrower = await idp.jwt({ sub: 'ada', aud: 'locum', scope: 'less' })
    await call(narrower)
    t.equal(
      idp.asked.at(-1)?.subject_token,
      narrower,
      'another token of the same user is another question (R24)',
    )
    const byKey = await lab.call()
    t.match(JSON.parse(byKey.body), { code: 'reauthorization_required', hint: /a JWT of an issuer/ })
    t.equal((await call(await idp.jwt({ sub: 'ada', aud: 'another' }))).status, 401)
  },
)
