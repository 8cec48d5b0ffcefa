import t from 'tap'
import type { AuthMethod } from '../../core/auth-method.ts'
import { systemClock } from '../../core/clock.ts'
import type { Directory } from '../../core/directory.ts'
import { LocumError } from '../../core/errors.ts'
import { SYSTEM } from '../../core/words.ts'
import { Live } from '../../proxy/live.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, eventually, openTunnel, sendBy } from '../kit/raw.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** Longer than the store may be silent, ms. */
const STALE = 31_000

/** A method whose token comes when the test lets it. */
function slowMethod() {
  let release = (): void => {}
  let asked = false
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const method: AuthMethod = {
    id: 'slow',
    title: 'Slow',
    fields: { apiKey: { title: 'Key', secret: true, required: true } },
    configKeys: [],
    values: ({ grant }) => ({ values: { Token: grant?.values.token ?? null }, plain: [] }),
    inject: () => [['Authorization', 'Bearer {{$Auth.Token}}']],
    async acquire() {
      asked = true
      await released
      return { values: { token: 'token-that-came-late' } }
    },
  }
  return { method, release, isAsked: () => asked }
}

t.test('a key that is revoked while a request waits for its credential sends nothing', async (t) => {
  for (const entrance of ENTRANCES) {
    const upstream = await startUpstream(t)
    const slow = slowMethod()
    const site = await startSite(
      t,
      {
        principals: [{ id: 'ada', kind: 'user' }],
        connections: [connectionTo(upstream, { auth: { method: 'slow' } })],
        credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: 'refresh-token' } }],
      },
      { methods: [slow.method] },
    )
    const client = await sendBy(t, site, entrance, { ...upstream, name: 'echo' }, { path: '/sse' })
    await eventually(slow.isAsked, 'the credential is waited for')
    await site.revoke('ada')
    // A tunnel goes with its key; elsewhere the request is told why.
    if (entrance === 'connect') await client.gone()
    else {
      const { status, body } = await client.response()
      t.equal(status, entrance === 'gateway' ? 401 : 407)
      t.match(body, 'caller_unauthenticated')
    }
    slow.release()
    await eventually(() => site.running.room.live.size === 0, 'it is no longer under way')
    await site.settle()
    t.equal(upstream.requests.length, 0, entrance)
    t.match(
      (await site.audit()).filter(({ event }) => event === 'refused'),
      [{ code: 'caller_unauthenticated' }],
    )
  }
})

t.test('a store that is away when callers are judged is asked again', async (t) => {
  const { site, goal } = await openSite(t)
  const events = await sendBy(t, site, 'forward', goal, { path: '/sse' })
  await events.until((received) => received.includes('hello'))
  const tunnel = await openTunnel(t, site, goal.authority)
  const { store } = site.context
  const { keyHolder } = store
  store.keyHolder = () => Promise.reject(new LocumError('store_unavailable', 'The store is away.'))
  await site.revoke('ada')
  await site.settle()
  t.notOk(events.closed)
  store.keyHolder = keyHolder
  await Promise.all([events.gone(), tunnel.gone()])
  await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
})

t.test('what is open ends when the store has been silent for too long', async (t) => {
  let ahead = 0
  const { site, goal } = await openSite(t, () => Date.now() + ahead)
  const events = await sendBy(t, site, 'forward', goal, { path: '/sse' })
  await events.until((received) => received.includes('hello'))
  const { store } = site.context
  const { head } = store
  store.head = () => Promise.reject(new LocumError('store_unavailable', 'The store is away.'))
  ahead = STALE
  await events.gone()
  t.equal((await askBy(t, site, 'forward', goal)).status, 503)
  store.head = head
  await site.settle()
  t.equal((await askBy(t, site, 'forward', goal)).status, 200)
  t.match((await site.audit()).filter(({ event }) => event === 'outcome')[0], { code: 'store_unavailable' })
})

t.test('a clock that jumps ends nothing while the store answers', async (t) => {
  let asked = 0
  const directory = {
    checkFresh() {
      // Until the store is asked the next time.
      if (++asked === 1) throw new LocumError('store_unavailable', 'What is known is too old.')
    },
    onchange() {},
  } as unknown as Directory
  const live = new Live({ directory, clock: systemClock, onfault: (error) => t.error(error) })
  t.teardown(() => live.close())
  const caller = { principal: SYSTEM, sessionId: 'session' }
  const cuts: string[] = []
  live.add({ caller, cut: (code) => cuts.push(code) })
  await eventually(() => asked === 3, 'it was looked at')
  t.strictSame(cuts, [])
})

async function openSite(t: Teardown, now: () => number = Date.now) {
  const upstream = await startUpstream(t)
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada', kind: 'user' }],
      connections: [connectionTo(upstream, { auth: { method: 'none' } })],
    },
    { clock: { now }, faults: 'expected' },
  )
  return { site, upstream, goal: { ...upstream, name: 'echo' } }
}
