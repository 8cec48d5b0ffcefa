import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test as RootTest } from 'tap'
import { Grants } from '../../broker/grants.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { systemClock } from '../../core/clock.ts'
import { LocumError } from '../../core/errors.ts'
import type { Store } from '../../core/store.ts'
import { type Credential, SYSTEM } from '../../core/words.ts'
import { makeCaller } from '../core/kit.ts'
import { startTokenEndpoint, type TokenEndpoint, tokenMethod } from '../kit/token-method.ts'
import { startChild, type Test } from '../store/site.ts'
import { openBroker, outcome, type TestBroker, valueIn } from './kit.ts'

const CLIENT = { clientId: 'client', clientSecret: 'the secret of the client' }

const ASKING = { fields: CLIENT, provider: undefined, caller: makeCaller() }

/** A broker whose connection `crm` gets its tokens from an endpoint. */
async function openWithTokens(
  t: Test,
  options: Parameters<typeof openBroker>[1] = {},
): Promise<
  TestBroker & { endpoint: TokenEndpoint; token(more?: Parameters<TestBroker['open']>[0]): Promise<unknown> }
> {
  const endpoint = await startTokenEndpoint(t)
  const b = await openBroker(t, options)
  await b.connect({ method: 'token', methodConfig: { url: endpoint.url }, fallback: [] })
  await b.enter({ fields: CLIENT })
  return { ...b, endpoint, token: async (more) => valueIn(await b.open(more), 'Access_Token') }
}

/** What is renewed behind requests, as soon as it is there. */
async function another(b: { token(): Promise<unknown> }, first: unknown): Promise<unknown> {
  for (;;) {
    const token = await b.token()
    if (token !== first) return token
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Behind a request that found the token to be renewed, once the endpoint has answered. */
async function renewedBehind(b: { endpoint: TokenEndpoint; token(): Promise<unknown> }): Promise<unknown> {
  const came = b.endpoint.next()
  const token = await b.token()
  await came
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  return token
}

function gate(): { wait: Promise<void>; open: () => void } {
  let open = () => {}
  const wait = new Promise<void>((resolve) => {
    open = resolve
  })
  return { wait, open }
}

t.test('a thousand callers at once cost one token', async (t) => {
  const b = await openWithTokens(t)
  const tokens = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      b.token({ session: `session ${i % 40}`, who: { id: `user-${i % 8}` } }),
    ),
  )
  t.same(new Set(tokens), new Set(b.endpoint.tokens))
  t.equal(b.endpoint.asked.length, 1)
  t.same(b.endpoint.asked[0], CLIENT)
})

t.test('two brokers over one folder cost one token', async (t) => {
  const one = await openWithTokens(t)
  const two = await openBroker(t, { data: one.data, clock: one.clock })
  const held = gate()
  one.endpoint.gate = held.wait
  const came = one.endpoint.next()
  const opens = [one.token(), one.token({ session: '2' })]
  await came
  opens.push(two.open().then((material) => valueIn(material, 'Access_Token')))
  held.open()
  t.equal(new Set(await Promise.all(opens)).size, 1)
  t.equal(one.endpoint.asked.length, 1)
})

t.test('two processes over one folder cost one token', async (t) => {
  const b = await openWithTokens(t, { clock: { time: 0, now: () => systemClock.now() } })
  const script = '../../broker/children/acquire'
  const children = [startChild(t, script, [b.data]), startChild(t, script, [b.data])]
  for (const child of children) t.equal(await child.line(), 'ready')
  for (const child of children) child.process.stdin?.end('go\n')
  for (const child of children) {
    t.same(JSON.parse(await child.line()), b.endpoint.tokens)
    t.match(await child.ended(), { code: 0, errors: '' })
  }
  t.equal(b.endpoint.asked.length, 1)
})

t.test('a token outlives the process that fetched it', async (t) => {
  const b = await openWithTokens(t)
  const token = await b.token()
  const next = await openBroker(t, { data: b.data, clock: b.clock })
  t.equal(valueIn(await next.open(), 'Access_Token'), token)
  t.equal(b.endpoint.asked.length, 1)
})

t.test('a token is sealed: no byte of it is in the folder', async (t) => {
  const b = await openWithTokens(t)
  const token = String(await b.token())
  await b.store.setSite(SYSTEM, { contact: 'a mark that is stored in clear' })
  const files = readdirSync(b.data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  t.ok(
    files.some((bytes) => bytes.includes('a mark that is stored in clear')),
    'the database was read',
  )
  for (const text of [
    token,
    CLIENT.clientSecret,
    Buffer.from(token).toString('base64'),
    Buffer.from(token).toString('hex'),
  ])
    t.notOk(
      files.some((bytes) => bytes.includes(text)),
      'in clear, base64 or hex',
    )
})

t.test('a refused token is renewed once, however many were refused it', async (t) => {
  const b = await openWithTokens(t)
  const requests = Array.from({ length: 100 }, (_, i) => b.request({ session: `session ${i % 10}` }))
  const refused = await Promise.all(requests.map((request) => b.broker.open(request)))
  const renewed = await Promise.all(
    requests.map((request, i) => b.broker.renew(request, refused[i] as never)),
  )
  t.equal(b.endpoint.asked.length, 2)
  for (const material of renewed) {
    t.equal(valueIn(material, 'Access_Token'), b.endpoint.tokens[1])
    t.equal(material.generation, 2)
  }
  const late = await b.broker.renew(requests[0] as never, refused[0] as never)
  t.equal(late.generation, 2, 'who comes late gets what the others got')
  t.equal(b.broker.open(b.request({ session: 'session 0' })), late, 'and so does whoever opens')
  t.equal(b.endpoint.asked.length, 2)
})

t.test('a refusal is not answered with the token that was refused', async (t) => {
  const b = await openWithTokens(t)
  const grants = new Grants(b)
  const credential = (await b.store.credential(SYSTEM, 'cred_crm_shared')) as Credential
  const asking = { ...ASKING, route: b.route(), holder: credential }
  t.equal((await grants.hold(asking)).version, 1)
  // One only asks and the other was refused: they come together, and the first finds the old one good.
  const [asked, renewed] = await Promise.all([grants.hold(asking), grants.hold({ ...asking, refused: 1 })])
  t.equal(asked.version, 1)
  t.equal(renewed.version, 2)
  const [behind, again] = await Promise.all([grants.hold({ ...asking, refused: 2 }), grants.hold(asking)])
  t.equal(behind.version, 3)
  t.equal(again, behind, 'who asks while it is renewed waits for the new one')
  t.equal(b.endpoint.asked.length, 3)
})

t.test('a token is renewed ahead of its end, and no request waits for it', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 3_600
  const first = await b.token()
  b.clock.time += 3_569_999
  t.equal(await b.token(), first, 'a moment more than 30 s before')
  t.equal(await b.token({ session: 'new' }), first)
  b.clock.time += 1
  const held = gate()
  b.endpoint.gate = held.wait
  const came = b.endpoint.next()
  t.equal(await b.token(), first, '30 s before: it still serves')
  await came
  t.equal(await b.token(), first, 'while the new one is fetched')
  held.open()
  t.not(await another(b, first), first)
  t.equal(b.endpoint.asked.length, 2)
})

t.test('a token that lives briefly serves half its life', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 20
  const first = await b.token()
  b.clock.time += 9_999
  t.equal(await b.token({ session: 'another' }), first)
  b.clock.time += 1
  t.not(await another(b, first), first)
  t.equal(b.endpoint.asked.length, 2)
})

t.test('where a renewal fails ahead of the end, the old token serves, and it is tried again', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 60
  const first = await b.token()
  b.clock.time += 40_000
  b.endpoint.status = 503
  t.equal(await renewedBehind(b), first)
  t.equal(b.endpoint.asked.length, 2)
  b.clock.time += 1_000
  t.equal(await b.token(), first)
  t.equal(b.endpoint.asked.length, 2, 'not at every request')
  b.clock.time += 1_500
  b.endpoint.status = 200
  t.not(await another(b, first), first, 'within 2 s or so')
  b.clock.time += 61_000
  b.endpoint.status = 503
  t.equal(await outcome(b.token()), 'refresh_failed', 'what has expired serves nobody')
})

t.test('a refused token does not serve again where its renewal fails', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 3_600
  const material = await b.open()
  b.endpoint.status = 500
  t.equal(await outcome(b.broker.renew(b.request(), material)), 'refresh_failed')
})

t.test('a token that cannot be had is an error, and no other credential is tried', async (t) => {
  const b = await openWithTokens(t)
  await b.connect({
    method: 'token',
    methodConfig: { url: b.endpoint.url },
    source: 'per-user',
    fallback: ['profile', 'shared'],
  })
  await b.enter({ scope: 'user:ada', fields: { ...CLIENT, clientId: 'ada' } })
  for (const [status, code] of [
    [500, 'refresh_failed'],
    [401, 'refresh_failed'],
    [400, 'reauthorization_required'],
  ] as const) {
    b.endpoint.status = status
    b.clock.time += 2_000
    t.equal(await outcome(b.open()), code, String(status))
  }
  t.same([...new Set(b.endpoint.asked.map(({ clientId }) => clientId))], ['ada'])
  b.endpoint.status = 200
  const asked = b.endpoint.asked.length
  t.equal(await outcome(b.open()), 'reauthorization_required', 'what failed a moment ago is not asked again')
  t.equal(b.endpoint.asked.length, asked)
  b.clock.time += 2_000
  t.equal(await outcome(b.open()), 'fine')
})

t.test('whatever an acquisition throws becomes refresh_failed, without a word of it', async (t) => {
  const odd: AuthMethod = {
    ...tokenMethod,
    acquire: async ({ fields }) => {
      throw new Error(`refused for ${JSON.stringify(fields)}`)
    },
  }
  const b = await openBroker(t, { known: new Map([[odd.id, odd]]) })
  await b.connect({ method: 'token' })
  await b.enter({ fields: CLIENT })
  const error = (await b.open().catch((thrown: unknown) => thrown)) as LocumError
  t.equal(error.code, 'refresh_failed')
  t.notMatch(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error), CLIENT.clientSecret)
})

t.test('a method that never answers holds up nobody for ever', async (t) => {
  const b = await openWithTokens(t)
  const deaf: AuthMethod = { ...tokenMethod, acquire: () => new Promise(() => {}) }
  const credential = (await b.store.credential(SYSTEM, 'cred_crm_shared')) as Credential
  const impatient = new Grants({ ...b, patience: 5 })
  const asking = { ...ASKING, route: { ...b.route(), method: deaf }, holder: credential }
  // The timer of a signal keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  t.equal(await outcome(impatient.hold(asking)), 'refresh_failed')
  t.equal(await outcome(b.open()), 'fine', 'the lease is free again')
})

/** Two brokers over one folder: one is taken for dead while it acquires, and another takes over. */
async function overtake(t: RootTest, lifetime?: number) {
  const one = await openWithTokens(t)
  const two = await openBroker(t, { data: one.data, clock: one.clock })
  one.endpoint.lifetime = lifetime
  const held = gate()
  one.endpoint.gate = held.wait
  const came = one.endpoint.next()
  const late = one.token()
  await came
  // Its lease has ended.
  one.clock.time += 61_000
  one.endpoint.gate = Promise.resolve()
  const newer = valueIn(await two.open(), 'Access_Token')
  t.equal(newer, one.endpoint.tokens[0])
  held.open()
  return { one, late, newer }
}

t.test('a late answer never overwrites a newer token', async (t) => {
  const { one, late, newer } = await overtake(t)
  t.equal(await late, newer, 'the late one takes what is there')
  t.equal(one.endpoint.tokens.length, 2)
  t.equal(await one.token({ session: 'new' }), newer)
})

t.test('a renewal is written down before it calls out', async (t) => {
  const steps: string[] = []
  const noting =
    <A extends unknown[], R>(name: string, step: (...args: A) => R) =>
    (...args: A): R => {
      steps.push(name)
      return step(...args)
    }
  const b = await openWithTokens(t, {
    wrap: (store): Store => ({
      ...store,
      intend: noting('intend', store.intend),
      replaceGrant: noting('replace', store.replaceGrant),
    }),
  })
  const held = gate()
  b.endpoint.gate = held.wait
  const came = b.endpoint.next()
  const token = b.token()
  await came
  t.same(steps, ['intend'])
  held.open()
  await token
  t.same(steps, ['intend', 'replace'])
})

t.test('whatever a token was fetched with makes it another token (R24)', async (t) => {
  const b = await openWithTokens(t)
  const first = await b.token()
  await b.connect({ method: 'token', methodConfig: { url: `${b.endpoint.url}?scope=more` } })
  const second = await b.token()
  t.not(second, first, 'what the connection says')
  await b.connect({ method: 'token', methodConfig: { url: b.endpoint.url } })
  t.equal(await b.token(), first, 'the same again')
  await b.enter({ fields: { ...CLIENT, clientSecret: 'another' } })
  t.not(await b.token(), first, 'the credential, entered again')
  await b.connect({ name: 'crm2', method: 'token', methodConfig: { url: b.endpoint.url } })
  await b.enter({ connection: 'crm2', fields: CLIENT })
  t.not(await b.token({ name: 'crm2' }), first, 'another credential')
  t.equal(b.endpoint.asked.length, 4)
})

t.test('consent that was withdrawn is said at once, while the old token would still serve', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 60
  await b.token()
  b.clock.time += 40_000
  b.endpoint.status = 400
  await renewedBehind(b)
  t.equal(await outcome(b.token()), 'reauthorization_required')
})

t.test('who is overtaken serves the newer token until that is to be renewed', async (t) => {
  const { one, late, newer } = await overtake(t, 3_600)
  t.equal(await late, newer)
  one.clock.time += 3_569_999
  t.equal(await one.token(), newer)
  t.equal(one.endpoint.asked.length, 2, 'not asked again after a few seconds')
  one.clock.time += 1
  t.not(await another(one, newer), newer)
})

t.test('a token in force costs one look at the store, and no lease', async (t) => {
  const steps: string[] = []
  const b = await openWithTokens(t, {
    wrap: (store): Store => ({
      ...store,
      grant: (...args) => {
        steps.push('look')
        return store.grant(...args)
      },
      lease: (...args) => {
        steps.push('lease')
        return store.lease(...args)
      },
    }),
  })
  await Promise.all(Array.from({ length: 20 }, (_, i) => b.token({ session: `first ${i}` })))
  t.same(steps.splice(0), ['look', 'lease', 'look'], 'twenty at once, where there is none')
  await Promise.all(Array.from({ length: 20 }, (_, i) => b.token({ session: `next ${i}` })))
  t.same(steps, ['look'])
})

t.test(
  'what a server gave and the store did not take is kept until it does, and asked for once',
  async (t) => {
    let down = true
    const b = await openWithTokens(t, {
      wrap: (store): Store => ({
        ...store,
        replaceGrant: (...args) =>
          down ? Promise.reject(new LocumError('store_unavailable', 'down')) : store.replaceGrant(...args),
      }),
    })
    t.equal(await outcome(b.open()), 'store_unavailable', 'what is not kept is not used')
    t.equal(await outcome(b.open()), 'store_unavailable')
    down = false
    t.equal(await b.token(), b.endpoint.tokens[0])
    t.equal(b.endpoint.asked.length, 1)
    const next = await openBroker(t, { data: b.data, clock: b.clock })
    t.equal(valueIn(await next.open(), 'Access_Token'), b.endpoint.tokens[0])
  },
)

t.test('what fails again and again is asked for more and more rarely', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.status = 500
  for (const [pass, asked] of [
    [0, 1],
    [249, 1],
    [1, 2],
    [499, 2],
    [1, 3],
    [1_000, 4],
    [2_000, 5],
    [1_999, 5],
    [1, 6],
  ] as const) {
    b.clock.time += pass
    t.equal(await outcome(b.open()), 'refresh_failed')
    t.equal(b.endpoint.asked.length, asked, `${pass} ms later`)
  }
  b.endpoint.status = 200
  b.clock.time += 2_000
  t.equal(await outcome(b.open()), 'fine')
})

t.test('behind a success, failures count anew', async (t) => {
  const b = await openWithTokens(t)
  b.endpoint.lifetime = 60
  b.endpoint.status = 500
  t.equal(await outcome(b.open()), 'refresh_failed')
  b.clock.time += 250
  t.equal(await outcome(b.open()), 'refresh_failed')
  b.clock.time += 500
  b.endpoint.status = 200
  t.equal(await outcome(b.open()), 'fine')
  b.clock.time += 61_000
  b.endpoint.status = 500
  t.equal(await outcome(b.open()), 'refresh_failed')
  const { length } = b.endpoint.asked
  b.clock.time += 250
  t.equal(await outcome(b.open()), 'refresh_failed')
  t.equal(b.endpoint.asked.length, length + 1, 'a quarter of a second later, as at first')
})
