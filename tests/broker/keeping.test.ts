import t, { type Test } from 'tap'
import { methods } from '../../auth-methods/index.ts'
import { Backoff } from '../../broker/backoff.ts'
import { StoreBroker } from '../../broker/broker.ts'
import { ConnectionBudgets } from '../../broker/budgets.ts'
import { GrantSeal } from '../../broker/grant-seal.ts'
import { type Grants, RETRY, Grants as RealGrants } from '../../broker/grants.ts'
import { Proofs } from '../../broker/proofs.ts'
import { LocumError } from '../../core/errors.ts'
import type { Budgets } from '../../core/limits.ts'
import { type Change, type Connection, SYSTEM } from '../../core/words.ts'
import { makeCaller, methodWith, refusal } from '../core/kit.ts'
import { makeFolder, openSite } from '../store/site.ts'
import { openBroker, outcome } from './kit.ts'

const change = (kind: Change['kind'], id: string): Change => ({ seq: 1, kind, id }) as Change

/** A broker of its own over the same store, told of changes by hand and given tokens by `grants`. */
async function openAlone(t: Test, grants: Partial<Grants> = {}, limit?: number) {
  const b = await openBroker(t)
  await b.connect()
  await b.enter({})
  const tell: ((changes: readonly Change[]) => void)[] = []
  const { store, sealer, clock } = b
  const directory = {
    onchange: (listener: (changes: readonly Change[]) => void) => void tell.push(listener),
    routeNamed: () => b.route(),
  }
  const broker = new StoreBroker({ store, sealer, clock, directory, grants: grants as Grants, limit })
  t.teardown(() => broker.close())
  return {
    ...b,
    broker,
    change(...changes: Change[]) {
      for (const listener of tell) listener(changes)
    },
    alone: async (session?: string) => broker.open(b.request({ session })),
  }
}

t.test(
  'a key or a grant that changes closes nothing that is open, anything else that touches it does',
  async (t) => {
    const b = await openAlone(t)
    const first = await b.alone()
    b.change(change('key', 'ada'), change('grant', 'x'))
    t.equal(await b.alone(), first)
    for (const one of [
      change('credential', 'cred_crm_shared'),
      change('connection', 'crm'),
      change('principal', 'ada'),
      change('binding', 'crm'),
      change('provider', 'idp'),
    ]) {
      const before = await b.alone()
      b.change(one)
      t.not(await b.alone(), before, one.kind)
    }
    const before = await b.alone()
    b.change(change('credential', 'other'), change('connection', 'other'), change('principal', 'other'))
    t.equal(await b.alone(), before)
  },
)

t.test('whoever asks joins what is under way, though a key or a grant changes meanwhile', async (t) => {
  const answers: (() => void)[] = []
  const hold = () =>
    new Promise((resolve) => {
      answers.push(() => resolve({ grant: { values: { token: 'x' } }, version: 1, renewAt: undefined }))
    })
  const b = await openAlone(t, { hold } as unknown as Partial<Grants>)
  await b.connect({ name: 'tokens', method: 'token', methodConfig: { url: 'http://localhost/' } })
  await b.enter({ connection: 'tokens', fields: { clientId: 'c', clientSecret: 'a secret' } })
  const request = b.request({ name: 'tokens' })
  const first = b.broker.open(request)
  while (answers.length === 0) await new Promise((resolve) => setImmediate(resolve))
  b.change(change('key', 'ada'), change('grant', 'x'))
  t.equal(b.broker.open(request), first)
  answers[0]?.()
  await first
  t.equal(answers.length, 1)
})

t.test('what is opened again is the youngest of what is kept', async (t) => {
  const b = await openAlone(t, {}, 2)
  await b.alone('1')
  const second = await b.alone('2')
  b.change(change('principal', 'nobody'))
  const again = await b.alone('1')
  t.equal(await b.alone('2'), second)
  await b.alone('3')
  t.not(await b.alone('1'), again, 'the oldest went')
})

t.test('a renewal ahead that fails is tried again a little later, and not at each request', async (t) => {
  let tries = 0
  let error: Error = new LocumError('refresh_failed', 'not now')
  const grant = { values: { token: 'a token that is good' } }
  const b = await openBroker(t)
  const now = b.clock.time
  const grants = {
    hold: async () => ({ grant: { ...grant, expiresAt: now + 60_000 }, version: 1, renewAt: now + 30_000 }),
    renewAhead: async () => {
      tries++
      throw error
    },
  } as unknown as Grants
  await b.connect({ method: 'token', methodConfig: { url: 'http://localhost/' } })
  await b.enter({ fields: { clientId: 'c', clientSecret: 'the secret of the client' } })
  const { store, sealer, clock, directory } = b
  const broker = new StoreBroker({ store, sealer, clock, directory, grants })
  t.teardown(() => broker.close())
  const ask = async () => {
    const material = await broker.open(b.request())
    for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve))
    return material
  }
  const first = await ask()
  clock.time = now + 30_000
  t.equal(await ask(), first)
  t.equal(tries, 1)
  await ask()
  clock.time += RETRY - 1
  t.equal(await ask(), first)
  t.equal(tries, 1)
  clock.time += 1
  t.equal(await ask(), first)
  t.equal(tries, 2)
  clock.time += RETRY
  error = new LocumError('reauthorization_required', 'withdrawn')
  await ask()
  t.equal(tries, 3)
  t.not(await ask(), first, 'what is gone for good is said to the next who asks')
})

t.test('a user’s own credential serves no default caller (R28)', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user' })
  await b.enter({ scope: 'user:ada' })
  t.equal(await outcome(b.open({ who: { via: 'default' } })), 'not_allowed')
  t.same(b.opened, [], 'nothing was decrypted')
  t.equal(await outcome(b.open()), 'fine')
})

t.test('a grant opens at its own place, and at no other', async (t) => {
  const { sealer } = await openSite(t, makeFolder(t))
  const clock = { now: () => 1_000_000 }
  const seal = new GrantSeal(sealer, clock)
  const holder = { id: 'cred_1', owner: 'site', audience: ['https://crm.example'] }
  const { sealed } = seal.next('key', 3, holder, { values: { token: 'x' }, expiresAt: 1_100_000 })
  const row = { key: 'key', version: 3, sealed, credential: 'cred_1' }
  t.same(seal.open(row as never, holder), { values: { token: 'x' }, renewAt: 1_070_000 })
  const place = {
    table: 'grants',
    row: 'key',
    field: 'values',
    version: 3,
    owner: 'site',
    audience: holder.audience,
  }
  t.ok(sealer.open(place, sealed))
  for (const other of [
    { table: 'credentials' },
    { field: 'value' },
    { row: 'other' },
    { version: 4 },
    { owner: 'user:ada' },
  ])
    t.equal(
      await outcome(() => sealer.open({ ...place, ...other }, sealed)),
      'internal',
      JSON.stringify(other),
    )
  t.equal(seal.renewAt({ values: {} }), undefined)
  t.equal(
    seal.renewAt({ values: {}, expiresAt: 1_010_000 }),
    1_005_000,
    'a brief one in the middle of its life',
  )
})

t.test('failures are remembered in number, and the oldest is forgotten first', async (t) => {
  let now = 0
  const backoff = new Backoff({ now: () => now })
  const passing = new LocumError('refresh_failed', 'not now')
  const lasting = new LocumError('refresh_failed', 'never', { lasting: true })
  for (let i = 0; i < 10_000; i++) backoff.failed(`key ${i}`, passing)
  t.equal(refusal(() => backoff.check('key 0')).retryAfter, 1)
  backoff.failed('one more', passing)
  t.doesNotThrow(() => backoff.check('key 0'))
  t.throws(() => backoff.check('key 1'))
  // In passing: 250, 500, 1000, 2000, 2000 ms; else from 2 s to a minute.
  for (const wait of [250, 500, 1000, 2000, 2000]) {
    backoff.failed('again', passing)
    now += wait - 1
    t.throws(() => backoff.check('again'), `${wait}`)
    now += 1
    t.doesNotThrow(() => backoff.check('again'))
  }
  for (const wait of [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
    backoff.failed('lasting', lasting)
    now += wait - 1
    t.equal(refusal(() => backoff.check('lasting')).retryAfter, 1, `${wait}`)
    now += 1
    t.doesNotThrow(() => backoff.check('lasting'))
  }
  backoff.failed('lasting', lasting)
  backoff.succeeded('lasting')
  t.doesNotThrow(() => backoff.check('lasting'))
  backoff.failed('lasting', lasting)
  now += 2000
  t.doesNotThrow(() => backoff.check('lasting'), 'it begins anew')
})

t.test('who has spent a budget is told when the next period begins', async (t) => {
  const DAY = 86_400_000
  let now = 20_000 * DAY
  const { store } = await openSite(t, makeFolder(t))
  const budgets = new ConnectionBudgets({ store, clock: { now: () => now } })
  const connection = { name: 'crm', budget: { total: { uses: 1, per: 'day' } } as Budgets } as Connection
  await budgets.use(connection, makeCaller())
  const spent = async () => {
    try {
      await budgets.use(connection, makeCaller())
      return undefined
    } catch (thrown) {
      return (thrown as LocumError).retryAfter
    }
  }
  t.equal(await spent(), DAY / 1000)
  now += DAY - 1500
  t.equal(await spent(), 2)
  now += 1499
  t.equal(await spent(), 1)
  now += 1
  t.equal(await spent(), undefined, 'the next day')
})

t.test('a late answer never stands in for a newer one that is open', async (t) => {
  const answers: ((version: number) => void)[] = []
  const held = () =>
    new Promise((resolve) => {
      answers.push((version) =>
        resolve({ grant: { values: { token: `token ${version}` } }, version, renewAt: undefined }),
      )
    })
  const b = await openBroker(t)
  await b.connect({ method: 'token', methodConfig: { url: 'http://localhost/' } })
  await b.enter({ fields: { clientId: 'c', clientSecret: 'the secret of the client' } })
  const { store, sealer, clock, directory } = b
  const grants = { hold: held, renewAhead: held } as unknown as Grants
  const broker = new StoreBroker({ store, sealer, clock, directory, grants })
  t.teardown(() => broker.close())
  const reached = async (count: number) => {
    while (answers.length < count) await new Promise((resolve) => setImmediate(resolve))
  }
  const request = b.request()
  const first = broker.open(request)
  await reached(1)
  answers[0]?.(1)
  const material = await first
  const [early, late] = [
    broker.renew(request, material),
    broker.renew(request, { ...material, generation: 0 }),
  ]
  await reached(3)
  answers[1]?.(3)
  t.equal((await early).generation, 3)
  answers[2]?.(2)
  await late
  t.equal((await broker.open(request)).generation, 3)
})

t.test('who may do something about it themselves is told where, and nobody else', async (t) => {
  const b = await openBroker(t, { known: new Map([...methods, ['consented', CONSENTED]]) })
  const provider = {
    name: 'idp',
    method: 'consented',
    config: {},
    calls: [],
    fieldNames: [],
    sealed: {},
    version: 1,
  }
  await b.store.putProvider(SYSTEM, provider)
  await b.connect({ method: 'consented', provider: 'idp', source: 'per-user', fallback: [] })
  await b.connect({ name: 'team', method: 'consented', provider: 'idp', source: 'per-profile' })
  const { store, sealer, clock, directory } = b
  const grants = {} as Grants
  const connectUrl = (name: string) => `https://locum.example/connect/${name}`
  const broker = new StoreBroker({ store, sealer, clock, directory, grants, connectUrl })
  t.teardown(() => broker.close())
  const why = async (more: Parameters<typeof b.request>[0]) => {
    try {
      await broker.open(b.request(more))
      return undefined
    } catch (thrown) {
      return thrown as LocumError
    }
  }
  t.match(await why({}), {
    code: 'credential_missing',
    authorizeUrl: 'https://locum.example/connect/idp',
    hint: 'Consent at idp: locum connect idp --as ada',
  })
  const service = await why({ who: { kind: 'service' } })
  t.equal(service?.authorizeUrl, undefined, 'a service opens no page')
  const team = await why({ name: 'team', who: { profile: 'sales' } })
  t.equal(team?.authorizeUrl, undefined)
  t.equal(team?.hint, 'Consent at idp: locum connect idp --for profile:sales')
  const away = new LocumError('refresh_failed', 'The provider is away.', { hint: 'Wait.' })
  const failing = { ...store, bound: () => Promise.reject(away) }
  const other = new StoreBroker({ store: failing, sealer, clock, directory, grants, connectUrl })
  t.teardown(() => other.close())
  await t.rejects(async () => other.open(b.request()), away, 'what no consent puts right is said as it is')
})

/** A method whose credentials are by consent. */
const CONSENTED = methodWith(
  { byConsent: () => true },
  { id: 'consented', fields: {}, acquire: async () => ({ values: {} }) },
)

t.test('a grant that is dead is nobody’s consent any more', async (t) => {
  let key = ''
  const b = await openBroker(t, {
    wrap: (store) => ({
      ...store,
      grant(as, asked) {
        key = asked
        return store.grant(as, asked)
      },
    }),
  })
  const { store, sealer, clock, callOut, signingKeys } = b
  const grants = new RealGrants({ store, sealer, clock, callOut, signingKeys })
  const provider = {
    name: 'idp',
    method: 'oauth2',
    config: {},
    calls: [],
    fieldNames: [],
    sealed: {},
    version: 1,
  }
  await b.connect()
  const holder = await b.enter({})
  t.equal(await grants.consented({ holder, provider }), undefined)
  await grants.keepConsent({ holder, provider }, { values: { token: 'x' } }, async () => {})
  t.match(await grants.consented({ holder, provider }), { values: { token: 'x' } })
  const dead = { values: {}, dead: { detail: 'withdrawn', hint: '' } }
  const next = new GrantSeal(sealer, clock).whole(key, 2, holder, dead)
  await store.lease(SYSTEM, `grant:${key}`, 1_000, (fence) => store.replaceGrant(SYSTEM, key, 1, fence, next))
  t.equal(await grants.consented({ holder, provider }), undefined)
})

t.test('what is not there is said before anything is tried', async (t) => {
  const b = await openBroker(t)
  const { store, sealer, clock, callOut, signingKeys } = b
  const grants = new RealGrants({ store, sealer, clock, callOut, signingKeys })
  const proofs = new Proofs({ store, sealer, clock, methods, grants })
  const none = { sites: [], principal: undefined }
  await t.rejects(proofs.trust('idp', none), { code: 'not_found', message: /no provider `idp`/ })
  await t.rejects(proofs.connection('crm', 'ada'), { code: 'not_found', message: /no connection `crm`/ })
  await b.connect()
  await t.rejects(proofs.connection('crm', 'ada'), { code: 'not_found', message: /no principal `ada`/ })
  const provider = {
    name: 'idp',
    method: 'oauth2',
    config: {},
    calls: [],
    fieldNames: [],
    sealed: {},
    version: 1,
  }
  await store.putProvider(SYSTEM, provider)
  await t.rejects(proofs.trust('idp', none), { code: 'bad_request', message: /trusts nobody/ })
})
