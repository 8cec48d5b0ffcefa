import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { eventually, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes } from '../kit/upstream.ts'

t.test('a client that ends its side before the 101 does not hold the upstream for ever', async (t) => {
  let asked: Socket | undefined
  const upstream = await startBytes(
    t,
    replying((_, socket) => {
      asked = socket
      return undefined
    }),
  )
  const site = await startSite(t, {
    principals: [{ id: 'ada', kind: 'user' }],
    connections: [connectionTo(upstream)],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
  })
  const client = await sendBy(
    t,
    site,
    'forward',
    { ...upstream, name: 'echo' },
    {
      headers: [ASKS, 'Connection: upgrade', 'Upgrade: websocket'],
    },
  )
  await eventually(() => asked !== undefined, 'the upstream is asked')
  const socket = asked as unknown as Socket
  client.socket.end()
  await once(client.socket, 'finish')
  const ended = once(socket, 'end')
  socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
  await ended
  t.pass('the end goes on')
  await client.until((received) => received.includes('101'))
  t.notOk(client.ended, 'and what the upstream still has to say comes')
  socket.end('\x81\x02hi')
  t.match(await client.whole(), 'hi')
  await eventually(() => site.running.room.live.size === 0, 'both sides are let go')
})
