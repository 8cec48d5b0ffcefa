import t from 'tap'
import { issue, makeCa } from '../kit/certificates.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { FAULTS, startFaults } from '../kit/fault-proxy.ts'
import { askBy, ENTRANCES, eventually } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, resetUnder, startBytes } from '../kit/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const silent = () => {}
const faults = await startFaults(t)
const names = Object.keys(faults.origins)
const site = await startSite(
  t,
  {
    principals: [{ id: 'ada' }],
    connections: [
      ...Object.entries(faults.origins).map(([name, origin]) =>
        connectionTo({ origin, ca: faults.ca }, { name }),
      ),
    ],
    credentials: names.map((connection) => ({ connection, for: 'shared', fields: { apiKey: SECRET } })),
  },
  { limits: { wire: { responseMs: 1500, responseIdleMs: 1500, tickMs: 100 } } },
)

for (const entrance of ENTRANCES) {
  t.test(
    `${entrance}: whatever an upstream does has its status, and no broken body passes as whole`,
    async (t) => {
      await Promise.all(
        Object.entries(FAULTS).map(async ([deed, { seen: expected }]) => {
          const goal = faults.goalOf(deed)
          // POST, so that nothing is sent a second time.
          const response = await askBy(t, site, entrance, goal, {
            method: 'POST',
            path: `/${deed}`,
            headers: [ASKS],
            body: 'b',
          })
          if ('status' in expected) {
            t.equal(response.status, expected.status, deed)
            t.ok(response.whole, deed)
            t.equal(JSON.parse(response.body).code, expected.code, deed)
          } else if ('broken' in expected) {
            t.equal(response.status, 200, deed)
            t.notOk(response.whole, `${deed}: what came is not passed as whole`)
          } else {
            t.ok(response.whole, deed)
            t.equal(response.body, expected.body, deed)
          }
        }),
      )
      const records = await site.audit()
      for (const [deed, { seen: expected }] of Object.entries(FAULTS)) {
        const use = records.find(
          (one) => one.event === 'use' && one.path === `/${deed}` && one.entrance === entrance,
        )
        const outcome = records.find((one) => one.event === 'outcome' && one.request === use?.request)
        t.equal(
          outcome?.code,
          'code' in expected ? expected.code : undefined,
          `${deed}: the outcome in the audit`,
        )
      }
      await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
      await eventually(() => {
        const { connections, idle, dialling, waiting, sockets } = site.running.room.upstreams.counts
        return connections === idle && dialling === 0 && waiting === 0 && sockets === idle
      }, 'the sockets are back at the baseline')
      await eventually(() => faults.open === site.running.room.upstreams.counts.idle, 'at the upstream too')
    },
  )
}

t.test(
  'an idempotent request that meets a connection closed meanwhile goes out once more, another does not',
  async (t) => {
    let heads = 0
    const once = await startBytes(
      t,
      replying((_head, socket) => {
        heads++
        // Every connection serves one request, says that it would serve more, and is gone at the second.
        if (socket.listenerCount('second') > 0) {
          resetUnder(socket)
          return undefined
        }
        socket.on('second', silent)
        return `${OK}Content-Length: 2\r\n\r\nok`
      }),
    )
    await site.apply({
      principals: [{ id: 'ada' }],
      connections: [connectionTo(once, { name: 'once' })],
      credentials: [{ connection: 'once', for: 'shared', fields: { apiKey: SECRET } }],
    })
    await site.settle()
    const goal = { ...once, name: 'once' }
    const ask = (method: string) =>
      askBy(t, site, 'forward', goal, { method, headers: [ASKS], ...(method === 'POST' && { body: '' }) })
    t.equal((await ask('GET')).status, 200)
    t.equal((await ask('GET')).status, 200, 'sent again on a new connection')
    t.equal(heads, 3)
    t.equal((await ask('POST')).status, 502, 'not sent again')
    t.equal(heads, 4)
  },
)

t.test('a fault of one upstream is none of another', async (t) => {
  const own = await makeCa('Another CA')
  const good = await startBytes(
    t,
    replying(() => `${OK}Content-Length: 2\r\n\r\nok`),
    {
      leaf: await issue(own, ['localhost']),
    },
  )
  await site.apply({
    principals: [{ id: 'ada' }],
    connections: [
      connectionTo({ origin: good.origin, ca: own.cert }, { name: 'good', auth: { method: 'none' } }),
    ],
  })
  await site.settle()
  t.equal((await askBy(t, site, 'forward', { ...good, name: 'good' })).status, 200)
  t.strictSame(await site.verify(), [])
})
