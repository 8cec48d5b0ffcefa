import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { credentialPlace } from '../../core/credential.ts'
import type { JsonObject } from '../../core/secret.ts'
import { LOCAL } from '../../core/words.ts'
import { rotatePrincipalKey } from '../../operations/principals.ts'
import { CLIENT_SECRET, startIdp } from '../kit/idp.ts'
import { BY_CODE, bearers, PER_USER, startLab } from '../kit/oauth-lab.ts'
import { makePerson } from '../kit/person.ts'

type Lab = Awaited<ReturnType<typeof startLab>>

/** A thief has used the refresh token that was given first: the provider ends the whole grant. */
async function steal({ idp }: Lab): Promise<void> {
  const [, refresh] = idp.tokens
  const stolen = { grant_type: 'refresh_token', refresh_token: refresh ?? '' }
  for (const _ of [1, 2]) await idp.post('/token', stolen, `web:${CLIENT_SECRET}`)
}

const code = ({ body }: { body: string }) => JSON.parse(body).code
const APP = 'https://app.example.com'
const FOR_PAGES = { connection: { source: 'per-user', cors: { origins: [APP] } } }

t.test(
  'an answer serves once, in the browser that asked, for the question that it answers (R22)',
  async (t) => {
    const lab = await startLab(t, BY_CODE, PER_USER)
    const ada = lab.person
    await ada.signIn('ada')
    const asked = await ada.post('/connect/idp', {})
    const url = new URL(asked.data.go ?? '')
    t.match(Object.fromEntries(url.searchParams), {
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: /^[\w-]{43}$/,
      state: /^[\w-]{43}$/,
      nonce: /^[\w-]{43}$/,
      redirect_uri: `${lab.site.consoleUrl}/oauth/callback`,
      scope: 'openid offline_access read',
    })
    const back = new URL(await lab.idp.browse(url.href))
    const other = makePerson(lab.site)
    t.equal((await other.get(back.pathname + back.search)).status, 400, 'no session at all')
    const again = await ada.get(back.pathname + back.search)
    t.equal(again.status, 400, 'whoever took it first has used it up')
    t.match(again.body, /no answer to a question that was asked here/)

    const ben = makePerson(lab.site)
    await ben.signIn('ben')
    const second = await ada.post('/connect/idp', {})
    const stolen = new URL(await lab.idp.browse(second.data.go ?? ''))
    t.equal((await ben.get(stolen.pathname + stolen.search)).status, 400, "another user's session")
    t.equal((await lab.call('ben')).status, 424)

    const third = new URL(await lab.idp.browse((await ada.post('/connect/idp', {})).data.go ?? ''))
    third.searchParams.set('state', 'x'.repeat(43))
    t.equal((await ada.get(third.pathname + third.search)).status, 400, 'a state that nobody made')

    const fourth = new URL(await lab.idp.browse((await ada.post('/connect/idp', {})).data.go ?? ''))
    fourth.searchParams.set('iss', 'https://evil.example')
    t.equal((await ada.get(fourth.pathname + fourth.search)).status, 502, 'another issuer (RFC 9207)')

    const fifth = new URL(await lab.idp.browse((await ada.post('/connect/idp', {})).data.go ?? ''))
    await lab.later(600_001)
    await ada.signIn('ada')
    t.equal((await ada.get(fifth.pathname + fifth.search)).status, 400, 'ten minutes later')
    t.equal(code(await lab.call()), 'credential_missing')
    t.equal(lab.upstream.requests.length, 0)
  },
)

t.test('what a provider says of a refusal is text on a page, and no markup', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  await lab.person.signIn('ada')
  const refused = await lab.person.connect('idp', lab.idp, { refuse: true })
  t.equal(refused.status, 502)
  t.match(refused.body, /access_denied/)
  t.match(refused.body, /&lt;script&gt;alert\(1\)&lt;\/script&gt; said no/)
  t.notMatch(refused.body, /<script>/)
  t.match(refused.headers['content-security-policy'], /default-src 'none'; script-src 'self'/)
  t.match(
    (await lab.site.audit()).filter(({ operation }) => operation === 'provider.connect'),
    [{ subject: 'idp/user:ada', outcome: 'failed' }],
  )
})

t.test('no other page can make a browser consent, sign in or out', async (t) => {
  const lab = await startLab(t, BY_CODE, FOR_PAGES)
  await lab.person.signIn('ada')
  for (const path of ['/connect/idp', '/sign-in/page', '/sign-out', '/sign-in', '/oauth/callback'])
    for (const origin of [APP, 'null', `${lab.site.consoleUrl}.evil.example`]) {
      const { status, data } = await lab.person.post(path, { origin: APP }, { origin })
      t.equal(status, 403, `${path} from ${origin}`)
      t.same(data, {})
    }
  const [[name, value] = ['', '']] = lab.person.cookies
  t.match(name, /^__Host-locum-[0-9a-f]{8}$/)
  t.match(value, /^lcm_/)
  const headers = { 'locum-authorization': `Bearer ${value}`, origin: APP }
  t.equal(
    (await fetch(`${lab.site.proxyUrl}/c/api/echo`, { headers })).status,
    401,
    'the cookie calls nothing',
  )
})

t.test('nobody consents for others, but an administrator for what the site owns', async (t) => {
  const lab = await startLab(t, BY_CODE, { connection: { source: 'per-user', fallback: ['shared'] } })
  await lab.person.signIn('ada')
  for (const scope of ['user:ben', 'shared', 'profile:sales'])
    t.equal((await lab.person.post('/connect/idp', { for: scope })).status, 403, scope)
  await lab.site.context.store.putPrincipal(LOCAL, {
    id: 'root',
    kind: 'user',
    projects: [],
    admin: true,
    disabled: false,
  })
  const { key } = (await lab.site.run(rotatePrincipalKey, { id: 'root' })) as { key: string }
  const root = makePerson({ ...lab.site, keys: { root: key } })
  await root.signIn('root')
  t.equal((await root.post('/connect/idp', { for: 'user:ada' })).status, 403, "no door to a user's own (R28)")
  t.match((await root.connect('idp', lab.idp, { form: { for: 'shared' } })).body, /is connected/)
  await lab.site.settle()
  t.equal((await lab.call('ben')).status, 200)
})

t.test('a grant that was revoked is said, asked for no more, and given again', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  t.equal((await lab.call()).status, 200)
  await steal(lab)
  const asked = lab.idp.asked.length
  await lab.later(3_601_000)
  for (const _ of [1, 2, 3]) {
    const { status, body } = await lab.call()
    t.equal(status, 424, body)
    t.match(JSON.parse(body), {
      code: 'reauthorization_required',
      detail: /^idp said invalid_grant/,
      authorizeUrl: `${lab.site.consoleUrl}/connect/idp`,
    })
  }
  t.equal(lab.idp.asked.length, asked + 1, 'the dead are asked once')
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  await lab.site.settle()
  t.equal((await lab.call()).status, 200)
})

t.test('a webhook is told of a grant that is dead, once, in signed words', async (t) => {
  const told: { body: string; signature: string }[] = []
  let status = 500
  const hook = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    told.push({ body, signature: String(request.headers['locum-signature']) })
    response.writeHead(status).end()
    status = 204
  })
  hook.listen(0, '127.0.0.1')
  await once(hook, 'listening')
  t.teardown(() => hook.close())
  const { port } = hook.address() as AddressInfo
  const open = { allowPlaintext: true, allowPrivateNetwork: true }
  const notify = { webhook: `http://127.0.0.1:${port}/hook`, secret: { env: 'HOOK_SECRET' }, ...open }
  const lab = await startLab(t, BY_CODE, {
    ...PER_USER,
    notify,
    env: { HOOK_SECRET: 'the secret of the hook' },
  })
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  t.equal((await lab.call()).status, 200)
  await steal(lab)
  await lab.later(3_601_000)
  for (const _ of [1, 2]) t.equal((await lab.call()).status, 424)
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.equal(told.length, 2, 'again where it was not taken')
  const [{ body, signature } = { body: '', signature: '' }] = told
  t.match(JSON.parse(body), {
    event: 'reauthorization_required',
    provider: 'idp',
    connection: 'api',
    owner: 'user:ada',
    detail: /^idp said invalid_grant/,
    authorizeUrl: `${lab.site.consoleUrl}/connect/idp`,
  })
  const [, seconds, digest] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? []
  const expected = createHmac('sha256', 'the secret of the hook').update(`${seconds}.${body}`).digest('hex')
  t.equal(digest, expected)
  for (const token of lab.idp.tokens) t.notMatch(body, token)
})

t.test("a user's new key suspends what they consented to, until they do so again", async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  t.equal((await lab.call()).status, 200)
  const { key } = (await lab.site.run(rotatePrincipalKey, { id: 'ada' })) as { key: string }
  await lab.site.settle()
  t.equal((await lab.person.get('/connect/idp')).body.includes('name="key"'), true, 'the session is over too')
  const keys = lab.site.keys as Record<string, string>
  keys.ada = key
  t.match(JSON.parse((await lab.call()).body), {
    code: 'credential_missing',
    hint: /locum connect idp --as ada/,
  })
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  await lab.site.settle()
  t.equal((await lab.call()).status, 200)
})

t.test('a connection that reaches more asks again; what was approved goes on (R25)', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  t.equal((await lab.call()).status, 200)
  const second = await startLab(t, BY_CODE, { ...PER_USER, idp: lab.idp })
  const config = lab.config() as { connections: { destinations: string[] }[] }
  config.connections[0]?.destinations.push(second.upstream.origin)
  await lab.site.apply(config)
  await lab.site.settle()
  t.equal((await lab.call()).status, 200)
  const elsewhere = await fetch(`${lab.site.proxyUrl}/c/api/echo`, {
    headers: { 'locum-authorization': `Bearer ${lab.site.keys.ada}` },
  })
  t.equal(elsewhere.status, 400, 'the gateway no longer knows which is meant')
  await lab.site.apply(lab.config({ scopes: ['openid', 'offline_access', 'read', 'write'] }))
  await lab.site.settle()
  t.equal((await lab.call()).status, 200, 'what is asked for the next time')
  // Another endpoint, or another way to it: nobody approved that it gets the refresh token.
  for (const changes of [
    { revocationEndpoint: 'https://elsewhere.example/revoke' },
    { revocationEndpoint: `${lab.idp.issuer}/another/revocation` },
    { ca: lab.site.ca },
    { allowPlaintext: true },
  ] as JsonObject[]) {
    await lab.site.apply(lab.config(changes))
    await lab.site.settle()
    t.match(JSON.parse((await lab.call()).body), {
      code: 'credential_outside_audience',
      authorizeUrl: `${lab.site.consoleUrl}/connect/idp`,
    })
  }
})

t.test('one consent serves every connection of the provider', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  const config = lab.config() as { connections: { name: string }[] }
  config.connections.push({ ...(config.connections[0] as { name: string }), name: 'api-too' })
  await lab.site.apply(config)
  await lab.site.settle()
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  for (const name of ['api', 'api-too']) {
    const answer = await fetch(`${lab.site.proxyUrl}/c/${name}/echo`, {
      headers: { 'locum-authorization': `Bearer ${lab.site.keys.ada}` },
    })
    t.equal(answer.status, 200, name)
  }
  t.equal(lab.idp.asked.length, 1)
  t.same(new Set(bearers(lab.upstream)).size, 1)
})

t.test('a link from the command line is good once, for whom it was made', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  const { people } = lab.site.running
  const request = { provider: 'idp', scope: 'user:ada', by: LOCAL } as const
  const ticket = await people.consents.ticket(request)
  const ada = makePerson(lab.site)
  for (const path of ['/connect/idp', `/connect/idp?ticket=${'x'.repeat(43)}`, '/connect/nothing']) {
    const { body } = await ada.get(path)
    t.notMatch(body, lab.upstream.origin, `${path}: whoever is not known is told nothing of the provider`)
  }
  const looked = await ada.get(`/connect/idp?ticket=${ticket}`)
  t.match(looked.body, /id="connect"/, 'looking takes nothing')
  t.match(looked.body, /call idp for ada/)
  t.equal((await ada.get(`/connect/other?ticket=${ticket}`)).status, 400, 'for this provider alone')
  t.match((await ada.connect('idp', lab.idp, { form: { ticket } })).body, /is connected/)
  t.equal(ada.cookies.size, 0, 'nobody is signed in by it')
  t.equal((await ada.post('/connect/idp', { ticket })).status, 400)
  await lab.site.settle()
  t.equal((await lab.call()).status, 200)
  t.equal((await ada.post('/connect/idp', { ticket: 'x'.repeat(43) })).status, 400)
})

t.test('by a device code: shown, waited for, kept', async (t) => {
  const client = { grant: 'device_code', clientId: 'device', scopes: ['openid', 'offline_access'] }
  const lab = await startLab(t, client, PER_USER)
  const { consents } = lab.site.running.people
  const request = { provider: 'idp', scope: 'user:ada', by: LOCAL } as const
  const code = await consents.beginDevice(request)
  t.match(code, { userCode: /^[A-Z-]{9}$/, verificationUri: `${lab.idp.issuer}/device`, interval: 5_000 })
  const waits: number[] = []
  const done = await consents.awaitDevice(request, code, async (ms) => {
    waits.push(ms)
    if (waits.length === 3) await lab.idp.typeCode(code.userCode, 'ada')
  })
  t.match(done, { provider: 'idp', scope: 'user:ada' })
  t.same(waits, [5_000, 5_000, 5_000])
  await lab.site.settle()
  t.equal((await lab.call()).status, 200)
  const late = await consents.beginDevice(request)
  await t.rejects(
    consents.awaitDevice(request, { ...late, expiresAt: 0 }, async () => {}),
    { code: 'refresh_failed' },
  )
  await t.rejects(consents.begin({ ...request, session: 's', redirectUri: 'https://x.example/' }), {
    code: 'bad_request',
  })
})

t.test('implicit: the fragment comes back through the page, bound to its state', async (t) => {
  const client = { grant: 'implicit', clientId: 'implicit', scopes: ['openid', 'read'] }
  const lab = await startLab(t, client, PER_USER)
  await lab.person.signIn('ada')
  t.match((await lab.person.get('/connect/idp')).body, /the token passes through your browser/)
  const { data } = await lab.person.post('/connect/idp', {})
  const back = new URL(await lab.idp.browse(data.go ?? ''))
  t.match(back.hash, /access_token=/)
  const page = await lab.person.get('/oauth/callback')
  t.equal(page.data.send, '/oauth/callback')
  const fragment = back.hash.slice(1)
  t.equal(
    (await lab.person.post('/oauth/callback', { fragment: fragment.replace(/state=[^&]+/, 'state=x') }))
      .status,
    400,
  )
  t.match((await lab.person.post('/oauth/callback', { fragment })).body, /is connected/)
  await lab.site.settle()
  const { status, body } = await lab.call()
  t.equal(status, 200, body)
  await lab.later(3_601_000)
  t.match(JSON.parse((await lab.call()).body), { code: 'reauthorization_required' })
})

t.test(
  'a page calls with a key of its own, sees what was answered without its secrets, and ends it',
  async (t) => {
    const lab = await startLab(t, BY_CODE, FOR_PAGES)
    const { consoleUrl, proxyUrl } = lab.site
    await lab.person.signIn('ada')
    t.equal(
      (await lab.person.get(`/sign-in?origin=${encodeURIComponent('https://evil.example')}`)).status,
      403,
    )
    t.match((await lab.person.get(`/sign-in?origin=${encodeURIComponent(APP)}`)).body, /id="allow"/)
    const { data } = await lab.person.post('/sign-in/page', { origin: APP })
    t.equal(data.to, APP, 'told to exactly this origin')
    const { key, gateway } = JSON.parse(data.tell ?? '{}') as { key: string; gateway: string }
    t.equal(gateway, proxyUrl)
    const call = (origin: string | undefined, name = 'api') =>
      fetch(`${gateway}/c/${name}/echo`, {
        headers: { 'locum-authorization': `Bearer ${key}`, ...(origin === undefined ? {} : { origin }) },
      })
    const missing = (await (await call(APP)).json()) as object
    t.match(missing, { code: 'credential_missing', authorizeUrl: `${consoleUrl}/connect/idp` })
    t.match((await lab.person.connect('idp', lab.idp, { form: { opener: APP } })).data, {
      tell: '{"type":"locum:connected","provider":"idp"}',
      to: APP,
    })
    t.equal((await lab.person.post('/connect/idp', { opener: 'https://evil.example' })).status, 403)
    await lab.site.settle()
    t.equal((await call(APP)).status, 200)
    t.equal((await call(undefined)).status, 403, 'the key is that page’s')
    const forward = await lab.call('ada')
    t.equal(forward.status, 200)
    const oauth = (method: string, origin = APP) =>
      fetch(`${consoleUrl}/api/v1/oauth/api`, { method, headers: { authorization: `Bearer ${key}`, origin } })
    const shown = await oauth('GET')
    t.equal(shown.headers.get('access-control-allow-origin'), APP)
    const text = await shown.text()
    t.match(JSON.parse(text), {
      access_token: /^\[\d+ characters\]$/,
      refresh_token: /^\[\d+ characters\]$/,
      token_type: 'Bearer',
    })
    for (const token of lab.idp.tokens) t.notMatch(text, token)
    const evil = await oauth('GET', 'https://evil.example')
    t.equal(evil.status, 403)
    t.equal(
      evil.headers.get('access-control-allow-origin'),
      null,
      'an origin that is not listed is never reflected (R21)',
    )
    t.equal((await oauth('GET', 'null')).headers.get('access-control-allow-origin'), null)
    t.equal((await fetch(`${consoleUrl}/api/v1/oauth/api`)).status, 401)
    const preflight = await fetch(`${consoleUrl}/api/v1/oauth/api`, {
      method: 'OPTIONS',
      headers: { origin: APP },
    })
    t.equal(preflight.status, 204)
    const unlisted = await fetch(`${consoleUrl}/api/v1/oauth/api`, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example' },
    })
    t.match(unlisted, { status: 403 })
    t.equal(unlisted.headers.get('access-control-allow-origin'), null)
    const keyless = await fetch(`${consoleUrl}/api/v1/oauth/api`, { headers: { origin: APP } })
    t.equal(
      keyless.headers.get('access-control-allow-origin'),
      APP,
      'a refusal is read by the page that asked',
    )
    t.same(await (await oauth('DELETE')).json(), { ended: true, revoked: true })
    await lab.site.settle()
    t.equal((await call(APP)).status, 424)
    t.equal((await oauth('GET')).status, 424)
  },
)

t.test('a back end asks for a key for its page', async (t) => {
  const lab = await startLab(t, BY_CODE, FOR_PAGES)
  const config = lab.config() as { principals: object[] }
  config.principals = [...config.principals, { id: 'app', kind: 'service', mayActFor: ['user:ada'] }]
  await lab.site.apply(config)
  const ask = (body: object, key = lab.site.keys.app) =>
    fetch(`${lab.site.consoleUrl}/api/v1/sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const given = await ask({ for: 'user:ada', origin: APP, connections: ['other'], ttl: '5m' })
  t.equal(given.status, 201)
  const { key, expiresAt } = (await given.json()) as { key: string; expiresAt: string }
  t.ok(Date.parse(expiresAt) - Date.now() <= 300_000)
  const call = await fetch(`${lab.site.proxyUrl}/c/api/echo`, {
    headers: { 'locum-authorization': `Bearer ${key}`, origin: APP },
  })
  t.match(await call.json(), { code: 'not_allowed', detail: /not for the connection/ })
  for (const [body, status] of [
    [{ for: 'user:ben', origin: APP }, 403],
    [{ for: 'user:nobody', origin: APP }, 403],
    [{ for: 'user:ada', origin: APP, ttl: '2h' }, 400],
    [{ for: 'ada', origin: APP }, 400],
    [{ for: 'user:ada', origin: 'app' }, 400],
    [{ for: 'user:ada' }, 400],
  ] as const)
    t.equal((await ask(body)).status, status, JSON.stringify(body))
  t.equal((await ask({ for: 'user:ada', origin: APP }, 'lcm_x')).status, 401)
  t.equal((await ask({ for: 'user:ada', origin: APP }, key)).status, 401, "a page's key gives no keys")
})

t.test('what a consent gave is sealed: no byte of it is in the folder', async (t) => {
  const idp = await startIdp(t)
  const lab = await startLab(t, BY_CODE, { ...PER_USER, idp })
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  await lab.call()
  const { readdirSync, readFileSync, statSync } = await import('node:fs')
  const files = readdirSync(lab.site.data, { recursive: true, encoding: 'utf8' })
    .map((name) => `${lab.site.data}/${name}`)
    .filter((name) => statSync(name).isFile() && !name.includes('/file/'))
  t.ok(files.length > 2)
  for (const file of files) {
    const bytes = readFileSync(file, 'latin1')
    for (const secret of [...idp.tokens, CLIENT_SECRET]) t.notOk(bytes.includes(secret), file)
  }
  const [credential] = await lab.site.context.store.credentials(LOCAL)
  t.match(credential, { owner: 'user:ada', fieldNames: ['scope'] })
  t.ok(credential && credentialPlace(credential, 'scope'))
})
