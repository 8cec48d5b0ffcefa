import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { ASKS, connectionTo, REAL, SECRET } from '../kit/echo-site.ts'
import { dialTls, listenerFiles, secure } from '../kit/listener.ts'
import { eventually, type RawClient, resetSocket } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const files = await listenerFiles(t)
const upstream = await startUpstream(t)
// What the operator is told of fails it.
const site = await startSite(t, {
  listen: { proxy: files.listener },
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})
const { authority } = upstream
const KEY = `Proxy-Authorization: Bearer ${site.keys.ada}`

interface Opened {
  readonly transport: Socket
  readonly outer: RawClient
}

async function open(): Promise<Opened> {
  const transport = connect({ port: site.port, host: '127.0.0.1' })
  await once(transport, 'connect')
  transport.on('error', () => {})
  const outer = await dialTls(t, 0, { socket: transport, ca: files.ca.cert })
  return { transport, outer }
}

async function tunnel({ outer }: Opened): Promise<RawClient> {
  outer.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${KEY}\r\n\r\n`)
  if ((await outer.response(true)).status !== 200) throw new Error('no tunnel')
  return outer
}

/** How far a client gets before its connection breaks. */
const STAGES: readonly (readonly [string, (opened: Opened) => Promise<unknown>])[] = [
  ['after the handshake', async () => {}],
  ['within a head', async ({ outer }) => outer.send('GET http://x')],
  ['with CONNECT under way', async ({ outer }) => outer.send(`CONNECT ${authority} HTTP/1.1\r\n${KEY}\r\n`)],
  ['in a tunnel that is silent', tunnel],
  // Whether the rest of a handshake still comes, only its deadline tells of a client that just ended.
  [
    'within the handshake inside',
    async (opened) => (await tunnel(opened)).send('\x16\x03\x01\x02\x00\x01\x00'),
  ],
  [
    'with nonsense for a handshake inside',
    async (opened) => (await tunnel(opened)).send('\x16nonsense'.repeat(9)),
  ],
  [
    'while events come',
    async (opened) => {
      const inner = await secure(t, await tunnel(opened), site.ca, 'localhost')
      inner.send(`GET /sse HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\n\r\n`)
      await inner.until((received) => received.includes('data: hello'))
    },
  ],
  [
    'within a body that is sent',
    async (opened) => {
      const inner = await secure(t, await tunnel(opened), site.ca, 'localhost')
      inner.send(
        `POST /echo HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\nContent-Length: 100000\r\n\r\nbegun`,
      )
    },
  ],
]

for (const [what, work] of STAGES) {
  t.test(`TLS in TLS survives a reset ${what}`, async (t) => {
    const ends = what.includes('handshake inside')
      ? [resetSocket]
      : [resetSocket, (socket: Socket) => socket.end()]
    for (const end of ends) {
      const opened = await open()
      await work(opened)
      end(opened.transport)
      opened.transport.resume()
    }
    const opened = await open()
    const inner = await secure(t, await tunnel(opened), site.ca, 'localhost')
    inner.send(`GET /echo HTTP/1.1\r\nHost: ${authority}\r\n${ASKS}\r\n\r\n`)
    t.equal((await inner.response()).status, 200)
    t.equal(upstream.requests.at(-1)?.headers.authorization, REAL)
    inner.socket.destroy()
    opened.transport.destroy()
    await eventually(() => site.running.room.live.size === 0, 'nothing is left of it')
  })
}
