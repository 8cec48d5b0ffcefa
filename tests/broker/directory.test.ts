import { randomBytes } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import { STALE_LIMIT } from '../../broker/directory.ts'
import { Feed } from '../../broker/feed.ts'
import { LocumError } from '../../core/errors.ts'
import { proxyKeyHash, proxyKeyText } from '../../core/proxy-key.ts'
import type { Store } from '../../core/store.ts'
import { type PrincipalRecord, SYSTEM } from '../../core/words.ts'
import { makeConnection, to, verdict } from '../core/kit.ts'
import { makeClock, openBroker, type TestBroker } from './kit.ts'

/** A principal with a key; gives the key's hash. */
async function admit(
  b: TestBroker,
  more: Partial<PrincipalRecord> = {},
  expiresAt?: number,
): Promise<string> {
  const id = more.id ?? 'ada'
  const hash = proxyKeyHash(proxyKeyText(randomBytes(32)))
  await b.store.putPrincipal(SYSTEM, {
    id,
    kind: 'user',
    projects: [],
    admin: false,
    disabled: false,
    ...more,
  })
  await b.store.addKey(SYSTEM, { hash, principal: id, createdAt: b.clock.now(), expiresAt })
  await b.poll()
  return hash
}

t.test('knows a caller by the hash of a key, and remembers', async (t) => {
  const b = await openBroker(t)
  const hash = await admit(b, { profile: 'sales', projects: ['north'] }, 1_800_000_000_000)
  t.equal(b.directory.caller(hash), undefined, 'not asked for yet')
  const caller = await b.directory.fetchCaller(hash)
  t.match(caller, {
    principal: { id: 'ada', kind: 'user', profile: 'sales', projects: ['north'], admin: false, via: 'key' },
    keyHash: hash,
    expiresAt: 1_800_000_000_000,
    sessionId: /^[\w-]{22}$/,
  })
  t.equal(b.directory.caller(hash), caller)
  t.equal(await b.directory.fetchCaller('0'.repeat(64)), null)
  t.equal(b.directory.caller('0'.repeat(64)), null, 'nobody is remembered too')
})

t.test('a session id is stable for a key, and tells nothing of it', async (t) => {
  const b = await openBroker(t)
  const [one, two] = [await admit(b), await admit(b)]
  const session = async (hash: string) => (await b.directory.fetchCaller(hash))?.sessionId
  t.equal(await session(one), await session(one))
  t.not(await session(one), await session(two))
  t.notMatch(one, (await session(one)) as string)
})

t.test('a revoked key and a disabled principal are nobody once the feed has been read', async (t) => {
  const b = await openBroker(t)
  const hash = await admit(b)
  t.ok(await b.directory.fetchCaller(hash))
  await b.store.removeKeys(SYSTEM, 'ada', hash)
  t.ok(b.directory.caller(hash), 'until then it is remembered')
  await b.poll()
  t.equal(b.directory.caller(hash), undefined)
  t.equal(await b.directory.fetchCaller(hash), null)
  const other = await admit(b, { id: 'bob' })
  t.ok(await b.directory.fetchCaller(other))
  await admit(b, { id: 'bob', disabled: true })
  t.equal(await b.directory.fetchCaller(other), null)
})

t.test('a principal is who it is now once the feed has been read, whatever became of its keys', async (t) => {
  const b = await openBroker(t)
  const hash = await admit(b, { profile: 'sales' })
  t.equal((await b.directory.fetchCaller(hash))?.principal.profile, 'sales')
  t.equal((await b.directory.fetchNamed('ada'))?.caller.principal.profile, 'sales')
  const ada = await b.store.principal(SYSTEM, 'ada')
  await b.store.putPrincipal(SYSTEM, { ...(ada as PrincipalRecord), profile: 'support' })
  await b.poll()
  t.equal(b.directory.caller(hash), undefined)
  t.equal(b.directory.named('ada'), undefined)
  t.equal((await b.directory.fetchCaller(hash))?.principal.profile, 'support')
})

t.test('a page’s key calls for the one who uses it, by their session, and for nobody else', async (t) => {
  const b = await openBroker(t)
  await admit(b, { mayActFor: ['user:*'] })
  const hash = proxyKeyHash(proxyKeyText(randomBytes(32)))
  const only = { origin: 'https://app.example' }
  await b.store.addKey(SYSTEM, { hash, principal: 'ada', createdAt: b.clock.now(), only })
  const page = await b.directory.fetchCaller(hash)
  t.match(page, { principal: { id: 'ada', via: 'session' }, only, keyHash: hash })
  t.equal(page?.mayActFor, undefined)
})

t.test('another URL of the site closes no route', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  const route = b.route()
  await b.store.setSite(SYSTEM, { url: 'https://locum.example' })
  await b.poll()
  t.equal(b.route(), route)
})

t.test('what was asked for before a key was revoked is not remembered after it', async (t) => {
  let answered = () => {}
  let asked = () => {}
  const held = new Promise<void>((resolve) => {
    answered = resolve
  })
  const reached = new Promise<void>((resolve) => {
    asked = resolve
  })
  let slow = false
  let early: Promise<unknown> | undefined
  const b = await openBroker(t, {
    defaultPrincipal: 'side',
    wrap: (store): Store => ({
      ...store,
      async keyHolder(as, hash) {
        const holder = await store.keyHolder(as, hash)
        if (slow) {
          asked()
          await held
        }
        return holder
      },
      async principal(as, id) {
        // The directory reads its default principal while it applies the change: the late answer comes now.
        if (slow) {
          answered()
          await early
        }
        return store.principal(as, id)
      },
    }),
  })
  const hash = await admit(b)
  slow = true
  early = b.directory.fetchCaller(hash)
  await reached
  await b.store.removeKeys(SYSTEM, 'ada', hash)
  await b.poll()
  t.ok(await early, 'it was right when it was asked for')
  t.equal(b.directory.caller(hash), undefined)
  t.equal(await b.directory.fetchCaller(hash), null)
})

t.test('the default principal is there until it is disabled or gone', async (t) => {
  const b = await openBroker(t, { defaultPrincipal: 'side' })
  t.equal(b.directory.defaultCaller(), null)
  await admit(b, { id: 'side', kind: 'service' })
  t.match(b.directory.defaultCaller(), { principal: { id: 'side', via: 'default' }, keyHash: undefined })
  await admit(b, { id: 'side', kind: 'service', mayActFor: ['user:*'] })
  t.equal(b.directory.defaultCaller()?.mayActFor, undefined, 'it acts for nobody (R28)')
  await admit(b, { id: 'side', kind: 'service', disabled: true })
  t.equal(b.directory.defaultCaller(), null)
  await admit(b, { id: 'side', kind: 'service' })
  await b.store.removePrincipal(SYSTEM, 'side')
  await b.poll()
  t.equal(b.directory.defaultCaller(), null)
})

t.test('gives the routes to a destination, the same until something changes', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  await b.connect({ name: 'wild', destinations: [to('https://*.crm.example')] })
  const names = (text: string) => b.directory.routesTo(to(text)).map(({ connection }) => connection.name)
  t.same(names('https://crm.example'), ['crm'])
  t.same(names('https://a.crm.example'), ['wild'])
  t.same(names('https://evil.example'), [])
  const routes = b.directory.routesTo(to('https://crm.example'))
  t.equal(b.directory.routesTo(to('https://crm.example')), routes)
  const route = b.route()
  await b.connect({ name: 'again' })
  t.same(names('https://crm.example').sort(), ['again', 'crm'])
  t.equal(b.route(), route, 'what did not change is the same')
  await b.store.removeConnection(SYSTEM, 'crm')
  await b.poll()
  t.same(names('https://crm.example'), ['again'])
  t.equal(b.directory.routeNamed('crm'), undefined)
})

t.test('one connection that cannot be read does not take the others down', async (t) => {
  const b = await openBroker(t)
  await b.store.putConnection(SYSTEM, makeConnection({ name: 'bad', method: 'from-a-later-version' }))
  await b.connect()
  t.ok(b.directory.routeNamed('crm'))
  t.equal(b.directory.routeNamed('bad'), undefined)
  t.match(b.faults, [{ code: 'bad_request' }])
})

t.test('what is remembered serves for a while without the store, and no longer', async (t) => {
  let gone = false
  const b = await openBroker(t, {
    wrap: (store): Store => ({
      ...store,
      async head() {
        if (gone) throw new LocumError('store_unavailable', 'The disk is gone.')
        return store.head()
      },
    }),
  })
  await b.connect()
  gone = true
  b.clock.time += STALE_LIMIT
  await b.poll()
  t.match(b.faults, [{ code: 'store_unavailable' }])
  t.equal(
    verdict(() => b.directory.checkFresh()),
    'fine',
  )
  b.clock.time += 1
  t.equal(
    verdict(() => b.directory.checkFresh()),
    'store_unavailable',
  )
  t.ok(b.directory.routeNamed('crm'))
  gone = false
  await b.poll()
  t.equal(
    verdict(() => b.directory.checkFresh()),
    'fine',
  )
})

t.test('a change that could not be applied is applied at the next poll', async (t) => {
  let failing = false
  const b = await openBroker(t, {
    wrap: (store): Store => ({
      ...store,
      async connections(as) {
        if (failing) throw new LocumError('store_unavailable', 'Not now.')
        return store.connections(as)
      },
    }),
  })
  const told: string[] = []
  b.directory.onchange((changes) => told.push(...changes.map(({ id }) => id)))
  failing = true
  await b.connect()
  t.equal(b.directory.routeNamed('crm'), undefined)
  t.same(told, [])
  failing = false
  await b.poll()
  t.ok(b.directory.routeNamed('crm'))
  t.same(told, ['crm'])
})

t.test('what changes while the feed is read is applied once', async (t) => {
  let behind = 0
  const b = await openBroker(t, {
    wrap: (store): Store => ({ ...store, head: async () => (await store.head()) - behind }),
  })
  await b.connect()
  const told: string[] = []
  b.directory.onchange((changes) => told.push(...changes.map(({ kind, id }) => `${kind} ${id}`)))
  // As where the second comes between the two questions.
  behind = 1
  await b.store.putConnection(SYSTEM, makeConnection({ name: 'one' }))
  await b.store.putConnection(SYSTEM, makeConnection({ name: 'two' }))
  await b.poll()
  behind = 0
  await b.poll()
  t.same(told, ['connection one', 'connection two'])
})

t.test('polls by itself', async (t) => {
  const b = await openBroker(t)
  const connection = await b.connect({ name: 'first' })
  const changed = new Promise((resolve) => b.directory.onchange(resolve))
  // The feed's own timer keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  await b.store.putConnection(SYSTEM, { ...connection, name: 'crm' })
  await changed
  t.ok(b.directory.routeNamed('crm'))
})

t.test(
  'asks the store for connections where one of them changed, and tells who listens in order',
  async (t) => {
    let reads = 0
    const b = await openBroker(t, {
      wrap: (store): Store => ({
        ...store,
        connections: (as) => {
          reads++
          return store.connections(as)
        },
      }),
    })
    const told: string[] = []
    b.directory.onchange(() => told.push('first'))
    b.directory.onchange(() => told.push('second'))
    reads = 0
    await admit(b, { id: 'ada', kind: 'user' })
    t.equal(reads, 0)
    t.same(told, ['first', 'second'])
    await b.connect()
    t.equal(reads, 1)
  },
)

t.test('what is asked while the feed closes is its last question', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let asked = 0
  let answer = () => {}
  const store = {
    head: () => {
      asked++
      return asked === 1
        ? Promise.resolve(0)
        : new Promise<number>((resolve) => {
            answer = () => resolve(0)
          })
    },
  } as unknown as Store
  const feed = new Feed({
    store,
    clock: makeClock(),
    apply: async () => {},
    onfault: (error) => t.fail(String(error)),
  })
  await feed.start(async () => {})
  mock.timers.tick(250)
  t.equal(asked, 2)
  const closed = feed.close()
  answer()
  await closed
  await new Promise((resolve) => setImmediate(resolve))
  mock.timers.tick(10_000)
  t.equal(asked, 2)
})

t.test('who was away for too long knows nothing any more', async (t) => {
  let far = false
  const b = await openBroker(t, {
    wrap: (store): Store => ({
      ...store,
      changes: async (since) => {
        const all = await store.changes(since)
        const last = all.at(-1) as (typeof all)[number]
        return far ? [{ ...last, kind: 'site', id: '*' }] : all
      },
    }),
  })
  await b.connect()
  const hash = await admit(b)
  await b.directory.fetchCaller(hash)
  const before = b.route()
  far = true
  await b.store.setSite(SYSTEM, { contact: 'it@example.com' })
  await b.poll()
  t.not(b.route(), before, 'connections are read again, those of the same version too')
  t.equal(b.directory.caller(hash), undefined)
})

t.test('what is remembered of strangers is bounded: the oldest goes', async (t) => {
  const b = await openBroker(t, { wrap: (store): Store => ({ ...store, keyHolder: async () => undefined }) })
  for (let i = 0; i <= 10_000; i++) await b.directory.fetchCaller(`hash ${i}`)
  t.equal(b.directory.caller('hash 0'), undefined)
  t.equal(b.directory.caller('hash 1'), null)
  t.equal(b.directory.caller('hash 10000'), null)
})
