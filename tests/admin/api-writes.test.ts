import t from 'tap'
import type { Told } from '../kit/api.ts'
import { makeAsk } from '../kit/api.ts'
import { makePerson } from '../kit/person.ts'
import { SECRET, startLab } from './lab.ts'

const DAY = 86_400_000

t.test('a write with the tag of what was read happens, and no other', async (t) => {
  const { ask, bound } = await startLab(t)
  const tag = async (path: string) => (await ask('GET', path)).headers.etag as string
  const first = await tag('/principals/bob')
  t.match(first, /^"1-[\w-]{16}"$/)
  const match = (tag: string) => ({ headers: { 'if-match': tag } })
  t.equal((await ask('GET', '/principals/bob', { headers: { 'if-none-match': first } })).status, 304)
  t.match(await ask('POST', '/principals/bob/disable', match(first)), { status: 200, json: { version: 2 } })
  const late = await ask('POST', '/principals/bob/rotate-key', match(first))
  const now = await tag('/principals/bob')
  t.match(late, { status: 412, json: { code: 'outdated', status: 412 } })
  t.ok(late.json.detail.includes(now), 'it says what is there now')
  t.match(await ask('POST', '/principals/bob/enable', match(`"0-other", ${now}`)), { status: 200 })
  t.match(await ask('POST', '/principals/bob/enable', match('*')), { status: 200 })
  t.match(await ask('POST', '/principals/nobody/enable', match('*')), { status: 412 })

  // Disabling is no new version of a credential, and another tag all the same.
  const id = await bound('stripe', 'shared')
  const before = await tag(`/credentials/${id}`)
  await ask('POST', `/credentials/${id}/disable`)
  t.not(await tag(`/credentials/${id}`), before)
  t.match(await ask('POST', `/credentials/${id}/enable`, match(before)), { status: 412 })
  const schema = { type: 'object', properties: { token: { type: 'string' } } }
  await ask('PUT', '/types/crm', { body: { schema } })
  t.match(await ask('DELETE', '/types/crm', match('"1-nothing"')), { status: 412 })
  t.match(await ask('DELETE', '/types/crm', match(await tag('/types/crm'))), { status: 204 })
  t.match(await ask('POST', '/principals', { body: { id: 'zoe' }, ...match('*') }), {
    status: 400,
    json: { detail: /`If-Match` means nothing here/ },
  })
})

t.test('of two writes with one tag one happens', async (t) => {
  const { ask } = await startLab(t)
  const { etag } = (await ask('GET', '/principals/ada')).headers
  const headers = { 'if-match': String(etag) }
  const both = await Promise.all([1, 2, 3, 4].map(() => ask('POST', '/principals/ada/disable', { headers })))
  t.same(both.map(({ status }) => status).sort(), [200, 412, 412, 412])
})

t.test('a list is read page by page, and what comes and goes meanwhile moves nothing else', async (t) => {
  const { ask } = await startLab(t)
  for (const id of ['p10', 'p20', 'p30', 'p40', 'p50']) await ask('POST', '/principals', { body: { id } })
  const all = (await ask('GET', '/principals')).json.items.map(({ id }: { id: string }) => id)
  t.same(all, [...all].sort())
  const seen: string[] = []
  let path: string | undefined = '/principals?limit=2'
  let pages = 0
  while (path !== undefined) {
    const { json, headers }: Told = await ask('GET', path)
    t.ok(json.items.length <= 2)
    seen.push(...json.items.map(({ id }: { id: string }) => id))
    if (json.next) t.equal(headers.link, `<${json.next}>; rel="next"`)
    path = json.next?.slice('/api/v1'.length)
    // One before what was read, one behind it; and the one that was read last goes.
    if (++pages === 4) {
      await ask('POST', '/principals', { body: { id: 'a-late' } })
      await ask('POST', '/principals', { body: { id: 'p99' } })
    }
  }
  t.same(seen, [...all, 'p99'].sort(), 'each once, and the late one that belongs behind')
  for (const query of ['limit=0', 'limit=501', 'limit=x', 'cursor=x', 'cursor=', 'limit=1.5'])
    t.match(await ask('GET', `/principals?${query}`), { status: 400, json: { code: 'bad_request' } }, query)
  const { next } = (await ask('GET', '/principals?limit=1')).json
  const cursor = new URL(next, 'http://x').searchParams.get('cursor')
  t.match(await ask('GET', `/connections?cursor=${cursor}`), { status: 400, json: { detail: /`cursor`/ } })
})

t.test('records of the audit are read back from the newest', async (t) => {
  const { ask, site } = await startLab(t)
  const every: string[] = []
  let path: string | undefined = '/audit?limit=3'
  while (path !== undefined) {
    const { json } = await ask('GET', path)
    every.push(...json.records.map(({ at, seq }: { at: string; seq: number }) => `${at} ${seq}`))
    path = json.before && `/audit?limit=3&before=${json.before}`
    // What comes meanwhile is newer than all of it.
    await ask('POST', '/principals/ada/enable')
  }
  const known = (await site.audit())
    .filter(({ event }) => !event.startsWith('rows'))
    .map(({ at, seq }) => `${at} ${seq}`)
  const before = known.slice(0, every.length)
  t.same(every.toReversed(), before)
  t.match(await ask('GET', '/audit?before=nothing:1'), { status: 400 })
  t.match(await ask('GET', '/audit?limit=99999'), { status: 400 })
})

t.test('what is asked again with its key is done once, and answered the same', async (t) => {
  let at = Date.now()
  const { ask, site } = await startLab(t, { clock: { now: () => at } })
  const headers = { 'idempotency-key': 'one' }
  const body = { id: 'eve' }
  const first = await ask('POST', '/principals', { body, headers })
  t.match(first, { status: 201, json: { key: /^lcm_/ } })
  const again = await Promise.all([1, 2, 3].map(() => ask('POST', '/principals', { body, headers })))
  for (const one of again)
    t.same([one.status, one.text, one.headers.location], [201, first.text, '/api/v1/principals/eve'])
  const changes = (await site.audit()).filter(({ subject, event }) => event === 'change' && subject === 'eve')
  t.equal(changes.length, 1)
  t.match(await ask('POST', '/principals', { body: { id: 'other' }, headers }), {
    status: 409,
    json: { code: 'conflict' },
  })
  t.match(await ask('GET', '/principals/other'), { status: 404 })

  // Elsewhere, and for others, the same key is another.
  t.match(
    await ask('POST', '/credentials', {
      headers,
      body: { connection: 'own', for: 'shared', fields: { apiKey: SECRET } },
    }),
    { status: 200 },
  )
  t.match(await ask('POST', '/principals', { body, headers, as: 'ops' }), {
    status: 400,
    json: { detail: /already/ },
  })

  // An answer that says no is not kept.
  const no = { 'idempotency-key': 'two' }
  t.match(await ask('POST', '/principals/zoe/enable', { headers: no }), { status: 404 })
  await ask('POST', '/principals', { body: { id: 'zoe' } })
  t.match(await ask('POST', '/principals/zoe/enable', { headers: no }), { status: 200 })
  at += DAY - 1000
  t.equal((await ask('POST', '/principals', { body, headers })).text, first.text)
  at += 1000
  t.match(await ask('POST', '/principals', { body, headers }), { status: 400, json: { detail: /already/ } })
  for (const key of ['', 'a b', 'x'.repeat(256), 'ä'])
    t.match(
      await ask('POST', '/principals', { body, headers: { 'idempotency-key': key } }),
      { status: 400 },
      key,
    )
  t.match(await ask('PUT', '/types/x', { body: { schema: {} }, headers }), {
    status: 400,
    json: { detail: /means nothing/ },
  })
})

t.test('of many at once with one key one is done', async (t) => {
  const { ask, site } = await startLab(t)
  const headers = { 'idempotency-key': 'rotate' }
  const told = await Promise.all(
    [1, 2, 3, 4, 5].map(() => ask('POST', '/principals/bob/rotate-key', { headers })),
  )
  t.equal(new Set(told.map(({ text }) => text)).size, 1)
  t.equal((await site.audit()).filter(({ operation }) => operation === 'principal.rotate-key').length, 1)
})

t.test('whoever takes up an administrator’s id is not told what that one was told (R28)', async (t) => {
  const { ask, site } = await startLab(t)
  const headers = { 'idempotency-key': 'known' }
  await ask('POST', '/principals', { body: { id: 'boss', admin: true } })
  const { key } = (await ask('POST', '/principals/boss/rotate-key')).json
  const told = await ask('POST', '/principals/ada/rotate-key', { headers, key })
  t.match(told, { status: 200, json: { key: String } })
  const taken = (await ask('POST', '/principals/boss/rotate-key')).json.key
  const again = await ask('POST', '/principals/ada/rotate-key', { headers, key: taken })
  t.not(again.json.key, told.json.key)
  t.equal((await ask('POST', '/principals/ada/rotate-key', { headers, key })).status, 401)
  t.notMatch(JSON.stringify(await site.audit()), told.json.key)
})

t.test('no administrator reaches a user’s credential by any door of the API (R28)', async (t) => {
  const { ask, bound, site } = await startLab(t)
  const id = await bound('crm', 'user:ada')
  const fields = async () => (await ask('GET', `/credentials/${id}`)).json.fields.length
  t.equal(await fields(), 2)
  const apply = (text: string, more: object = {}) =>
    ask('POST', '/apply', { body: { file: 'x.yaml', text, ...more } })

  // To try it for them; to make somebody who acts for them; to name them.
  t.match(await ask('POST', '/connections/crm/test', { body: { as: 'ada' } }), {
    status: 403,
    json: { code: 'not_allowed', hint: String },
  })
  t.match(
    await ask('POST', '/connections/open/test', { body: { as: 'robot' } }),
    { status: 200 },
    'a service is no user',
  )
  const acting = { id: 'spy', kind: 'service', mayActFor: ['user:ada'] }
  t.match(await ask('POST', '/principals', { body: acting }), { status: 403, json: { hint: /data folder/ } })
  t.match(await apply('name: x\nprincipals: [{ id: spy, kind: service, mayActFor: ["user:*"] }]'), {
    status: 403,
  })
  t.match(await ask('POST', '/principals/agent/rotate-key'), { status: 403 })
  const session = { for: 'user:ada', origin: 'https://app.example' }
  t.match(await ask('POST', '/sessions', { body: session }), { status: 403 })
  t.match(await ask('GET', '/me', { headers: { 'locum-for': 'user:ada' } }), { status: 403 })
  t.match(await ask('DELETE', `/credentials/${id}`), { status: 403 })
  const other = { connection: 'crm', for: 'user:ada', fields: { username: 'ada', password: SECRET } }
  t.match(await ask('POST', '/credentials', { body: other }), { status: 403 })
  t.match(await ask('POST', `/credentials/${id}/share`, { body: { project: 'north' } }), { status: 403 })
  t.match(await ask('POST', `/credentials/${id}/use`, { body: { connection: 'crm', for: 'user:admin' } }), {
    status: 403,
  })
  t.match(await ask('POST', `/credentials/${id}/give`, { body: { to: 'admin' } }), { status: 403 })
  const theirs =
    'name: x\ncredentials: [{ connection: own, for: "user:bob", fields: { apiKey: { env: MINE } } }]'
  t.match(await apply(theirs, { env: { MINE: SECRET } }), { status: 403 })
  t.equal(await fields(), 2, 'nothing so far has touched it')

  // A key of theirs, given by whatever door, costs the credential.
  const kept = await site.context.store.credential(site.context.as, id)
  t.match((await ask('POST', '/principals/ada/rotate-key')).json, { suspended: [id] })
  t.equal(await fields(), 0)
  t.match(await ask('POST', `/credentials/${id}/enable`), { status: 403 })
  t.not(kept?.sealed, {})
})

t.test('a file that is sent reads nothing of the server, and takes what came with it', async (t) => {
  const { ask, site } = await startLab(t, { env: { SERVER_SECRET: SECRET } })
  const apply = (text: string, more: object = {}) =>
    ask('POST', '/apply', { body: { file: 'x.yaml', text: `name: x\n${text}`, ...more } })
  const reads = [
    'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { env: SERVER_SECRET } } }]',
    'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { env: PATH } } }]',
    'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { env: __proto__ } } }]',
    'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { file: /etc/hostname } } }]',
    'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { file: constructor } } }]',
    'principals: [{ id: eve, key: { file: /etc/hostname } }]',
    'principals: [{ id: eve, key: { env: HOME } }]',
    'connections: [{ name: c, destinations: ["https://c.example"], auth: { method: none }, ca: /etc/ssl/certs/ca-certificates.crt }]',
    'providers: [{ name: p, method: oauth2, grant: client_credentials, tokenEndpoint: "https://p.example/t", clientId: a, clientSecret: { env: HOME } }]',
    `connections: [{ name: c, destinations: ["https://c.example"], auth: { method: none }, ca: ${site.caFile} }]`,
  ]
  for (const text of reads)
    t.match(
      await apply(text),
      {
        status: 400,
        json: { code: 'bad_request', detail: /^x\.yaml:2:\d+: .*(?:is not set|was not sent with the file)/ },
      },
      text,
    )
  // What it says to `serve` alone is nobody's here, with what that refers to.
  const serving =
    'listen: { console: { address: "0.0.0.0:1", tls: { cert: /etc/hostname, key: /etc/hostname } } }'
  t.match(await apply(serving), { status: 200, json: { changes: [] } })
  const sent = 'credentials: [{ connection: own, for: "user:robot", fields: { apiKey: { env: MINE } } }]'
  t.match(await apply(sent, { env: { MINE: SECRET } }), {
    status: 200,
    json: { changes: [{ action: 'create', kind: 'credential' }] },
  })
  t.match(await apply(sent, { env: { MINE: SECRET } }), { status: 200, json: { changes: [] } })
  for (const more of [{ file: '' }, { file: 'a\nb' }, { text: 7 }, { files: { a: 1 } }, { env: [] }])
    t.match(await apply(sent, more), { status: 400 }, JSON.stringify(more))
  t.notMatch(JSON.stringify(await site.audit()), SECRET)
})

t.test('a user sees to their own credentials, and to nothing of others', async (t) => {
  const { ask, bound } = await startLab(t)
  t.match((await ask('GET', '/me', { as: 'ada' })).json, {
    id: 'ada',
    kind: 'user',
    profile: 'sales',
    admin: false,
  })
  const usable = async (as: string) =>
    (await ask('GET', '/connections', { as })).json.items.map(({ name }: { name: string }) => name)
  t.ok((await usable('ada')).includes('crm'))
  t.notOk((await usable('bob')).includes('crm'))
  const enter = (as: string, connection: string, fields: object) =>
    ask('POST', '/credentials', { as, body: { connection, for: `user:${as}`, fields } })
  t.match(await enter('bob', 'crm', { username: 'bob', password: SECRET }), {
    status: 404,
    json: { code: 'not_found' },
  })
  t.match(await enter('bob', 'nothing', { apiKey: SECRET }), { status: 404 })
  const first = await enter('bob', 'own', { apiKey: SECRET })
  t.match(first, {
    status: 200,
    json: {
      owner: 'user:bob',
      version: 1,
      state: 'ready',
      bindings: [{ connection: 'own', for: 'user:bob' }],
    },
  })
  t.match((await enter('bob', 'own', { apiKey: `${SECRET}2` })).json, { id: first.json.id, version: 2 })
  const { id } = first.json
  for (const as of ['ada', 'robot']) {
    t.match(await ask('GET', `/credentials/${id}`, { as }), { status: 404 })
    t.match(await ask('DELETE', `/credentials/${id}`, { as }), { status: 404 })
  }
  const shared = await bound('stripe', 'shared')
  t.match(await ask('DELETE', `/credentials/${shared}`, { as: 'bob' }), { status: 404 })
  t.match(
    await ask('DELETE', `/credentials/${await bound('crm', 'user:ada')}`, { as: 'ada' }),
    { status: 403 },
    'a file has it',
  )
  t.match(await ask('DELETE', `/credentials/${id}`, { as: 'bob' }), { status: 200, json: { id } })
  t.match(await ask('GET', `/credentials/${id}`, { as: 'bob' }), { status: 404 })
  t.match(await ask('POST', '/connections/crm/test', { as: 'bob' }), { status: 404 })
  t.match(await ask('POST', '/connections/own/test', { as: 'bob', body: { as: 'ada' } }), { status: 403 })
})

t.test('a key that was lent or given to a page asks nothing, nor does one that is over', async (t) => {
  const { ask, site } = await startLab(t)
  const page = await ask('POST', '/sessions', {
    as: 'ada',
    body: { for: 'user:ada', origin: 'https://app.example' },
  })
  t.equal(page.status, 201)
  t.equal((await ask('GET', '/me', { key: page.json.key })).status, 401)
  const ada = makePerson(site)
  await ada.signIn('ada')
  const [cookie = ''] = [...ada.cookies.values()]
  t.equal((await ask('GET', '/me', { key: cookie })).status, 401, 'a session is no key')
  await ask('POST', '/principals/bob/disable')
  t.equal((await ask('GET', '/me', { as: 'bob' })).status, 401)
  t.equal((await makeAsk(site)('GET', '/me', { as: 'ada' })).status, 200)
})
