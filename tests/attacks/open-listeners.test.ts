import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { dialTls, listenerFiles, makeFolder } from '../kit/listener.ts'
import { dial, type RawClient } from '../kit/raw.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/**
 * A default principal needs no key, so a listener that anybody else can reach must have none (R16).
 * What forwards ports to a container or a virtual machine connects from loopback: neither of the two
 * addresses of such a connection tells it from a neighbour's.
 */
async function openSite(t: Teardown, proxy: unknown, more: object = {}) {
  const upstream = await startUpstream(t)
  const site = await startSite(
    t,
    {
      listen: { proxy, ...more },
      identity: { default: 'billing' },
      principals: [{ id: 'billing', kind: 'service' }],
      connections: [connectionTo(upstream)],
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
    },
    { faults: 'expected' },
  )
  return { site, upstream, goal: { ...upstream, name: 'echo' } }
}

const requests = (authority: string, key = '') => [
  `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${key && `Proxy-Authorization: ${key}\r\n`}${ASKS}\r\n\r\n`,
  `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${key && `Proxy-Authorization: ${key}\r\n`}\r\n`,
  `GET /c/echo/ HTTP/1.1\r\nHost: localhost\r\n${key && `Locum-Authorization: ${key}\r\n`}${ASKS}\r\n\r\n`,
]

t.test(
  'the default principal serves nobody where the network may come too, with TLS or without',
  async (t) => {
    const hosts = ['0.0.0.0:0', '[::]:0']
    for (const address of hosts) {
      const files = await listenerFiles(t, address)
      for (const [listen, more, open] of [
        [address, { allowPlaintextListener: true }, (port: number) => dial(t, port)],
        [files.listener, {}, (port: number) => dialTls(t, port, { ca: files.ca.cert })],
      ] as [unknown, object, (port: number) => Promise<RawClient>][]) {
        const { site, upstream, goal } = await openSite(t, listen, more)
        t.match(site.log, [/^identity\.default serves nobody at /])
        for (const request of requests(goal.authority)) {
          const answer = await (await open(site.port)).send(request).response(true)
          t.ok([401, 407].includes(answer.status), `${address}: ${request.split(' ')[0]}`)
        }
        t.equal(upstream.bytes.length, 0)
        const key = `Bearer ${site.keys.billing}`
        for (const request of requests(goal.authority, key))
          t.equal(
            (await (await open(site.port)).send(request).response(true)).status,
            200,
            'with a key it serves',
          )
        await site.close()
      }
    }
  },
)

t.test(
  'the default principal serves on loopback, in TLS too, and not at an open address for the gateway',
  async (t) => {
    const files = await listenerFiles(t)
    const { site, upstream, goal } = await openSite(t, files.listener, {
      gateway: '0.0.0.0:0',
      allowPlaintextListener: true,
    })
    t.strictSame(site.log, [])
    for (const request of requests(goal.authority)) {
      const client = await dialTls(t, site.port, { ca: files.ca.cert })
      t.equal((await client.send(request).response(true)).status, 200)
    }
    const seen = upstream.requests.length
    const [, , gateway] = requests(goal.authority) as [string, string, string]
    const open = await dial(t, Number(new URL(site.running.gatewayUrl as string).port))
    t.equal((await open.send(gateway).response(true)).status, 401)
    t.equal(upstream.requests.length, seen)
  },
)

t.test('nothing opens an address to the network without TLS unasked', async (t) => {
  for (const key of ['proxy', 'console', 'gateway', 'public'])
    for (const address of [
      '0.0.0.0:0',
      '[::]:0',
      '[::ffff:0.0.0.0]:0',
      '192.0.2.1:0',
      'locum.example:0',
      '169.254.1.1:0',
    ])
      await t.rejects(
        openSite(t, '127.0.0.1:0', { [key]: address }),
        { code: 'bad_request' },
        `${key} ${address}`,
      )
  const socket = `unix:${makeFolder(t)}/proxy.sock`
  const files = await listenerFiles(t)
  await t.rejects(openSite(t, { ...files.listener, address: socket }), /has no use for TLS/)
})
