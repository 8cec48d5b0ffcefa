import t from 'tap'
import { explainRequest } from '../../operations/explain.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const KEY = 'sk_live_7f3a9c51e0b24d86'
const HMAC = '{{hex(hmac($Auth.API_Key, "v1:" + $User.Id))}}'

const upstream = await startUpstream(t)
const connection = (name: string, more: object) => connectionTo(upstream, { name, ...more })
const config = (more: object = {}) => ({
  principals: [
    { id: 'ada', kind: 'user', email: 'ada@example.com' },
    { id: 'ben', kind: 'user' },
  ],
  connections: [
    connection('signed', {
      headers: { 'X-Signature': HMAC, 'X-Request-Id': '{{uuid()}}' },
      query: { at: '{{int(now())}}' },
      body: { json: { who: '{{has($User.Email) ? {"mail": $User.Email} : {"id": $User.Id}}}' } },
    }),
    connection('tenant', { base: `${upstream.origin}/t/{{$User.Id.upperAscii()}}/` }),
    connection('mail', { headers: { 'X-Mail': '{{$User.Email.upperAscii()}}' } }),
  ],
  credentials: [{ connection: 'signed', for: 'shared', fields: { apiKey: KEY } }],
  ...more,
})
const site = await startSite(t, config())

const ask = (name: string, path: string, more: Parameters<typeof askBy>[4] = {}) =>
  askBy(t, site, 'gateway', { ...upstream, name }, { path, ...more })
const last = () => upstream.requests.at(-1)

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: what a formula makes goes upstream, and does not come back`, async (t) => {
    const goal = { ...upstream, name: 'signed' }
    const { status, body } = await askBy(t, site, entrance, goal, {
      path: '/echo',
      headers: ['Locum-Connection: signed'],
    })
    t.equal(status, 200, body)
    const made = String(last()?.headers['x-signature'])
    t.match(made, /^[0-9a-f]{64}$/)
    t.notMatch(body, made)
    t.notMatch(body, KEY)
    t.match(JSON.parse(body).headers['x-signature'], /^\*{64}$/)
  })
}

t.test('now() and uuid() are others for each request', async (t) => {
  const seen = new Set<unknown>()
  for (let i = 0; i < 3; i++) {
    await ask('signed', '/echo')
    seen.add(last()?.headers['x-request-id'])
  }
  t.equal(seen.size, 3)
  t.match(last()?.url, /\?at=\d{10}$/)
})

t.test('a formula that stands alone in JSON keeps its type, and may do without a value', async (t) => {
  const asked = { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a":1}' }
  await ask('signed', '/echo', asked)
  t.equal(last()?.body, '{"a":1,"who":{"mail":"ada@example.com"}}')
  await ask('signed', '/echo', { ...asked, as: 'ben' })
  t.equal(last()?.body, '{"a":1,"who":{"id":"ben"}}')
})

t.test('a base leads where a formula says, each caller to their own', async (t) => {
  await ask('tenant', '/echo')
  t.equal(last()?.url, '/t/ADA/echo')
  await ask('tenant', '/echo', { as: 'ben' })
  t.equal(last()?.url, '/t/BEN/echo')
})

t.test('where a formula has no value nothing is sent, and `explain` says the same', async (t) => {
  const before = upstream.requests.length
  const { status, body } = await ask('mail', '/echo', { as: 'ben' })
  t.equal(status, 400)
  t.match(JSON.parse(body), { code: 'placeholder_unknown', detail: /`\$User\.Email` has no value/ })
  t.equal(upstream.requests.length, before)
  const question = { method: 'GET', url: '/c/mail/echo' }
  t.equal((await site.run(explainRequest, { ...question, as: 'ben' })).error?.code, 'placeholder_unknown')
  const fine = await site.run(explainRequest, { ...question, as: 'ada' })
  t.equal(fine.error, undefined)
  t.match(fine.sets, [{ header: 'X-Mail', variables: ['$User.Email'] }])
})

t.test('a base that would be another one each time is refused when it is applied', async (t) => {
  const wrong = connection('random', { base: `${upstream.origin}/{{uuid()}}/` })
  await t.rejects(site.apply(config({ connections: [wrong], credentials: [] })), {
    message: /cannot be another one each time/,
  })
})

t.test('what a formula draws on is checked against the method when it is applied', async (t) => {
  const wrong = connection('odd', { headers: { 'X-Note': '{{$Auth.Password.upperAscii()}}' } })
  await t.rejects(site.apply(config({ connections: [wrong], credentials: [] })), {
    message: /unknown variable \$Auth\.Password; `api-key` has \$Auth\.API_Key/,
  })
})

t.test('a client writes no formula', async (t) => {
  const before = upstream.requests.length
  const headers = ['Authorization: Bearer {{$Auth.API_Key.upperAscii()}}']
  const { body } = await ask('signed', '/echo', { headers })
  t.equal(JSON.parse(body).code, 'placeholder_unknown')
  t.equal(upstream.requests.length, before)
})
