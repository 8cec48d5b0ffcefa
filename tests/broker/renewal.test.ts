import t, { type Test } from 'tap'
import { type GrantRequest, Grants, RETRY } from '../../broker/grants.ts'
import type { AcquireInput, AuthMethod, Grant, MethodIO } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import { providerPlace } from '../../core/provider.ts'
import type { Store } from '../../core/store.ts'
import { makeCaller } from '../core/kit.ts'
import { noSigningKeys } from '../kit/signing.ts'
import { openBroker } from './kit.ts'

type Acquire = (x: AcquireInput, io: MethodIO) => Promise<Grant>

/** Grants of a method that acquires as the test says, each time by the next of `ways`, the last for ever. */
async function openGrants(t: Test, ways: Acquire[], wrap: (store: Store) => Store = (store) => store) {
  let asked = 0
  const method: AuthMethod = {
    id: 'scripted',
    title: 'Scripted',
    fields: {},
    configKeys: [],
    acquire: (x, io) => {
      const way = ways[Math.min(asked, ways.length - 1)] as Acquire
      asked++
      return way(x, io)
    },
    values: ({ grant }) => ({ values: { ...grant?.values }, plain: [] }),
  }
  const b = await openBroker(t, { known: new Map([[method.id, method]]), wrap })
  await b.connect({ method: 'scripted' })
  const holder = await b.enter({})
  const { store, sealer, clock, callOut } = b
  const dead: LocumError[] = []
  const open = () =>
    new Grants({
      store,
      sealer,
      clock,
      callOut,
      signingKeys: noSigningKeys,
      ondead: (_x, error) => dead.push(error),
    })
  const request: GrantRequest = {
    route: b.route(),
    holder,
    fields: {},
    provider: undefined,
    caller: makeCaller(),
  }
  return { ...b, grants: open(), open, request, dead, asked: () => asked }
}

const until = (expiresAt: number | undefined, token = 'a-token'): Grant => ({ values: { token }, expiresAt })
const fail =
  (code: 'refresh_failed' | 'reauthorization_required', lasting = false): Acquire =>
  async () => {
    throw new LocumError(code, 'The other side said no.', { hint: 'Ask there.', lasting })
  }

t.test('a method acquires with the provider’s secrets and the keys of the site', async (t) => {
  let seen: AcquireInput | undefined
  let used: MethodIO | undefined
  const acquire: Acquire = async (x, io) => {
    seen = x
    used = io
    return until(undefined)
  }
  const x = await openGrants(t, [acquire])
  const place = { name: 'idp', version: 1, calls: ['https://idp.example/token'] }
  const sealed = x.sealer.seal(providerPlace(place, 'clientSecret'), Buffer.from('"a secret"'))
  const provider = {
    ...place,
    method: 'scripted',
    config: { a: 1 },
    fieldNames: ['clientSecret'],
    sealed: { clientSecret: sealed },
  }
  await x.grants.hold({ ...x.request, provider, fields: { user: 'u' } })
  t.match(seen, {
    fields: { user: 'u' },
    provider: { name: 'idp', config: { a: 1 }, fields: { clientSecret: 'a secret' } },
    previous: undefined,
    caller: undefined,
  })
  t.equal(used?.signingKeys, noSigningKeys)
  t.equal(await used?.siteId(), (await x.store.site()).id)
  t.equal(used?.now(), x.clock.time)
})

t.test('renewals ahead that come together are one', async (t) => {
  const x = await openGrants(t, [async () => until(x.clock.time + 100_000)])
  await x.grants.hold(x.request)
  x.clock.time += 80_000
  const renewed = await Promise.all([1, 2, 3].map(() => x.grants.renewAhead(x.request)))
  t.same(
    renewed.map(({ version }) => version),
    [2, 2, 2],
  )
  t.equal(x.asked(), 2)
})

t.test('what was renewed elsewhere meanwhile is not renewed ahead once more', async (t) => {
  for (const life of [100_000, undefined]) {
    const x = await openGrants(t, [async () => until(life && x.clock.time + life)])
    await x.open().hold(x.request)
    t.match(await x.grants.renewAhead(x.request), { version: 1, grant: { values: { token: 'a-token' } } })
    t.equal(x.asked(), 1)
  }
})

t.test('a renewal ahead that fails leaves what serves, and is due again a little later', async (t) => {
  const x = await openGrants(t, [async () => until(x.clock.time + 100_000), fail('refresh_failed')])
  const { renewAt = 0 } = await x.grants.hold(x.request)
  x.clock.time = renewAt
  t.match(await x.grants.renewAhead(x.request), { version: 1, renewAt: renewAt + RETRY })
  x.clock.time += 1
  t.match(await x.grants.renewAhead(x.request), { version: 1, renewAt: renewAt + 1 + RETRY })
  t.equal(x.asked(), 2, 'and not asked at each request')
})

t.test(
  'whoever failed serves what another process has acquired meanwhile, for as long as that serves',
  async (t) => {
    for (const life of [undefined, 500_000]) {
      const overtaken: Acquire = async () => {
        // Longer than a lease is kept for who does not come back.
        x.clock.time += 61_000
        await x.open().hold(x.request)
        throw new LocumError('refresh_failed', 'too late')
      }
      const x = await openGrants(t, [overtaken, async () => until(life && x.clock.time + life)])
      const held = await x.grants.hold(x.request)
      t.match(held, { version: 1, grant: { values: { token: 'a-token' } } })
      t.equal(held.renewAt, life && x.clock.time + life - 30_000)
    }
  },
)

t.test('that somebody has to consent anew is said at once, whatever still serves', async (t) => {
  const x = await openGrants(t, [async () => until(x.clock.time + 100_000), fail('reauthorization_required')])
  await x.grants.hold(x.request)
  x.clock.time += 80_000
  await t.rejects(x.grants.renewAhead(x.request), { code: 'reauthorization_required' })
})

t.test('a grant that died is told of once, and says to every process why', async (t) => {
  const x = await openGrants(t, [
    async () => until(x.clock.time + 100_000),
    fail('reauthorization_required', true),
  ])
  await x.grants.hold(x.request)
  x.clock.time += 200_000
  const why = {
    code: 'reauthorization_required',
    detail: 'The other side said no.',
    hint: 'Ask there.',
    lasting: true,
  }
  await t.rejects(x.grants.hold(x.request), why)
  await t.rejects(x.grants.hold(x.request), why)
  await t.rejects(x.open().hold(x.request), why)
  t.match(x.dead, [why])
  t.equal(x.asked(), 2)
})

t.test('where the renewal before was never heard of again, the dead say that too', async (t) => {
  let cut = true
  const wrap = (store: Store): Store => ({
    ...store,
    async intend(as, key, version, fence) {
      await store.intend(as, key, version, fence)
      // As where the process is killed right behind it.
      if (cut && version > 0) throw new LocumError('store_unavailable', 'killed')
    },
  })
  const dies = fail('reauthorization_required', true)
  const x = await openGrants(t, [async () => until(x.clock.time + 100_000), dies], wrap)
  await x.grants.hold(x.request)
  x.clock.time += 200_000
  await t.rejects(x.grants.hold(x.request), { code: 'store_unavailable' })
  cut = false
  await t.rejects(x.open().hold(x.request), {
    code: 'reauthorization_required',
    detail: 'The other side said no. A renewal before was cut short, and what it was given was lost.',
  })
})

t.test('what the store did not take is kept for the next who asks, once', async (t) => {
  let away = false
  const wrap = (store: Store): Store => ({
    ...store,
    async replaceGrant(...x) {
      if (away) throw new LocumError('store_unavailable', 'The store is away.')
      return store.replaceGrant(...x)
    },
  })
  const x = await openGrants(t, [async () => until(x.clock.time + 100_000, `token ${x.asked()}`)], wrap)
  away = true
  await t.rejects(x.grants.hold(x.request), { code: 'store_unavailable' })
  await t.rejects(x.grants.hold(x.request), { code: 'store_unavailable' })
  away = false
  t.match(await x.grants.hold(x.request), { version: 1, grant: { values: { token: 'token 1' } } })
  t.equal(x.asked(), 1, 'a server may give it only once')
  x.clock.time += 200_000
  t.match(await x.grants.hold(x.request), { version: 2, grant: { values: { token: 'token 2' } } })
})
