import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { clientHello, inRecords } from '../kit/client-hello.ts'
import { ASKS, MASKED, startEchoSite } from '../kit/echo-site.ts'
import { askBy, dial, ENTRANCES, eventually, keyLine, openTunnel, sendBy } from '../kit/raw.ts'
import { openWebSocket } from '../kit/websocket.ts'

t.test('a graceful stop takes nothing new, lets a running request end and loses none', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  const running = await Promise.all(
    ENTRANCES.map((entrance) => sendBy(t, site, entrance, goal, { path: '/sse', headers: [ASKS] })),
  )
  await Promise.all(running.map((client) => client.until((received) => received.includes('data: hello'))))
  const idle = [await dial(t, site.port), await openTunnel(t, site, goal.authority)]
  const opening = await openTunnel(t, site, goal.authority, { plain: true })
  const kept = await sendBy(t, site, 'forward', goal)
  await kept.response()

  let closed = false
  const closing = site.close(10_000).then(() => {
    closed = true
  })
  await Promise.all([...idle, opening, kept].map((client) => client.gone()))
  t.pass('what was idle is closed at once')
  const [refused] = await once(connect(site.port, '127.0.0.1'), 'error')
  t.equal(refused.code, 'ECONNREFUSED')
  upstream.event('still running')
  for (const client of running) {
    await client.until((received) => received.includes('still running'))
    t.notOk(client.ended)
  }
  t.notOk(closed)
  upstream.finish()
  for (const client of running) {
    const { status, whole, body } = await client.response()
    t.equal(status, 200)
    t.ok(whole)
    t.match(body, MASKED)
    await client.gone()
  }
  await closing
  await eventually(() => upstream.open === 0, 'the upstream is let go')
  const records = await site.audit()
  const count = (event: string) => records.filter((record) => record.event === event).length
  t.equal(count('use'), count('outcome'))
  t.equal(records.at(-1)?.event, 'stop')
})

t.test('what does not end within the grace is cut', async (t) => {
  const { site, goal } = await startEchoSite(t)
  const events = await sendBy(t, site, 'connect', goal, { path: '/sse', headers: [ASKS] })
  await events.until((received) => received.includes('data: hello'))
  const socket = await openWebSocket(t, site, 'forward', goal, { headers: [ASKS] })
  await site.close(50)
  await Promise.all([events.gone(), socket.closed])
  const records = await site.audit()
  t.equal(records.filter(({ event }) => event === 'outcome').length, 2)
})

t.test('resets at any moment, on every kind of socket, do not end the process', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  const tcp = () => dial(t, site.port)
  const head = `GET http://${goal.authority}/echo HTTP/1.1\r\nHost: ${goal.authority}\r\n`
  const post = `POST http://${goal.authority}/echo HTTP/1.1\r\nHost: ${goal.authority}\r\n${keyLine(site, 'forward', 'ada')}${ASKS}\r\n`
  const connectHead = `CONNECT ${goal.authority} HTTP/1.1\r\nHost: ${goal.authority}\r\n${keyLine(site, 'connect', 'ada')}\r\n`
  const moments: Readonly<Record<string, () => Promise<{ reset(): void }>>> = {
    'at once': tcp,
    'in a head': async () => (await tcp()).send(head),
    'behind a head': async () =>
      (await tcp()).send(`${head}${keyLine(site, 'forward', 'ada')}${ASKS}\r\n\r\n`),
    'in a body': async () => (await tcp()).send(`${post}Content-Length: 100\r\n\r\nsome`),
    'in chunks': async () => (await tcp()).send(`${post}Transfer-Encoding: chunked\r\n\r\n5\r\nab`),
    'behind CONNECT': async () => (await tcp()).send(connectHead),
    'in a tunnel without a byte': () => openTunnel(t, site, goal.authority, { plain: true }),
    'in a handshake': async () =>
      (await openTunnel(t, site, goal.authority, { plain: true })).send(
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      ),
    'in no handshake': async () =>
      (await openTunnel(t, site, goal.authority, { plain: true })).send('\x16\x16\x16\x16\x16\x16'),
    'in a tunnel': () => openTunnel(t, site, goal.authority),
    'in an answer': async () => {
      const client = await sendBy(t, site, 'connect', goal, { path: '/slow', headers: [ASKS] })
      await client.until((received) => received.includes('\r\n\r\n'))
      return client
    },
    'in a large answer': async () => {
      const client = await sendBy(t, site, 'forward', goal, { path: '/bytes/5000000', headers: [ASKS] })
      await client.until((received) => received.length > 100)
      return client
    },
    'in events': async () => {
      const client = await sendBy(t, site, 'gateway', goal, { path: '/sse', headers: [ASKS] })
      await client.until((received) => received.includes('hello'))
      return client
    },
    'before an upgrade is answered': () =>
      sendBy(t, site, 'forward', goal, {
        path: '/ws',
        headers: [
          ASKS,
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        ],
      }),
    'in a WebSocket': async () => {
      const client = await sendBy(t, site, 'connect', goal, {
        path: '/ws',
        headers: [
          ASKS,
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        ],
      })
      await client.until((received) => received.includes('hello'))
      return client
    },
  }
  for (const [moment, reach] of Object.entries(moments)) {
    const clients = await Promise.all(Array.from({ length: 4 }, reach))
    for (const client of clients) client.reset()
    t.pass(moment)
  }
  // And from the other side.
  for (const entrance of ENTRANCES) {
    const events = await sendBy(t, site, entrance, goal, { path: '/sse', headers: [ASKS] })
    await events.until((received) => received.includes('hello'))
    const { closed, next } = await openWebSocket(t, site, entrance, goal, { headers: [ASKS] })
    await next()
    upstream.reset()
    await Promise.all([events.gone(), closed])
    t.pass(`${entrance}: the upstream resets`)
    t.equal((await askBy(t, site, entrance, goal, { path: '/reset', headers: [ASKS] })).status, 502)
  }
  for (const entrance of ENTRANCES)
    t.equal((await askBy(t, site, entrance, goal, { headers: [ASKS] })).status, 200, `${entrance}: goes on`)
  await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
  await eventually(() => {
    const { connections, idle, sockets } = site.running.room.upstreams.counts
    return connections === idle && sockets === idle
  }, 'the sockets are back at the baseline')
})

t.test('a server name that is none is survived', async (t) => {
  const { site, goal } = await startEchoSite(t)
  // What OpenSSL cannot send as a name is left out by it: then the tunnel alone counts.
  const unsent = ['a'.repeat(300), '\x00']
  for (const name of [...unsent, 'not a name', 'xn--127.0.0.1', '..', '*.localhost', 'ß', 'a'.repeat(255)]) {
    await openTunnel(t, site, goal.authority, { servername: name })
      .then((tunnel) => tunnel.send(`GET / HTTP/1.1\r\nHost: ${goal.authority}\r\n\r\n`).response())
      .then(
        ({ status }) => t.equal(status, unsent.includes(name) ? 200 : 421, JSON.stringify(name)),
        () => t.pass(`${JSON.stringify(name)} ends its own tunnel`),
      )
  }
  t.equal((await askBy(t, site, 'connect', goal, { headers: [ASKS] })).status, 200)
})

t.test('who ends its side within a handshake is not waited for', async (t) => {
  const { site, goal } = await startEchoSite(t)
  const hello = inRecords(clientHello({ names: [['localhost']] }))
  for (const length of [0, 1, 5, hello.length - 2]) {
    const client = await openTunnel(t, site, goal.authority, { plain: true })
    client.socket.end(hello.subarray(0, length))
    await eventually(() => client.ended, `${length} bytes of it`)
  }
})
