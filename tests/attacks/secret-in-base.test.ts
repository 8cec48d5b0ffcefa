import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const TOKEN = 'tok_9b1c77aa20f4'
const LABEL = 'b'

const upstream = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada', kind: 'user' }],
  connections: [
    connectionTo(upstream, {
      name: 'bot',
      auth: { method: 'raw' },
      base: `${upstream.origin}/bot{{$Auth.token}}/`,
      allow: { paths: ['/bot*/send*'] },
    }),
    connectionTo(upstream, {
      name: 'tenant',
      destinations: [`https://*.tenants.localhost:${upstream.port}`],
      ownedWildcard: true,
      auth: { method: 'raw' },
      base: `https://{{$Auth.label}}.tenants.localhost:${upstream.port}/`,
      allow: { paths: ['/send*'] },
    }),
    connectionTo(upstream, {
      name: 'unowned',
      destinations: [`https://*.tenants.localhost:${upstream.port}`],
      auth: { method: 'raw' },
      base: `https://{{$Auth.label}}.tenants.localhost:${upstream.port}/`,
    }),
  ],
  credentials: [
    { connection: 'bot', for: 'shared', fields: { token: TOKEN } },
    { connection: 'tenant', for: 'shared', fields: { label: LABEL } },
    { connection: 'unowned', for: 'shared', fields: { label: LABEL } },
  ],
})

const ask = (name: string, path: string) => askBy(t, site, 'gateway', { ...upstream, name }, { path })

t.test('a secret that a base holds does not come back', async (t) => {
  const answer = await ask('bot', '/sendMessage')
  t.equal(upstream.requests.at(-1)?.url, `/bot${TOKEN}/sendMessage`)
  t.match(JSON.parse(answer.body).url, /^\/bot\*+\/sendMessage$/)
  const moved = await ask('bot', `/send/redirect?to=/bot${encodeURIComponent(TOKEN)}/send/there`)
  t.equal(moved.headers.location, '/c/bot/send/there')
})

t.test('no refusal tells what a base was drawn from', async (t) => {
  t.equal((await ask('bot', '/other')).status, 403)
  for (const [name, path, status] of [
    ['tenant', '/other', 403],
    ['tenant', '/send', 502],
    ['unowned', '/send', 424],
  ] as const) {
    const answer = await ask(name, path)
    t.equal(answer.status, status)
    t.notMatch(JSON.stringify(answer), `${LABEL}.tenants`)
  }
})

t.test('the audit never holds what a base was drawn from', async (t) => {
  const records = await site.audit()
  const text = JSON.stringify(records)
  t.notMatch(text, TOKEN)
  t.notMatch(text, `${LABEL}.tenants`)
  t.match(
    records.filter(({ event }) => event === 'use'),
    [
      { path: '/bot*/sendMessage', destination: upstream.origin },
      { path: '/bot*/send/redirect' },
      { destination: `https://*.tenants.localhost:${upstream.port}`, path: '/send' },
    ],
  )
})
