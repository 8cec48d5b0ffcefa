import t from 'tap'
import { disablePrincipal, revokePrincipal, rotatePrincipalKey } from '../../operations/principals.ts'
import { ASKS, connectionTo } from '../kit/echo-site.ts'
import { secure } from '../kit/listener.ts'
import { untouchedTo } from '../kit/passing.ts'
import { askBy, ENTRANCES, openTunnel, type RawResponse, sendBy, sendConnect } from '../kit/raw.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const code = ({ body }: RawResponse): unknown => JSON.parse(body).code
const forUser = (id: string) => `Locum-For: user:${id}`

const PRINCIPALS = [
  { id: 'billing', kind: 'service', mayActFor: ['user:*'] },
  { id: 'desk', kind: 'service', mayActFor: ['user:ada', 'profile:support'] },
  { id: 'ada', profile: 'sales', email: 'ada@example.com' },
  { id: 'ben', profile: 'support' },
  { id: 'root', admin: true, profile: 'sales' },
]

/** A connection for sales and support with a credential of each user's own; `other` shares one with all. */
async function openSite(t: Teardown, principals: readonly object[] = PRINCIPALS, more: object = {}) {
  const upstream = await startUpstream(t)
  const config = (list: readonly object[]) => ({
    principals: list,
    connections: [
      connectionTo(upstream, {
        source: 'per-user',
        headers: { 'X-User': '{{$User.Id}}', 'X-Session': '{{$Api.Session_Id}}' },
        allow: { profiles: ['sales', 'support'] },
      }),
    ],
    credentials: ['ada', 'ben'].map((id) => ({
      connection: 'echo',
      for: `user:${id}`,
      fields: { apiKey: `the-key-of-${id}-alone` },
    })),
    ...more,
  })
  const site = await startSite(t, config(principals))
  const seen = () => upstream.requests.at(-1)?.headers ?? {}
  const reapply = async (list: readonly object[]) => {
    await site.apply(config(list))
    await site.settle()
  }
  return { site, upstream, goal: { ...upstream, name: 'echo' }, seen, reapply }
}

t.test('a request is served as the user whom Locum-For names, and the audit names both', async (t) => {
  const { site, goal, seen } = await openSite(t)
  for (const entrance of ENTRANCES) {
    for (const id of ['ada', 'ben', 'ada']) {
      const asked = { as: 'billing', headers: [ASKS, forUser(id)] }
      t.equal((await askBy(t, site, entrance, goal, asked)).status, 200, `${entrance} ${id}`)
      t.equal(seen().authorization, `Bearer the-key-of-${id}-alone`)
      t.equal(seen()['x-user'], id)
      t.notOk(
        Object.keys(seen()).some((name) => name.startsWith('locum')),
        'no upstream hears of it',
      )
    }
  }
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.equal(uses.length, 9)
  t.ok(uses.every((use) => use.caller === 'billing' && use.via === 'key'))
  t.strictSame(
    uses.map((use) => use.for),
    Array.from({ length: 3 }, () => ['ada', 'ben', 'ada']).flat(),
  )
  t.ok(uses.every((use) => use.scope === `user:${use.for}`))
  t.strictSame(await site.verify(), [])
})

t.test('each pair of a caller and a user has a session of its own', async (t) => {
  const { site, goal, seen } = await openSite(t)
  const sessions = new Set<unknown>()
  for (const [as, headers] of [
    ['billing', [forUser('ada')]],
    ['billing', [forUser('ben')]],
    ['desk', [forUser('ada')]],
    ['ada', []],
  ] as const) {
    t.equal((await askBy(t, site, 'forward', goal, { as, headers: [ASKS, ...headers] })).status, 200)
    sessions.add(seen()['x-session'])
  }
  t.equal(sessions.size, 4)
})

t.test('who may not act for that user is refused, and learns nothing of who is there', async (t) => {
  const { site, upstream, goal } = await openSite(t)
  await site.run(disablePrincipal, { id: 'ben' })
  await site.settle()
  const details = new Set<unknown>()
  for (const entrance of ENTRANCES) {
    for (const [as, id] of [
      ['billing', 'nobody'],
      ['billing', 'ben'],
      ['billing', 'desk'],
      ['desk', 'root'],
      ['desk', 'nobody'],
      ['desk', 'desk'],
    ] as const) {
      const response = await askBy(t, site, entrance, goal, { as, headers: [ASKS, forUser(id)] })
      t.equal(response.status, 403, `${entrance}: ${as} for ${id}`)
      t.equal(code(response), 'not_allowed')
      details.add(JSON.parse(response.body).detail)
    }
    for (const as of ['ada', 'root'])
      t.equal(
        code(await askBy(t, site, entrance, goal, { as, headers: [ASKS, forUser('ada')] })),
        'not_allowed',
      )
    for (const headers of [
      ['Locum-For: ada'],
      ['Locum-For: user:'],
      ['Locum-For: user:a b'],
      ['Locum-For: user:*'],
      ['Locum-For: service:desk'],
      [forUser('ada'), forUser('ada')],
    ]) {
      const response = await askBy(t, site, entrance, goal, { as: 'billing', headers: [ASKS, ...headers] })
      t.equal(code(response), 'bad_request', `${entrance}: ${headers}`)
    }
  }
  t.equal(details.size, 1)
  t.equal(upstream.bytes.length, 0)
  const refused = (await site.audit()).filter(
    ({ event, code }) => event === 'refused' && code === 'not_allowed',
  )
  t.ok(
    refused.some((one) => one.caller === 'desk' && one.for === 'nobody'),
    'the audit has who tried',
  )
  t.ok(refused.some((one) => one.caller === 'ada' && one.for === 'ada'))
})

t.test('whom a profile or an id names may be acted for, and nobody else', async (t) => {
  const { site, goal, seen, reapply } = await openSite(t)
  for (const id of ['ada', 'ben']) {
    t.equal((await askBy(t, site, 'gateway', goal, { as: 'desk', headers: [ASKS, forUser(id)] })).status, 200)
    t.equal(seen()['x-user'], id)
  }
  await reapply(PRINCIPALS.map((one) => (one.id === 'ben' ? { ...one, profile: 'sales' } : one)))
  const moved = await askBy(t, site, 'gateway', goal, { as: 'desk', headers: [ASKS, forUser('ben')] })
  t.equal(code(moved), 'not_allowed', 'ben left the profile')
})

t.test('the rights are the user’s: the caller’s own neither add to them nor take away', async (t) => {
  const { site, goal } = await openSite(t, [...PRINCIPALS, { id: 'cyd', profile: 'ops' }])
  t.equal((await askBy(t, site, 'forward', goal, { as: 'billing', headers: [ASKS] })).status, 403)
  const served = await askBy(t, site, 'forward', goal, { as: 'billing', headers: [ASKS, forUser('cyd')] })
  t.equal(code(served), 'not_allowed', 'the connection is not for the profile of cyd')
})

t.test('a tunnel that was opened for a user is for no other', async (t) => {
  const { site, goal, seen } = await openSite(t)
  const lines = `Proxy-Authorization: Bearer ${site.keys.billing}\r\n`
  const open = async (id: string) => {
    const client = await sendConnect(t, site.port, goal.authority, `${lines}${forUser(id)}\r\n`)
    const { status } = await client.response(true)
    return { client, status }
  }
  const { client, status } = await open('ada')
  t.equal(status, 200)
  const ask = async (more: string) => {
    client.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n${more}\r\n`)
    return client.response()
  }
  t.equal((await ask('')).status, 200)
  t.equal(seen()['x-user'], 'ada')
  t.equal((await ask(`${forUser('ada')}\r\n`)).status, 200)
  t.equal(code(await ask(`${forUser('ben')}\r\n`)), 'not_allowed')
  t.equal((await open('nobody')).status, 403)
  const own = await sendConnect(
    t,
    site.port,
    goal.authority,
    `Proxy-Authorization: Bearer ${site.keys.ada}\r\n${forUser('ben')}\r\n`,
  )
  t.match(
    await own.response(true),
    { status: 403, reason: /not_allowed/ },
    'never served as the caller itself',
  )
})

t.test('inside a tunnel of the caller’s own, each request names its user', async (t) => {
  const { site, goal, seen } = await openSite(t)
  const tunnel = await openTunnel(t, site, goal.authority, { as: 'billing' })
  for (const id of ['ada', 'ben', 'ada']) {
    tunnel.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n${forUser(id)}\r\n\r\n`)
    t.equal((await tunnel.response()).status, 200)
    t.equal(seen().authorization, `Bearer the-key-of-${id}-alone`)
  }
  tunnel.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n\r\n`)
  t.equal(code(await tunnel.response()), 'not_allowed', 'billing itself is not of those profiles')
})

t.test('what passes untouched is for the user whom CONNECT names, or for the caller alone', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startSite(t, {
    principals: PRINCIPALS,
    connections: [untouchedTo(upstream, { allow: { profiles: ['sales'] } })],
  })
  const open = (...lines: string[]) =>
    sendConnect(
      t,
      site.port,
      upstream.authority,
      [`Proxy-Authorization: Bearer ${site.keys.billing}`, ...lines, ''].join('\r\n'),
    )
  t.match(await (await open()).response(true), { status: 403, reason: /not_allowed/ })
  t.match(await (await open(forUser('ben'))).response(true), { status: 403, reason: /not_allowed/ })
  const tunnel = await open(forUser('ada'))
  t.equal((await tunnel.response(true)).status, 200)
  const inner = await secure(t, tunnel, upstream.ca as string, 'localhost')
  inner.send(`GET /sse HTTP/1.1\r\nHost: ${upstream.authority}\r\n\r\n`)
  await inner.until((received) => received.includes('data: hello'))
  const [use] = (await site.audit()).filter(({ event }) => event === 'use')
  t.match(use, { caller: 'billing', for: 'ada', passes: 'untouched' })
  await site.run(disablePrincipal, { id: 'ada' })
  await site.settle()
  await inner.gone()
  t.equal(site.running.room.live.size, 0)
})

t.test('without a key nobody acts for anybody', async (t) => {
  const { site, upstream, goal } = await openSite(
    t,
    PRINCIPALS.map((one) => (one.id === 'billing' ? { ...one, profile: 'sales' } : one)),
    { identity: { default: 'billing' } },
  )
  for (const entrance of ENTRANCES) {
    const response = await askBy(t, site, entrance, goal, { as: '', headers: [ASKS, forUser('ada')] })
    t.equal(code(response), 'not_allowed', entrance)
  }
  t.equal(upstream.bytes.length, 0)
})

t.test('what runs for a user ends within a second when either of the two may no longer', async (t) => {
  const without = (id: string) =>
    PRINCIPALS.map((one) => (one.id === id ? { ...one, mayActFor: ['user:nobody'] } : one))
  for (const [what, change] of [
    ['the user is disabled', ({ site }) => site.run(disablePrincipal, { id: 'ada' })],
    ['the user is revoked', ({ site }) => site.run(revokePrincipal, { id: 'ada' })],
    ['the caller is disabled', ({ site }) => site.run(disablePrincipal, { id: 'billing' })],
    ['the caller is revoked', ({ site }) => site.run(revokePrincipal, { id: 'billing' })],
    ['the caller loses the right', ({ reapply }) => reapply(without('billing'))],
  ] as [string, (opened: Awaited<ReturnType<typeof openSite>>) => Promise<unknown>][]) {
    const opened = await openSite(t)
    const { site, goal } = opened
    const streams = []
    for (const entrance of ENTRANCES) {
      const asked = { as: 'billing', path: '/sse', headers: [ASKS, forUser('ada')] }
      const events = await sendBy(t, site, entrance, goal, asked)
      await events.until((received) => received.includes('data: hello'))
      streams.push(events.gone())
    }
    const other = await sendBy(t, site, 'forward', goal, {
      as: 'desk',
      path: '/sse',
      headers: [ASKS, forUser('ben')],
    })
    await other.until((received) => received.includes('data: hello'))
    const from = performance.now()
    await change(opened)
    await Promise.all(streams)
    t.ok(performance.now() - from < 1000, `${what}: it ended in time`)
    t.notOk(other.ended, `${what}: what runs for others goes on`)
    const again = await askBy(t, site, 'forward', goal, { as: 'billing', headers: [ASKS, forUser('ada')] })
    t.ok([403, 407].includes(again.status), `${what}: a new request is refused`)
    await site.close()
  }
})

t.test('a revoked user is served to others again with a new key, without what was suspended', async (t) => {
  const { site, goal } = await openSite(t)
  await site.run(revokePrincipal, { id: 'ada' })
  await site.run(rotatePrincipalKey, { id: 'ada' })
  await site.settle()
  const response = await askBy(t, site, 'forward', goal, { as: 'billing', headers: [ASKS, forUser('ada')] })
  t.equal(code(response), 'credential_missing')
})
