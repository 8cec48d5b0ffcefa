import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { ROUTES, type Route } from '../../api/routes.ts'
import { everybody } from '../../operations/operation.ts'
import { makePerson } from '../kit/person.ts'
import { SECRET, startLab } from './lab.ts'

const { site, ask } = await startLab(t)
const { host } = new URL(site.consoleUrl)

/** Some address that a route answers at. */
const addressOf = ({ path }: Route) => path.replace(/\{\w+\}/g, 'something')
const labelOf = ({ method, path }: Route) => `${method} ${path}`
const hasBody = ({ method }: Route) => method === 'POST' || method === 'PUT'

/** What a route says to a request that is made by hand. */
async function raw(route: Route, fields: readonly string[], named = host): Promise<string> {
  const socket = connect(Number(new URL(site.consoleUrl).port), '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8')
  socket.on('data', (piece) => {
    answer += piece
  })
  const head = [`${route.method} /api/v1${addressOf(route)} HTTP/1.1`, `Host: ${named}`, 'Connection: close']
  socket.write([...head, ...fields, 'Content-Length: 0', '', ''].join('\r\n'))
  await once(socket, 'close')
  return answer
}

const bearer = `Authorization: Bearer ${site.keys.admin}`

t.test('every route refuses whoever shows nothing, or nothing that holds', async (t) => {
  const ends = await site.running.people.using.store.keyHolder(site.context.as, 'none')
  t.equal(ends, undefined)
  for (const route of ROUTES) {
    for (const key of [undefined, 'lcm_nonsense', `${site.keys.admin}x`]) {
      const told = await ask(route.method, addressOf(route), { as: '', key })
      t.equal(told.status, 401, labelOf(route))
      t.equal(told.json.code, 'caller_unauthenticated')
    }
    const cookie = { cookie: `__Host-locum-00000000=${site.keys.admin}` }
    t.equal((await ask(route.method, addressOf(route), { as: '', headers: cookie })).status, 401)
  }
})

t.test('every route of administrators refuses everybody else', async (t) => {
  for (const route of ROUTES.filter(({ operation }) => operation.who !== everybody)) {
    for (const as of ['ada', 'robot', 'agent']) {
      const told = await ask(route.method, addressOf(route), { as, ...(hasBody(route) ? { body: {} } : {}) })
      t.match(told, { status: 403, json: { code: 'not_allowed' } }, `${labelOf(route)} as ${as}`)
    }
  }
})

t.test('every route refuses what came through a proxy, another name, and another origin', async (t) => {
  for (const route of ROUTES) {
    for (const field of ['Via: 1.1 locum', 'Proxy-Connection: close', 'Locum-For: user:ada'])
      t.match(await raw(route, [bearer, field]), /^HTTP\/1.1 403 .*"not_allowed"/s, labelOf(route))
    t.match(await raw(route, [bearer], 'evil.example'), /^HTTP\/1.1 421 /, labelOf(route))
    for (const origin of ['https://evil.example', 'null', `http://localhost.evil.example`]) {
      const answer = await raw(route, [bearer, `Origin: ${origin}`])
      t.match(answer, /^HTTP\/1.1 403 .*"not_allowed"/s, `${labelOf(route)} from ${origin}`)
      t.notMatch(answer, /access-control/i)
    }
  }
})

t.test('every write by a session names its own origin, and no route takes a page of another', async (t) => {
  const admin = makePerson(site)
  await admin.signIn('admin')
  const cookie = [...admin.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  for (const route of ROUTES) {
    const without = await ask(route.method, addressOf(route), { as: '', headers: { cookie } })
    if (route.method === 'GET') t.not(without.status, 401, labelOf(route))
    else t.match(without, { status: 403, json: { code: 'not_allowed' } }, labelOf(route))
    const headers = { cookie, origin: 'https://evil.example' }
    t.equal((await ask(route.method, addressOf(route), { as: '', headers })).status, 403, labelOf(route))
  }
  const headers = { cookie, origin: site.consoleUrl }
  t.match(await ask('POST', '/principals', { as: '', headers, body: { id: 'eve' } }), { status: 201 })
  const [change] = (await site.audit()).filter(({ subject }) => subject === 'eve')
  t.match(change, { caller: 'admin', actor: 'human', via: 'session', operation: 'principal.add' })
})

t.test('a service asks with its key, and cannot sign in; the audit says that it was one', async (t) => {
  t.match(await ask('POST', '/principals', { as: 'ops', body: { id: 'kim' } }), { status: 201 })
  const change = (await site.audit()).find(({ subject }) => subject === 'kim')
  t.match(change, { caller: 'ops', actor: 'service', via: 'key', outcome: 'done' })
})

t.test('answers under the headers of every page, and none lets another origin read', async (t) => {
  for (const path of ['/me', '/openapi.json', '/nothing', '/principals/nobody']) {
    const { headers } = await ask('GET', path)
    t.match(headers, {
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
    t.notOk(
      Object.keys(headers).some((name) => name.startsWith('access-control')),
      path,
    )
  }
})

t.test('what is not there, and what is not understood, is said as such', async (t) => {
  t.match(await ask('GET', '/nothing'), { status: 404, json: { code: 'not_found' } })
  t.match(await ask('GET', '/principals/nobody'), { status: 404, json: { code: 'not_found' } })
  t.match(await ask('GET', '/credentials/cred_none'), { status: 404 })
  t.match(await ask('DELETE', '/principals'), { status: 405, headers: { allow: 'GET, HEAD, POST' } })
  t.match(await ask('GET', '/principals/%zz'), { status: 400 })
  t.match(await ask('GET', '/principals/a%2F..%2Fb'), { status: 400, json: { code: 'bad_request' } })
  t.match(await ask('GET', '/site?x=1'), { status: 400, json: { detail: /`x`: unknown key/ } })
  t.match(await ask('GET', '/providers/idp/trust-policy?principal=a&principal=b'), { status: 400 })
  const type = { 'content-type': 'text/plain' }
  t.match(await ask('POST', '/principals', { body: '{"id":"zoe"}', headers: type }), { status: 400 })
  for (const body of [
    '',
    '[]',
    'null',
    '"x"',
    '{',
    '{"id":"x","id2":1}',
    '{"__proto__":{"admin":true},"id":"x"}',
  ])
    t.match(await ask('POST', '/principals', { body }), { status: 400, json: { code: 'bad_request' } }, body)
  t.match(await ask('POST', '/principals/ada/disable', { body: { id: 'bob' } }), {
    status: 400,
    json: { detail: /`id`: it stands in the address/ },
  })
  t.match(await ask('POST', '/principals', { body: { id: 'x', profile: 'x'.repeat(70_000) } }), {
    status: 413,
  })
  const deep = `{"connection":"stripe","for":"shared","fields":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`
  t.match(await ask('POST', '/credentials', { body: deep }), {
    status: 400,
    json: { detail: /nested too deeply/ },
  })
  const half = '{"id":"half","profile":"\\ud800"}'
  t.match(await ask('POST', '/principals', { body: half }), {
    status: 400,
    json: { detail: /half a character/ },
  })
})

t.test('nobody is asked for a body before it is known who asks', async (t) => {
  const socket = connect(Number(new URL(site.consoleUrl).port), '127.0.0.1')
  socket.write(
    `POST /api/v1/apply HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n`,
  )
  const [answer] = await once(socket, 'data')
  t.match(String(answer), /^HTTP\/1.1 401 /)
  socket.destroy()
})

t.test('the nastiest texts are kept as they are, or refused as what they are', async (t) => {
  const texts = [
    '<script>alert(1)</script>',
    "'; DROP TABLE principals; --",
    '$Auth.API_Key {{$Auth.API_Key}} <<$Auth.API_Key>>',
    '../../etc/passwd',
    '\u202eevil\u2066',
    'ℌ𝕖𝕝𝕝𝕠 😈',
    '__proto__',
    'constructor',
    '%00%0d%0a',
    'a'.repeat(128),
  ]
  for (const [i, profile] of texts.entries()) {
    t.match(
      await ask('POST', '/principals', { body: { id: `nasty${i}`, profile } }),
      { status: 201 },
      profile,
    )
    const told = await ask('GET', `/principals/nasty${i}`)
    t.equal(told.json.profile, profile)
    t.match(told.headers['content-type'], /^application\/json/)
  }
  for (const profile of ['', 'a\r\nSet-Cookie: x', 'a\u0000b', '\u001b[2J', 'a'.repeat(129)])
    t.match(await ask('POST', '/principals', { body: { id: 'nasty', profile } }), { status: 400 })
  for (const id of ['', '.'.repeat(129), 'a b', 'a/b', 'ä', 'a\n', '$(x)'])
    t.match(await ask('POST', '/principals', { body: { id } }), { status: 400 }, id)
  t.same(await site.verify(), [])
})

t.test('no answer of any route holds a secret', async (t) => {
  for (const { path } of ROUTES.filter(({ method }) => method === 'GET')) {
    for (const name of ['stripe', 'crm', 'idp', 'reports', 'ada']) {
      const { text } = await ask('GET', path.replace(/\{\w+\}/, name))
      t.notMatch(text, SECRET, path)
      for (const key of Object.values(site.keys)) t.notOk(text.includes(key), path)
    }
  }
})
