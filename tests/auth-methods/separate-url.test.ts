import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Answer, expiryOf, readExpires } from '../../auth-methods/expires.ts'
import { separateUrl } from '../../auth-methods/separate-url.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import { LOCAL } from '../../core/words.ts'
import { refusal } from '../core/kit.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

interface Asked {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** An authentication URL: what it was asked, and an answer that can be told. */
async function startLogin(t: Test) {
  const asked: Asked[] = []
  const login = {
    asked,
    url: '',
    answer: (response: ServerResponse): void => {
      const token = `session-${asked.length}-${'x'.repeat(16)}`
      response.setHeader('X-Session-Token', token)
      response.end(JSON.stringify({ data: { token, list: [{ id: 'the-first-of-them' }] }, expires_in: 60 }))
    },
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    const { method, url, headers } = request
    asked.push({ method, url, headers, body })
    login.answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  login.url = `http://localhost:${(server.address() as AddressInfo).port}/login`
  return login
}

const OPEN = { allowPrivateNetwork: true, allowPlaintext: true }
const PASSWORD = 'p"ss-of-ada'
const JSON_LOGIN = { user: '{{$Auth.Username}}', pass: '{{$Auth.Password}}' }

async function startLab(t: Test, request: JsonObject = {}, more: Readonly<Record<string, unknown>> = {}) {
  const login = await startLogin(t)
  const upstream = await startUpstream(t)
  let now = Date.now()
  const { expires = { path: 'expires_in' }, credentials, ...rest } = more
  const shared = { connection: 'crm', for: 'shared', fields: { username: 'ada', password: PASSWORD } }
  const config = (changes: JsonObject = {}) => ({
    principals: [
      { id: 'ada', kind: 'user' },
      { id: 'ben', kind: 'user' },
    ],
    connections: [
      {
        name: 'crm',
        destinations: [upstream.origin],
        auth: {
          method: 'separate-url',
          request: {
            url: login.url,
            ...(request.form ? {} : { json: JSON_LOGIN }),
            ...OPEN,
            ...request,
            ...changes,
          },
          ...(expires === null ? {} : { expires }),
        },
        headers: { 'X-Token': '{{$Auth.Response.Body.data.token}}' },
        allowPrivateNetwork: true,
        ca: upstream.ca,
        ...rest,
      },
    ],
    credentials: credentials ?? [shared],
  })
  const site = await startSite(t, config(), { clock: { now: () => now } })
  const goal = { ...upstream, name: 'crm' }
  const call = (headers: readonly string[] = [], as = 'ada') =>
    askBy(t, site, 'connect', goal, { path: '/echo', headers, as })
  /** When what failed is asked for again. */
  const later = async () => {
    now += 60_000
    await site.settle()
  }
  return { login, upstream, site, goal, call, config, later, pass: (ms: number) => (now += ms) }
}

const code = ({ body }: { body: string }) => JSON.parse(body).code

t.test('asks once, and every entrance is served with what was answered', async (t) => {
  const { login, upstream, site, goal } = await startLab(t)
  for (const entrance of ENTRANCES) {
    const headers = [
      'X-Api-Key: {{$Auth.Response.Headers.X-SESSION-token}}',
      'Authorization: Bearer <<$Auth.Response.Body.data.list[0].id>>',
    ]
    const { status, body } = await askBy(t, site, entrance, goal, { path: '/echo', headers })
    t.equal(status, 200, entrance)
    t.notMatch(body, /session-1-|the-first-of-them/, 'it is masked on its way back')
  }
  const token = `session-1-${'x'.repeat(16)}`
  for (const { headers } of upstream.requests)
    t.match(headers, { 'x-token': token, 'x-api-key': token, authorization: 'Bearer the-first-of-them' })
  t.equal(upstream.requests.length, 3)
  t.equal(login.asked.length, 1)
  t.match(login.asked[0], {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
  })
  t.same(JSON.parse(login.asked[0]?.body ?? ''), { user: 'ada', pass: PASSWORD })
})

t.test('a form, a text, headers of its own, and fields by their own names', async (t) => {
  const fields = { apiKey: 'k&y=ü', tenant: 'acme', number: 7 }
  const credentials = [{ connection: 'crm', for: 'shared', fields }]
  const form = { key: '{{$Auth.API_Key}}', tenant: '{{$Auth.tenant}}' }
  const headers = { 'X-Tenant': '{{$Auth.tenant}}', Accept: 'text/plain' }
  const one = await startLab(t, { form, headers }, { credentials })
  t.equal((await one.call()).status, 200)
  t.match(one.login.asked, [
    {
      body: 'key=k%26y%3D%C3%BC&tenant=acme',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-tenant': 'acme',
        accept: 'text/plain',
      },
    },
  ])
  const json = { n: '{{$Auth.number}}', text: 'no {{$Auth.number}}' }
  const two = await startLab(t, { json, method: 'PUT' }, { credentials })
  t.equal((await two.call()).status, 200)
  t.match(two.login.asked, [{ method: 'PUT', body: '{"n":7,"text":"no 7"}' }])
})

t.test('without a variable it needs no credential', async (t) => {
  const { login, call, site } = await startLab(t, { json: { anonymous: true } }, { credentials: [] })
  t.equal((await call()).status, 200)
  t.equal((await call([], 'ben')).status, 200)
  t.equal(login.asked.length, 1)
  const records = (await site.audit()).filter(({ event }) => event === 'use')
  t.match(records, [{ credential: 'none:crm' }, { credential: 'none:crm' }])
})

t.test('with one, each user is asked for with their own', async (t) => {
  const fields = { username: 'ada', password: PASSWORD }
  const credentials = [{ connection: 'crm', for: 'user:ada', fields }]
  const { login, call } = await startLab(t, {}, { credentials, source: 'per-user' })
  t.equal((await call()).status, 200)
  t.equal(code(await call([], 'ben')), 'credential_missing')
  t.equal(login.asked.length, 1)
})

t.test('is asked again ahead of the end, and where the upstream says 401', async (t) => {
  const lab = await startLab(t)
  await lab.call()
  lab.pass(29_000)
  await lab.site.settle()
  await lab.call()
  t.equal(lab.login.asked.length, 1)
  lab.pass(2_000)
  await lab.site.settle()
  await lab.call()
  t.equal(lab.login.asked.length, 2)
  const refused = await askBy(t, lab.site, 'forward', lab.goal, { path: '/status/401' })
  t.equal(refused.status, 401, 'what is refused again is the answer')
  t.equal(lab.login.asked.length, 3)
  t.equal(lab.upstream.requests.filter(({ url }) => url === '/status/401').length, 2)
})

t.test('until when it serves is said in a path, a header, a JWT, or by the file', async (t) => {
  const now = 1_700_000_000_000
  const jwt = (exp: number) => `e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.c2ln`
  const answer: Answer = {
    Body: {
      in: 60,
      text: '60',
      at: now / 1000 + 60,
      ms: now + 60_000,
      date: new Date(now + 60_000).toISOString(),
      token: jwt(now / 1000 + 60),
      deep: [{ in: 60 }],
      bad: 'soon',
      no: null,
      less: -1,
      zero: 0,
      past: now / 1000 - 1,
    },
    Headers: { expires: new Date(now + 60_000).toUTCString(), 'x-in': '60' },
  }
  const at = (expires: JsonObject) => expiryOf(readExpires(expires), answer, now)
  for (const path of ['in', 'text', 'at', 'ms', 'date', 'deep[0].in'])
    t.equal(at({ path }), now + 60_000, path)
  for (const header of ['Expires', 'X-In']) t.equal(at({ header }), now + 60_000, header)
  t.equal(at({ jwt: 'token' }), now + 60_000)
  t.equal(at({ seconds: 60 }), now + 60_000)
  t.equal(expiryOf(undefined, answer, now), undefined)
  for (const one of [
    { path: 'none' },
    { path: 'no' },
    { path: 'bad' },
    { path: 'less' },
    { path: 'zero' },
    { path: 'past' },
    { header: 'none' },
    { jwt: 'bad' },
    { jwt: 'in' },
  ]) {
    const error = refusal(() => at(one as unknown as JsonObject))
    t.equal(error.code, 'refresh_failed', JSON.stringify(one))
    t.ok(error.hint)
  }
  for (const one of [
    {},
    { path: '' },
    { path: 'a b' },
    { header: 'a b' },
    { seconds: 0 },
    { seconds: '60' },
    { in: 1 },
    { path: 'a', jwt: 'b' },
    [],
    'x',
  ])
    t.equal(refusal(() => readExpires(one as JsonObject)).code, 'bad_request', JSON.stringify(one))
})

t.test(
  'what the authentication URL does wrong is refresh_failed with a next step, and holds no secret',
  async (t) => {
    const lab = await startLab(t)
    for (const [title, answer] of [
      ['refuses', (response) => response.writeHead(401).end(`{"error":"${PASSWORD} is wrong"}`)],
      [
        'refuses in what is no JSON',
        (response) => response.writeHead(401, { 'content-type': 'application/json' }).end(PASSWORD),
      ],
      ['moved', (response) => response.writeHead(302, { location: 'https://evil.example' }).end()],
      ['fails', (response) => response.writeHead(500).end(PASSWORD)],
      ['no JSON', (response) => response.setHeader('content-type', 'application/json').end(PASSWORD)],
      ['no expiry', (response) => response.end('{"data":{"token":"t"}}')],
      [
        'breaks off',
        (response) => response.writeHead(200, { 'content-length': 9 }).write('{', () => response.destroy()),
      ],
    ] as [string, (response: ServerResponse) => void][]) {
      lab.login.answer = answer
      await lab.later()
      const asked = lab.login.asked.length
      const { status, body } = await lab.call()
      t.equal(lab.login.asked.length, asked + 1, title)
      t.equal(status, 502, title)
      t.equal(JSON.parse(body).code, 'refresh_failed', title)
      t.notMatch(body, PASSWORD, title)
    }
    t.equal(code(await lab.call()), 'refresh_failed', 'and is not asked again at once')
    t.equal(lab.login.asked.length, 7)
    await lab.later()
    lab.login.answer = (response) => response.end('{"data":{},"expires_in":60}')
    t.equal(code(await lab.call()), 'placeholder_unknown', 'an answer without what is asked for')
    t.equal(lab.upstream.requests.length, 0)
  },
)

t.test('repointed, it gets no credential until that is entered again (R25)', async (t) => {
  const other = await startLogin(t)
  for (const [scope, as] of [
    ['shared', 'ben'],
    ['user:ada', 'ada'],
  ] as const) {
    const fields = { username: 'ada', password: PASSWORD }
    const credentials = [{ connection: 'crm', for: scope, fields }]
    const more = { credentials, source: scope === 'shared' ? 'shared' : 'per-user' }
    const { login, call, site, config } = await startLab(t, {}, more)
    t.equal((await call([], as)).status, 200)
    const heldBack = { ...config({ url: other.url }), credentials: undefined }
    const connection = heldBack.connections[0] as { auth: { method: string; request: JsonObject } }
    const stored = await site.context.store.connection(LOCAL, 'crm')
    if (!stored) throw new Error('no connection')
    const { url, json, ...rest } = connection.auth.request
    const put = (request: JsonObject, calls: readonly string[]) =>
      site.context.store.putConnection(LOCAL, {
        ...stored,
        methodConfig: { ...stored.methodConfig, request },
        calls,
      })
    await put({ url: other.url, json: json as JsonObject, ...rest }, [new URL(other.url).origin])
    await site.settle()
    t.equal(code(await call([], as)), 'credential_outside_audience', scope)
    await put({ url: login.url, json: { log: '{{$Auth.password}}' }, ...rest }, [new URL(login.url).origin])
    await site.settle()
    const asked = await call([], as)
    if (scope === 'shared') t.equal(asked.status, 200, 'for what the site owns the site decides')
    else
      t.equal(
        code(asked),
        'credential_outside_audience',
        "with what a user's own is asked, is theirs to approve",
      )
  }
  t.equal(other.asked.length, 0)
})

t.test('a request that makes no sense is refused when it is applied, at its place', async (t) => {
  const fine = { url: 'https://auth.example/login', json: { a: '{{$Auth.Username}}' } }
  const says = (request: unknown, expires?: Json) =>
    refusal(() =>
      separateUrl.checkConfig?.({ request: request as Json, ...(expires !== undefined && { expires }) }),
    )
  t.equal(separateUrl.checkConfig?.({ request: fine }), undefined)
  t.same(separateUrl.endpoints?.({ request: fine }), ['https://auth.example'])
  for (const [request, detail] of [
    [undefined, /says what is asked/],
    [{ ...fine, URL: 'x' }, /has no `URL`/],
    [{ ...fine, url: 'auth.example' }, /no https address/],
    [{ ...fine, url: 'http://auth.example/' }, /allowPlaintext/],
    [{ ...fine, url: 'https://u:p@auth.example/' }, /belong in the credential/],
    [{ ...fine, url: 'https://auth.example/#x' }, /fragment/],
    [{ ...fine, url: 'https://auth.example/{{$Auth.Username}}' }, /no variable/],
    [{ ...fine, url: 7 }, /is a text/],
    [{ ...fine, form: { a: 'b' } }, /one of json, form and text/],
    [{ ...fine, json: [] }, /is an object/],
    [{ url: fine.url, form: { a: 1 } }, /form\.a/],
    [{ ...fine, method: 'GET' }, /has no body/],
    [{ ...fine, method: 'post' }, /in capitals/],
    [{ ...fine, headers: [] }, /mapping/],
    [{ ...fine, headers: { Host: 'x' } }, /`host` cannot be set/],
    [{ ...fine, allowPlaintext: 'yes' }, /true or false/],
    [{ ...fine, json: { a: '{{$User.Id}}' } }, /one caller's/],
    [{ ...fine, json: { a: '{{Auth.Username}}' } }, /not a variable/],
  ] as const) {
    const error = says(request)
    t.equal(error.code, 'bad_request', String(detail))
    t.match(error.detail, detail)
  }
})
