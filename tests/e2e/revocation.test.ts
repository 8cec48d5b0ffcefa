import t from 'tap'
import { ASKS, connectionTo, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, eventually, openTunnel, sendBy } from '../kit/raw.ts'
import { openWebSocket } from '../kit/websocket.ts'

/** Within this a key that was revoked must be out of force everywhere, ms. */
const IN_FORCE = 1000

t.test('a revoked key stops within a second whatever it holds open', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  const asked = { headers: [ASKS] }
  const closings: Promise<unknown>[] = []
  const names: string[] = []
  const watch = (name: string, closing: Promise<unknown>) => {
    names.push(name)
    closings.push(closing.then(() => performance.now()))
  }

  const idle = await openTunnel(t, site, goal.authority)
  watch('an idle tunnel', idle.gone())
  for (const entrance of ENTRANCES) {
    const events = await sendBy(t, site, entrance, goal, { ...asked, path: '/sse' })
    await events.until((received) => received.includes('data: hello'))
    watch(`server-sent events by ${entrance}`, events.gone())
    const { ws, closed, next } = await openWebSocket(t, site, entrance, goal, asked)
    await next()
    ws.send('still here')
    await next()
    watch(`a WebSocket by ${entrance}`, closed)
    const slow = await sendBy(t, site, entrance, goal, { ...asked, path: '/slow' })
    await slow.until((received) => received.includes('\r\n\r\n'))
    watch(`an answer that goes on by ${entrance}`, slow.gone())
  }
  const live = site.running.room.live.size
  t.ok(live >= names.length, 'all of it is known to be under way')

  const revoked = performance.now()
  await site.revoke('ada')
  const ended = (await Promise.all(closings)) as number[]
  for (const [i, name] of names.entries())
    t.ok((ended[i] as number) - revoked < IN_FORCE, `${name} ended in time`)
  t.ok(performance.now() - revoked < IN_FORCE)

  for (const entrance of ['forward', 'gateway'] as const) {
    const { status } = await askBy(t, site, entrance, goal, asked)
    t.equal(status, entrance === 'gateway' ? 401 : 407, `a new request by ${entrance} is refused`)
  }
  await t.rejects(
    openTunnel(t, site, goal.authority),
    /407 .*caller_unauthenticated/,
    'a new tunnel is refused',
  )
  await eventually(() => upstream.open === 0, 'the upstream is let go')
  t.equal(site.running.room.live.size, 0)
  t.strictSame(await site.verify(), [])
})

t.test("another caller's streams go on when a key is revoked", async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  await site.apply({
    principals: [
      { id: 'ada', kind: 'user' },
      { id: 'ben', kind: 'user' },
    ],
    connections: [
      {
        name: 'echo',
        destinations: [upstream.origin],
        ca: upstream.ca,
        allowPrivateNetwork: true,
        auth: { method: 'none' },
      },
    ],
  })
  await site.settle()
  const events = await sendBy(t, site, 'connect', goal, { as: 'ben', path: '/sse' })
  await events.until((received) => received.includes('data: hello'))
  await site.revoke('ada')
  await site.settle()
  t.equal((await askBy(t, site, 'forward', goal)).status, 407)
  upstream.event('go on')
  t.match(await events.until((received) => received.includes('go on')), 'go on')
  t.notOk(events.ended)
})

t.test('a replaced credential ends the streams that were opened with the old one', async (t) => {
  const { site, upstream, goal } = await startEchoSite(t)
  const streams = []
  for (const entrance of ENTRANCES) {
    const events = await sendBy(t, site, entrance, goal, { headers: [ASKS], path: '/sse' })
    await events.until((received) => received.includes('data: hello'))
    streams.push(events.gone())
  }
  await site.apply({
    principals: [{ id: 'ada', kind: 'user' }],
    connections: [connectionTo(upstream)],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: 'another-secret-altogether' } }],
  })
  await site.settle()
  await Promise.all(streams)
  t.equal(site.running.room.live.size, 0)
  t.equal((await askBy(t, site, 'forward', goal, { headers: [ASKS] })).status, 200)
  t.equal(upstream.requests.at(-1)?.headers.authorization, 'Bearer another-secret-altogether')
})
