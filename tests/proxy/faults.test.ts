import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import t from 'tap'
import { issue, makeCa, selfSigned } from '../kit/certificates.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, eventually, type Goal } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, resetUnder, startBytes, upstreamCa } from '../kit/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const REAL_BODY = 'x'.repeat(40)

/** What an upstream does to a request, by the last step of its path. Headers that were said may already be on their way. */
const DEEDS: Readonly<Record<string, (socket: Socket) => string | undefined>> = {
  'reset-before-head': (socket) => after(socket, resetUnder),
  'reset-within-head': (socket) => after(socket, resetUnder, `${OK}Content-Le`),
  'reset-within-body': (socket) => after(socket, resetUnder, `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`),
  'reset-within-chunks': (socket) =>
    after(socket, resetUnder, `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\n`),
  'reset-before-close': (socket) =>
    after(socket, resetUnder, `${OK}Content-Type: text/plain\r\n\r\n${REAL_BODY}`),
  'stall-before-head': () => undefined,
  'stall-within-head': () => `${OK}Content-Le`,
  'stall-within-body': () => `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`,
  'truncate-length': (socket) => after(socket, end, `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`),
  'truncate-chunks': (socket) =>
    after(socket, end, `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\n`),
  'garbage-at-once': () => '\x16\x03\x01 this is not HTTP\r\n\r\n',
  'garbage-in-head': () => `${OK}Content-Length: 2\r\nBad Name: x\r\n\r\nok`,
  'garbage-in-chunks': () => `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\nzz\r\n`,
  'framed-twice': () => `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'two-lengths': () => `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`,
  'version-2': () => 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'too-long': () => `${OK}X-Long: ${'x'.repeat(70_000)}\r\n\r\n`,
  'too-many': () => `${OK}${'X: y\r\n'.repeat(300)}\r\n`,
  'half-close': (socket) => after(socket, end),
  'half-close-in-head': (socket) => after(socket, end, `${OK}Content-Le`),
  'flood-of-1xx': () => 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(200),
  'unasked-101': () =>
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  'more-than-said': () => `${OK}Content-Length: 2\r\n\r\nok and a second response`,
}

function end(socket: Socket): void {
  socket.end()
}

/** Says something, and does the deed once that is out. */
function after(socket: Socket, deed: (socket: Socket) => void, text = ''): undefined {
  socket.write(text, () => setImmediate(deed, socket))
}

/** What a client sees: a refusal, an answer that is not whole, or a whole one; and the outcome in the audit. */
type Seen = { status: number; code: string } | { broken: true; code: string } | { body: string }

const EXPECTED: Readonly<Record<string, Seen>> = {
  refuse: { status: 502, code: 'upstream_unreachable' },
  'reset-before-head': { status: 502, code: 'upstream_unreachable' },
  'reset-within-head': { status: 502, code: 'upstream_unreachable' },
  'reset-within-body': { broken: true, code: 'upstream_invalid' },
  'reset-within-chunks': { broken: true, code: 'upstream_invalid' },
  'reset-before-close': { broken: true, code: 'upstream_invalid' },
  'stall-before-head': { status: 504, code: 'upstream_timeout' },
  'stall-within-head': { status: 504, code: 'upstream_timeout' },
  'stall-within-body': { broken: true, code: 'upstream_timeout' },
  'truncate-length': { broken: true, code: 'upstream_invalid' },
  'truncate-chunks': { broken: true, code: 'upstream_invalid' },
  'garbage-at-once': { status: 502, code: 'upstream_invalid' },
  'garbage-in-head': { status: 502, code: 'upstream_invalid' },
  'garbage-in-chunks': { broken: true, code: 'upstream_invalid' },
  'framed-twice': { status: 502, code: 'upstream_invalid' },
  'two-lengths': { status: 502, code: 'upstream_invalid' },
  'version-2': { status: 502, code: 'upstream_invalid' },
  'too-long': { status: 502, code: 'upstream_invalid' },
  'too-many': { status: 502, code: 'upstream_invalid' },
  'half-close': { status: 502, code: 'upstream_invalid' },
  'half-close-in-head': { status: 502, code: 'upstream_invalid' },
  'flood-of-1xx': { status: 502, code: 'upstream_invalid' },
  'unasked-101': { status: 502, code: 'upstream_invalid' },
  'more-than-said': { body: 'ok' },
  'another-name': { status: 502, code: 'upstream_tls' },
  'nobody-vouches': { status: 502, code: 'upstream_tls' },
  expired: { status: 502, code: 'upstream_tls' },
  'no-tls': { status: 502, code: 'upstream_tls' },
}

const faulty = await startBytes(
  t,
  replying((head, socket) => DEEDS[head.split(' ')[1]?.slice(1) as string]?.(socket)),
)
const silent = () => {}
const ca = await upstreamCa()
const day = 24 * 3_600_000
const elsewhere = {
  'another-name': await startBytes(t, silent, { leaf: await issue(ca, ['other.localhost']) }),
  'nobody-vouches': await startBytes(t, silent, { leaf: await selfSigned(['localhost']) }),
  expired: await startBytes(t, silent, {
    leaf: await issue(ca, ['localhost'], {
      notBefore: new Date(Date.now() - 2 * day),
      notAfter: new Date(Date.now() - day),
    }),
  }),
  'no-tls': await startBytes(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), { tls: false }),
  refuse: await closedPort(),
}

/** Where nobody listens. */
async function closedPort(): Promise<{ origin: string; authority: string }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return { origin: `https://localhost:${port}`, authority: `localhost:${port}` }
}

const names = ['faulty', ...Object.keys(elsewhere)]
const site = await startSite(
  t,
  {
    principals: [{ id: 'ada' }],
    connections: [
      connectionTo(faulty, { name: 'faulty' }),
      ...Object.entries(elsewhere).map(([name, { authority }]) =>
        connectionTo({ origin: `https://${authority}`, ca: ca.cert }, { name }),
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
        Object.entries(EXPECTED).map(async ([deed, expected]) => {
          const other = elsewhere[deed as keyof typeof elsewhere]
          const goal: Goal = other
            ? { origin: `https://${other.authority}`, authority: other.authority, name: deed }
            : { ...faulty, name: 'faulty' }
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
      for (const [deed, expected] of Object.entries(EXPECTED)) {
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
      await eventually(() => faulty.open === site.running.room.upstreams.counts.idle, 'at the upstream too')
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
