import { mock } from 'node:test'
import { inspect } from 'node:util'
import t from 'tap'
import { IDLE_LIMIT } from '../../broker/broker.ts'
import type { AuthMethod, MethodInput } from '../../core/auth-method.ts'
import { providerPlace } from '../../core/provider.ts'
import { SYSTEM } from '../../core/words.ts'
import { makeConnection, to } from '../core/kit.ts'
import { startTokenEndpoint } from '../kit/token-method.ts'
import { HERE, openBroker, outcome, valueIn } from './kit.ts'

t.test('opens the credential of the one who calls, and of nobody else', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user', fallback: ['profile', 'shared'] })
  for (const scope of ['user:ada', 'user:bob', 'profile:sales', 'shared'] as const) await b.enter({ scope })
  for (const [who, scope] of [
    [{ id: 'ada' }, 'user:ada'],
    [{ id: 'bob', profile: 'sales' }, 'user:bob'],
    [{ id: 'cyd', profile: 'sales' }, 'profile:sales'],
    [{ id: 'cyd', profile: 'support' }, 'shared'],
    [{ id: 'cyd' }, 'shared'],
  ] as const) {
    const material = await b.open({ who })
    t.equal(valueIn(material, 'API_Key'), `key for ${scope}`)
    t.equal(material.credential.scope, scope)
  }
})

t.test('decrypts nothing before the destination is judged', async (t) => {
  const b = await openBroker(t)
  await b.connect({
    destinations: [
      to(HERE),
      to('https://new.example'),
      to('http://plain.example'),
      to('https://*.wild.example'),
    ],
  })
  await b.enter({ more: { audience: [HERE, 'http://plain.example', 'https://*.wild.example'] } })
  t.equal(await outcome(b.open({ at: 'https://new.example' })), 'credential_outside_audience')
  t.equal(await outcome(b.open({ at: 'http://plain.example' })), 'not_allowed')
  t.equal(await outcome(b.open({ at: 'https://a.wild.example' })), 'credential_outside_audience')
  t.equal(
    await outcome(b.open({ at: 'https://evil.example' })),
    'connection_not_found',
    'whatever the request says',
  )
  await b.store.setCredentialDisabled(SYSTEM, 'cred_crm_shared', true)
  t.equal(await outcome(b.open()), 'credential_missing')
  t.same(b.opened, [])
  await b.store.setCredentialDisabled(SYSTEM, 'cred_crm_shared', false)
  t.equal(await outcome(b.open()), 'fine')
  t.same(
    b.opened.map(({ row, field }) => [row, field]),
    [['cred_crm_shared', 'apiKey']],
  )
})

t.test('a base that the credential says is judged like any destination', async (t) => {
  const b = await openBroker(t)
  await b.connect({
    method: 'raw',
    source: 'per-user',
    destinations: [to('https://*.crm.example')],
    ownedWildcard: true,
    base: 'https://{{$Auth.subdomain}}.crm.example/api',
  })
  const enter = (id: string, subdomain: string, audience: string[]) =>
    b.enter({ scope: `user:${id}`, fields: { subdomain }, more: { audience } })
  await enter('ada', 'acme', ['https://*.crm.example', 'slot: base'])
  await enter('bob', 'acme', ['https://other.crm.example', 'slot: base'])
  await enter('cyd', 'acme', ['https://*.crm.example'])
  await enter('eve', 'evil.example/', ['https://*.crm.example', 'slot: base'])
  const { base } = await b.open({ at: undefined })
  t.equal(`${base?.candidate.text}${base?.prefix}`, 'https://acme.crm.example/api')
  for (const id of ['bob', 'cyd'])
    t.equal(await outcome(b.open({ at: undefined, who: { id } })), 'credential_outside_audience', id)
  t.equal(await outcome(b.open({ at: undefined, who: { id: 'eve' } })), 'connection_not_found')
})

t.test('an open credential serves at once, and shows itself to nobody', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  await b.enter({})
  const request = b.request()
  const material = await b.broker.open(request)
  t.equal(b.broker.open(request), material, 'the same, without a promise')
  t.equal(b.broker.open(b.request()), material, 'for an equal request')
  t.equal(b.opened.length, 1)
  t.not(await b.open({ session: 'other' }), material, 'another session is another caller')
  t.notMatch(inspect(material, { depth: 9, showHidden: true }) + JSON.stringify(material), 'key for')
})

t.test('opens that come together are one', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  await b.enter({})
  const materials = await Promise.all(Array.from({ length: 1_000 }, () => b.open()))
  t.equal(new Set(materials).size, 1)
  t.equal(b.opened.length, 1)
})

t.test('what fails is not kept', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  t.same(await Promise.all([outcome(b.open()), outcome(b.open())]), [
    'credential_missing',
    'credential_missing',
  ])
  await b.enter({})
  t.equal(await outcome(b.open()), 'fine')
})

t.test('a change is in force once the feed has been read', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user', fallback: ['shared'] })
  await b.enter({})
  const value = async () => valueIn(await b.open(), 'API_Key')
  t.equal(await value(), 'key for shared')
  await b.enter({ fields: { apiKey: 'a later key' } })
  t.equal(await value(), 'a later key', 'entered again')
  await b.enter({ scope: 'user:ada' })
  t.equal(await value(), 'key for user:ada', 'bound nearer')
  await b.store.unbind(SYSTEM, 'crm', 'user:ada')
  await b.poll()
  t.equal(await value(), 'a later key', 'unbound')
  await b.store.setCredentialDisabled(SYSTEM, 'cred_crm_shared', true)
  await b.poll()
  t.equal(await outcome(b.open()), 'credential_missing', 'disabled')
  await b.store.setCredentialDisabled(SYSTEM, 'cred_crm_shared', false)
  await b.poll()
  t.equal(await outcome(b.open()), 'fine')
  await b.connect({ source: 'per-user', fallback: [] })
  t.equal(await outcome(b.open()), 'credential_missing', 'the connection looks elsewhere')
  await b.connect({ source: 'shared' })
  t.equal(await outcome(b.open()), 'fine')
  await b.store.removeCredential(SYSTEM, 'cred_crm_shared')
  await b.poll()
  t.equal(await outcome(b.open()), 'credential_missing', 'removed')
})

t.test('a connection that is removed and made again is another', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  await b.enter({})
  await b.open()
  await b.store.removeConnection(SYSTEM, 'crm')
  await b.store.putConnection(SYSTEM, makeConnection({ destinations: [to('https://new.example')] }))
  await b.poll()
  t.equal(b.route().connection.version, 1)
  t.match(b.route().connection.destinations, [{ host: 'new.example' }])
  t.equal(
    await outcome(b.open({ at: 'https://new.example' })),
    'credential_missing',
    'its bindings went with it',
  )
})

t.test('one change forgets what it touches, and leaves the rest open', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user' })
  await b.enter({ scope: 'user:ada' })
  await b.enter({ scope: 'user:bob' })
  const bob = { who: { id: 'bob' } }
  const [ada, other] = [await b.open(), await b.open(bob)]
  await b.store.setCredentialProjects(SYSTEM, 'cred_crm_user_ada', ['north'])
  await b.poll()
  t.not(await b.open(), ada)
  t.equal(await b.open(bob), other)
  await b.store.putPrincipal(SYSTEM, { id: 'bob', kind: 'user', projects: [], admin: false, disabled: false })
  await b.poll()
  t.not(await b.open(bob), other)
})

t.test('keeps a bounded number open, and forgets the oldest', async (t) => {
  const b = await openBroker(t, { limit: 3 })
  await b.connect()
  await b.enter({})
  for (const session of ['1', '2', '3', '4']) await b.open({ session })
  t.equal(b.opened.length, 4)
  for (const session of ['2', '3', '4']) await b.open({ session })
  t.equal(b.opened.length, 4)
  await b.open({ session: '1' })
  t.equal(b.opened.length, 5)
})

t.test('forgets what nobody used for a while', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const b = await openBroker(t)
  await b.connect()
  await b.enter({})
  const used = await b.open({ session: 'used' })
  const unused = await b.open({ session: 'unused' })
  b.clock.time += IDLE_LIMIT - 1
  t.equal(await b.open({ session: 'used' }), used)
  b.clock.time += 1
  mock.timers.tick(IDLE_LIMIT / 5)
  t.equal(b.opened.length, 2)
  t.equal(await b.open({ session: 'unused' }), unused, 'for so long it is kept')
  b.clock.time += IDLE_LIMIT
  t.equal(await b.open({ session: 'used' }), used)
  b.clock.time += 1
  mock.timers.tick(IDLE_LIMIT / 5)
  t.equal(await b.open({ session: 'used' }), used)
  t.not(await b.open({ session: 'unused' }), unused)
})

t.test('a right that is lost while a token is fetched is lost', async (t) => {
  const endpoint = await startTokenEndpoint(t)
  const b = await openBroker(t)
  await b.connect({ method: 'token', methodConfig: { url: endpoint.url } })
  await b.enter({ fields: { clientId: 'c', clientSecret: 's' } })
  let release = () => {}
  endpoint.gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const came = endpoint.next()
  const early = b.open()
  await came
  await b.store.setCredentialDisabled(SYSTEM, 'cred_crm_shared', true)
  await b.poll()
  t.equal(await outcome(b.open()), 'credential_missing', 'who asks now does not join who asked before')
  release()
  t.equal(await outcome(early), 'credential_missing', 'who asked before is judged again')
})

t.test('a request is not served by a connection that changed while a token was fetched', async (t) => {
  const endpoint = await startTokenEndpoint(t)
  const b = await openBroker(t)
  const definition = { method: 'token', methodConfig: { url: endpoint.url } }
  await b.connect(definition)
  await b.enter({ fields: { clientId: 'c', clientSecret: 's' } })
  let release = () => {}
  endpoint.gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const came = endpoint.next()
  const early = b.open()
  await came
  await b.connect({ ...definition, allow: { profiles: ['support'] } })
  release()
  t.equal(await outcome(early), 'not_allowed')
})

t.test('an unrelated change meanwhile costs no second token', async (t) => {
  const endpoint = await startTokenEndpoint(t)
  const b = await openBroker(t)
  await b.connect({ method: 'token', methodConfig: { url: endpoint.url } })
  await b.enter({ fields: { clientId: 'c', clientSecret: 's' } })
  let release = () => {}
  endpoint.gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const came = endpoint.next()
  const early = b.open()
  await came
  await b.connect({ name: 'other' })
  release()
  t.equal(valueIn(await early, 'Access_Token'), endpoint.tokens[0])
  t.equal(endpoint.asked.length, 1)
})

t.test('what an outdated connection renewed never serves the connection as it is now', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'shared' })
  await b.enter({})
  const request = b.request()
  const material = await b.broker.open(request)
  await b.connect({ source: 'per-user' })
  await outcome(b.broker.renew(request, material))
  t.equal(await outcome(b.open()), 'credential_missing')
})

t.test('a value that was sealed for another place is not opened, and the error holds none', async (t) => {
  const b = await openBroker(t)
  await b.connect()
  await b.enter({ sealedFor: 'cred_other' })
  t.equal(await outcome(b.open()), 'internal')
  await b.connect({ name: 'odd' })
  const place = {
    table: 'credentials',
    row: 'cred_odd',
    field: 'apiKey',
    version: 1,
    owner: 'site',
    audience: [HERE],
  }
  await b.enter({ connection: 'odd', more: { id: 'cred_first' } })
  await b.store.putCredential(SYSTEM, {
    id: 'cred_odd',
    name: 'odd',
    owner: 'site',
    audience: [HERE],
    fieldNames: ['apiKey'],
    disabled: false,
    projects: [],
    version: 1,
    createdAt: 0,
    changedAt: 0,
    sealed: { apiKey: b.sealer.seal(place, Buffer.from('sk_live_marked')) },
  })
  await b.store.bind(SYSTEM, { connection: 'odd', scope: 'shared', credential: 'cred_odd' })
  const error = await b.open({ name: 'odd' }).catch((thrown: unknown) => thrown)
  t.match(error, { code: 'internal', cause: undefined })
  t.notMatch(inspect(error, { depth: 9, showHidden: true, customInspect: false }), 'sk_live_marked')
})

t.test(
  'a method that acquires nothing sees its provider with its secrets, one that does sees what it acquired',
  async (t) => {
    const seen: MethodInput[] = []
    const about = {
      title: 'Seen',
      fields: {},
      configKeys: [],
      worksWithoutCredential: () => true,
      values(input: MethodInput) {
        seen.push(input)
        return { values: {}, plain: [] }
      },
    }
    const plain: AuthMethod = { ...about, id: 'plain' }
    const acquiring: AuthMethod = { ...about, id: 'acquiring', acquire: async () => ({ values: { a: 1 } }) }
    const b = await openBroker(t, { known: new Map([plain, acquiring].map((one) => [one.id, one])) })
    for (const { id } of [plain, acquiring]) {
      const place = { name: `by-${id}`, version: 1, calls: [] }
      const key = b.sealer.seal(providerPlace(place, 'key'), Buffer.from('"a secret"'))
      const provider = { ...place, method: id, config: { c: 1 }, fieldNames: ['key'], sealed: { key } }
      await b.store.putProvider(SYSTEM, provider)
      await b.connect({ name: id, method: id, provider: provider.name })
      await b.open({ name: id })
    }
    t.match(seen, [
      { provider: { name: 'by-plain', config: { c: 1 }, fields: { key: 'a secret' } }, grant: undefined },
      { provider: undefined, grant: { values: { a: 1 } } },
    ])
  },
)
