import { randomBytes } from 'node:crypto'
import t from 'tap'
import { proxyKeyHash, proxyKeyText } from '../../core/proxy-key.ts'
import type { PrincipalRecord } from '../../core/words.ts'
import { type Client, Limiter } from '../../proxy/limiter.ts'
import { makeCaller } from '../core/kit.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, dial, ENTRANCES, eventually, openTunnel, type RawClient, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const goal = { ...upstream, name: 'echo' }
/** Nothing refills within a test, so that no clock decides what it sees. */
const SLOW = 1 / 3600
const site = await startSite(t, {
  limits: { newcomers: 100 },
  principals: [
    { id: 'ada', kind: 'user', profile: 'sales' },
    ...ENTRANCES.map((entrance) => ({ id: `rate-${entrance}`, limits: { rate: SLOW, burst: 2 } })),
    ...ENTRANCES.map((entrance) => ({ id: `flight-${entrance}`, limits: { inFlight: 2 } })),
    ...ENTRANCES.map((entrance) => ({ id: `sockets-${entrance}`, limits: { connections: 2 } })),
    { id: 'spender', limits: {} },
    { id: 'back', kind: 'service', mayActFor: ['user:*'], limits: { rate: SLOW, burst: 3 } },
    { id: 'pusher', kind: 'service', mayActFor: ['user:*'], limits: { rate: SLOW, burst: 1 } },
    { id: 'prober', kind: 'service', mayActFor: ['user:*'], limits: { rate: SLOW, burst: 2 } },
    { id: 'selfish', kind: 'user', mayActFor: ['user:*'], limits: { rate: SLOW, burst: 2 } },
    { id: 'broker', kind: 'service', mayActFor: ['user:*'] },
    { id: 'named', kind: 'user', limits: { rate: SLOW, burst: 3 } },
    { id: 'robbed', kind: 'user', limits: { connections: 2 } },
  ],
  connections: [
    connectionTo(upstream),
    connectionTo(upstream, { name: 'dear', budget: { perCaller: '2/day' }, allow: { paths: ['/dear*'] } }),
  ],
  credentials: ['echo', 'dear'].map((connection) => ({
    connection,
    for: 'shared',
    fields: { apiKey: SECRET },
  })),
})

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: more requests than a rate allows are told when to come again`, async (t) => {
    const as = `rate-${entrance}`
    const ask = () => askBy(t, site, entrance, goal, { as, headers: [ASKS] })
    t.same([(await ask()).status, (await ask()).status], [200, 200])
    const refused = await ask()
    t.equal(refused.status, 429)
    t.match(JSON.parse(refused.body), { code: 'rate_limited', hint: /Retry-After/ })
    const wait = Number(refused.headers['retry-after'])
    t.ok(wait > 3500 && wait <= 3600, `${wait} s`)
    t.equal((await askBy(t, site, entrance, goal, { headers: [ASKS] })).status, 200, 'nobody else is held up')
  })

  t.test(`${entrance}: more requests at once than allowed are refused, and an end makes room`, async (t) => {
    const as = `flight-${entrance}`
    const slow = () => sendBy(t, site, entrance, goal, { as, path: '/slow', headers: [ASKS] })
    const head = (client: RawClient) => client.until((received) => received.includes('\r\n\r\n'))
    const first = await slow()
    await Promise.all([head(first), slow().then(head)])
    const refused = await askBy(t, site, entrance, goal, { as, headers: [ASKS] })
    t.match(refused, { status: 503, headers: { 'retry-after': '1' } })
    t.match(JSON.parse(refused.body), { code: 'overloaded', detail: /2 requests under way/ })
    first.reset()
    let status = 503
    while (status === 503) ({ status } = await askBy(t, site, entrance, goal, { as, headers: [ASKS] }))
    t.equal(status, 200)
  })

  t.test(`${entrance}: more connections than allowed are refused, and an end makes room`, async (t) => {
    const as = `sockets-${entrance}`
    const open = () => sendBy(t, site, entrance, goal, { as, headers: [ASKS] })
    const clients = [await open(), await open()]
    for (const client of clients) t.equal((await client.response()).status, 200)
    if (entrance === 'connect') await t.rejects(open(), { message: /503 .*overloaded/ })
    else t.match(await (await open()).response(), { status: 503, body: /2 connections open/ })
    clients[0]?.socket.destroy()
    const again = async () => (await open()).response().then(({ status }) => status)
    let status = 0
    while (status !== 200) status = await again().catch(() => 0)
    t.equal(status, 200)
  })

  t.test(`${entrance}: a budget that is spent is refused until its period ends`, async (t) => {
    const as = entrance === 'forward' ? 'spender' : 'ada'
    if (entrance === 'connect') return
    const ask = () =>
      askBy(t, site, entrance, { ...upstream, name: 'dear' }, { as, path: '/dear', headers: [ASKS] })
    t.same([(await ask()).status, (await ask()).status], [200, 200])
    const refused = await ask()
    t.equal(refused.status, 429)
    t.match(JSON.parse(refused.body), {
      code: 'rate_limited',
      detail: `\`dear\` may be used 2 times a day by \`${as}\`.`,
    })
    t.ok(Number(refused.headers['retry-after']) <= 86_400)
  })
}

t.test('who calls for others is bounded too, whomever it calls for', async (t) => {
  const ask = () => askBy(t, site, 'gateway', goal, { as: 'back', headers: [ASKS, 'Locum-For: user:ada'] })
  const statuses = []
  for (let i = 0; i < 4; i++) statuses.push((await ask()).status)
  t.same(statuses, [200, 200, 200, 429])
})

t.test('who is refused themselves takes nothing from the one for whom they call', async (t) => {
  const push = () =>
    askBy(t, site, 'forward', goal, { as: 'pusher', headers: [ASKS, 'Locum-For: user:named'] })
  const statuses = []
  for (let i = 0; i < 6; i++) statuses.push((await push()).status)
  t.same(statuses, [200, 429, 429, 429, 429, 429])
  const own = () => askBy(t, site, 'gateway', goal, { as: 'named', headers: [ASKS] })
  t.same([(await own()).status, (await own()).status, (await own()).status], [200, 200, 429])
})

t.test('who names themselves counts once', async (t) => {
  const headers = [ASKS, 'Locum-For: user:selfish']
  const statuses = []
  for (let i = 0; i < 3; i++)
    statuses.push((await askBy(t, site, 'gateway', goal, { as: 'selfish', headers })).status)
  t.same(statuses, [200, 200, 429])
})

t.test('asking for users who are not there costs what a request costs', async (t) => {
  const statuses = []
  for (let i = 0; i < 4; i++) {
    const headers = [ASKS, `Locum-For: user:nobody${i}`]
    statuses.push((await askBy(t, site, 'gateway', goal, { as: 'prober', headers })).status)
  }
  t.same(statuses, [403, 403, 429, 429])
})

t.test('a budget for each caller bounds who calls for others too', async (t) => {
  const statuses = []
  for (const user of ENTRANCES.map((entrance) => `flight-${entrance}`)) {
    const headers = [ASKS, `Locum-For: user:${user}`, 'Locum-Connection: dear']
    const x = { as: 'broker', path: '/dear/echo', headers }
    statuses.push((await askBy(t, site, 'forward', goal, x)).status)
  }
  t.same(statuses, [200, 200, 429])
})

t.test('connections that a stolen key holds open end with it, and keep nobody out', async (t) => {
  const open = async () => {
    const client = await sendBy(t, site, 'gateway', goal, { as: 'robbed', headers: [ASKS] })
    t.equal((await client.response()).status, 200)
    return client
  }
  const thieves = [await open(), await open()]
  t.notOk(
    thieves.some(({ ended }) => ended),
    'they are kept',
  )
  const { store, as } = site.context
  await store.removeKeys(as, 'robbed')
  const key = proxyKeyText(randomBytes(32))
  await store.addKey(as, { hash: proxyKeyHash(key), principal: 'robbed', createdAt: Date.now() })
  await site.settle()
  await eventually(() => thieves.every(({ ended }) => ended), 'they end')
  const client = await dial(t, site.port)
  client.send(
    `GET /c/echo/echo HTTP/1.1\r\nHost: 127.0.0.1:${site.port}\r\nLocum-Authorization: Bearer ${key}\r\n${ASKS}\r\n\r\n`,
  )
  t.equal((await client.response()).status, 200)
})

t.test('who has gone before it is known who they were takes no place', async (t) => {
  const limiter = new Limiter({ clock: { now: () => 0 }, usual: { connections: 1 } })
  const caller = makeCaller({ id: 'ada' })
  const [gone, here] = [1, 2].map(() => ({ principal: undefined, destroy: () => {} })) as [Client, Client]
  for (const client of [gone, here]) limiter.arrive(client)
  limiter.leave(gone)
  limiter.recognize(gone, caller)
  limiter.recognize(here, caller)
  t.equal(here.principal, 'ada')
})

t.test('a limit that is changed holds within a second, for connections that are open as well', async (t) => {
  const before = site.keys.spender
  const client = await dial(t, site.port)
  const ask = async () => {
    client.send(
      `GET /c/echo/echo HTTP/1.1\r\nHost: 127.0.0.1:${site.port}\r\nLocum-Authorization: Bearer ${before}\r\n${ASKS}\r\n\r\n`,
    )
    return (await client.response()).status
  }
  t.equal(await ask(), 200)
  const { store, as } = site.context
  const { version, createdAt, ...record } = (await store.principal(as, 'spender')) as PrincipalRecord
  await store.putPrincipal(as, { ...record, limits: { rate: SLOW, burst: 1 } })
  await site.settle()
  t.same([await ask(), await ask()], [200, 429])
})

t.test(
  'clients that do not say who they are make room for each other, and keep nobody else out',
  async (t) => {
    const known = await openTunnel(t, site, upstream.authority)
    const strangers: RawClient[] = []
    for (let i = 0; i < 300; i++)
      strangers.push((await dial(t, site.port)).send('GET http://a/ HTTP/1.1\r\nX: '))
    await eventually(() => strangers.filter(({ closed }) => closed).length >= 200, 'the oldest are closed')
    t.ok(strangers[0]?.closed)
    t.notOk(strangers.at(-1)?.closed)
    known.send(`GET /echo HTTP/1.1\r\nHost: ${upstream.authority}\r\n${ASKS}\r\n\r\n`)
    t.equal((await known.response()).status, 200, 'one who is known stays')
    for (const entrance of ENTRANCES)
      t.equal((await askBy(t, site, entrance, goal, { headers: [ASKS] })).status, 200, entrance)
  },
)
