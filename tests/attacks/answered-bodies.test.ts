import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { connectionTo, SECRET } from '../kit/echo-site.ts'
import { ENTRANCES, eventually, type RawClient, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startBytes } from '../kit/upstream.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Begins an answer once it has seen the end of a body, and does not go on. */
const upstream = await startBytes(t, (socket) => {
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes(`${SECRET}"}`)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na')
  })
})
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream, { slots: { json: ['/key'] } })],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})

const MB = 1024 * 1024
const used = async (): Promise<number> => {
  // Once for what is free, and once for what that held.
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / MB
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a body that was read whole does not stay as long as its answer lasts`, async (t) => {
    const body = `{"x":"${'y'.repeat(MB - 100)}","key":"{{$Auth.API_Key}}"}`
    const headers = ['Content-Type: application/json']
    const before = await used()
    const clients: RawClient[] = []
    for (let i = 0; i < 16; i++) {
      const client = await sendBy(
        t,
        site,
        entrance,
        { ...upstream, name: 'echo' },
        {
          method: 'POST',
          headers,
          body,
        },
      )
      await client.until((received) => received.endsWith('\r\n\r\na'))
      clients.push(client)
    }
    const grown = (await used()) - before
    t.ok(site.running.room.live.size >= 16, 'all of them last')
    t.ok(grown < 8, `${grown} MB`)
    for (const client of clients) client.reset()
    await eventually(() => site.running.room.live.size === 0, 'they are gone')
  })
}
