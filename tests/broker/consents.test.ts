import t, { type Test } from 'tap'
import { Consents } from '../../broker/consents.ts'
import { Grants } from '../../broker/grants.ts'
import type { AuditEntry } from '../../core/audit.ts'
import type { AuthMethod, ConsentRules, DeviceCode, Grant, MethodIO } from '../../core/auth-method.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import { type Principal, type Provider, type Scope, SYSTEM } from '../../core/words.ts'
import { to } from '../core/kit.ts'
import { openBroker } from './kit.ts'

const BY: Principal = { id: 'ada', kind: 'user', projects: [], admin: false, via: 'session' }
const ADA = { provider: 'idp', scope: 'user:ada' as Scope, by: BY }
const GRANT: Grant = { values: { token: { access_token: 'a-token', scope: 'read write' } } }
const CODE: DeviceCode = {
  userCode: 'ABCD',
  verificationUri: 'https://idp.example/device',
  verificationUriComplete: undefined,
  expiresAt: 1_700_000_060_000,
  interval: 5_000,
  keep: { device: 'a-device-code' },
}

/** Consents over a real store, at a provider that does what `rules` say. */
async function openConsents(t: Test, rules: Partial<ConsentRules> = {}, config: JsonObject = {}) {
  const method: AuthMethod = {
    id: 'consented',
    title: 'Consented',
    fields: {},
    configKeys: [],
    provider: {
      required: true,
      configKeys: [],
      configSchema: {},
      fields: {},
      checkConfig() {},
      endpoints: () => [],
      byConsent: ({ serves }) => serves !== 'alone',
    },
    acquire: async () => GRANT,
    values: ({ fields, grant }) => ({ values: { ...grant?.values, ...fields }, plain: [] }),
    consent: {
      way: ({ way = 'redirect' }) => way as 'redirect',
      scopes: () => ({ required: ['read'], optional: ['write'], url: undefined }),
      begin: async ({ state }) => ({
        url: `https://idp.example/authorize?state=${state}`,
        keep: { verifier: 'a-verifier' },
      }),
      complete: async () => GRANT,
      beginDevice: async () => CODE,
      pollDevice: async () => ({ grant: GRANT }),
      revoke: async () => true,
      ...rules,
    },
  }
  const known = new Map([[method.id, method]])
  const b = await openBroker(t, { known })
  const { store, sealer, clock, callOut, signingKeys } = b
  const record: AuditEntry[] = []
  const audit = {
    record: (entry: AuditEntry) => void record.push(entry),
    recordThen: () => {},
    recordSoon: () => {},
  }
  const grants = new Grants({ store, sealer, clock, callOut, signingKeys })
  const consents = new Consents({ store, sealer, clock, methods: known, audit, grants })
  const provider = (name: string, more: JsonObject): Provider => ({
    name,
    method: 'consented',
    config: more,
    calls: ['https://idp.example/token'],
    fieldNames: [],
    sealed: {},
    version: 1,
  })
  await store.putProvider(SYSTEM, provider('idp', config))
  const connect = (name: string, more: Parameters<typeof b.connect>[0] = {}) =>
    b.connect({ name, method: 'consented', provider: 'idp', source: 'per-user', ...more })
  await connect('crm')
  const begin = (more: { session?: string; opener?: string; scope?: Scope } = {}) =>
    consents.begin({ ...ADA, session: 'one', redirectUri: 'https://locum.example/back', ...more })
  const stateOf = ({ url }: { url: string }) => new URL(url).searchParams.get('state') ?? ''
  const answer = new URL('https://locum.example/back?code=x')
  return {
    ...b,
    consents,
    record,
    provider,
    connect,
    begin,
    /** All of the way, for a scope. */
    async consent(more: { opener?: string; scope?: Scope } = {}) {
      const state = stateOf(await begin(more))
      return consents.complete({ state, sessions: ['one'], answer })
    },
    complete: async (begun: { url: string }, ...sessions: string[]) =>
      consents.complete({ state: stateOf(begun), sessions, answer }),
  }
}

t.test(
  'who is to consent sees what for: the way, the scopes, and the connections of that provider',
  async (t) => {
    const x = await openConsents(t)
    await x.connect('crm-too', { destinations: [to('https://a.example'), to('https://b.example')] })
    await x.store.putProvider(SYSTEM, x.provider('other', {}))
    await x.connect('elsewhere', { provider: 'other' })
    t.same(await x.consents.view('idp'), {
      provider: 'idp',
      way: 'redirect',
      scopes: { required: ['read'], optional: ['write'], url: undefined },
      connections: [
        { name: 'crm', destinations: ['https://crm.example'] },
        { name: 'crm-too', destinations: ['https://a.example', 'https://b.example'] },
      ],
    })
  },
)

t.test('a consent is asked for where it would serve somebody, and nowhere else', async (t) => {
  const x = await openConsents(t)
  await x.store.putProvider(SYSTEM, x.provider('unused', {}))
  await x.store.putProvider(SYSTEM, x.provider('alone', { serves: 'alone' }))
  const asked = (provider: string, scope: Scope = 'user:ada') =>
    x.consents.ticket({ provider, scope, by: BY })
  await t.rejects(asked('unused'), { code: 'bad_request', message: /`unused`: no connection uses it\.$/ })
  await t.rejects(asked('idp', 'shared'), {
    code: 'bad_request',
    message: /at `idp`: `crm` never looks for a shared credential/,
  })
  await t.rejects(x.begin({ scope: 'shared' }), { code: 'bad_request' })
  await t.rejects(x.consents.beginDevice({ ...ADA, scope: 'shared' }), { code: 'bad_request' })
  await t.rejects(asked('alone'), { code: 'bad_request', message: /Nobody consents at `alone`/ })
  await x.connect('team', { source: 'shared' })
  t.match(await asked('idp', 'shared'), /^[\w-]{43}$/, 'one connection is enough')
})

t.test('a provider that is not there is named as it was written, where that is a name', async (t) => {
  const x = await openConsents(t)
  for (const [written, said] of [
    ['no-such.one', 'no-such.one'],
    ['x'.repeat(128), 'x'.repeat(128)],
    ['x'.repeat(129), '…'],
    ['<b>name', '…'],
    ['name</b>', '…'],
    ['', '…'],
  ] as const)
    await t.rejects(x.consents.view(written), {
      code: 'bad_request',
      message: `There is no provider \`${said}\`.`,
      hint: /locum provider ls/,
    })
})

t.test('an answer is taken from the browser that was sent away, once, within ten minutes', async (t) => {
  const x = await openConsents(t)
  const refused = { code: 'bad_request', message: /no answer to a question that was asked here/ }
  const begun = await x.begin({ opener: 'https://app.example' })
  t.equal(begun.way, 'redirect')
  t.match(await x.complete(begun, 'another', 'one'), {
    provider: 'idp',
    scope: 'user:ada',
    opener: 'https://app.example',
  })
  await t.rejects(x.complete(begun, 'one'), refused)
  await t.rejects(x.complete(await x.begin(), 'another'), refused)
  const late = await x.begin()
  x.clock.time += 600_000
  await t.rejects(x.complete(late, 'one'), refused)
  const soon = await x.begin()
  x.clock.time += 599_999
  t.equal((await x.complete(soon, 'one')).opener, undefined)
})

t.test('the method sees at the end what it kept at the beginning', async (t) => {
  let seen: unknown
  const complete: ConsentRules['complete'] = async ({ provider, redirectUri, state, keep, answer }) => {
    seen = { provider: provider.name, redirectUri, state, keep, answer: answer.href }
    return GRANT
  }
  const x = await openConsents(t, { complete })
  const begun = await x.begin()
  await x.complete(begun, 'one')
  t.same(seen, {
    provider: 'idp',
    redirectUri: 'https://locum.example/back',
    state: new URL(begun.url).searchParams.get('state'),
    keep: { verifier: 'a-verifier' },
    answer: 'https://locum.example/back?code=x',
  })
})

t.test(
  'what was consented to serves whoever it is for, says what was granted, and goes into the audit',
  async (t) => {
    const x = await openConsents(t)
    const done = await x.consent()
    await x.poll()
    const material = await x.broker.open(x.request())
    t.equal(material.credential.id, done.credential)
    t.match(material.values.reveal().values, { token: { access_token: 'a-token' }, scope: 'read write' })
    t.same(x.record, [
      {
        event: 'change',
        caller: 'ada',
        via: 'session',
        actor: 'human',
        operation: 'provider.connect',
        subject: 'idp/user:ada',
        outcome: 'done',
      },
    ])
    t.match(await x.store.credential(SYSTEM, done.credential), {
      name: 'idp for user:ada',
      owner: 'user:ada',
      disabled: false,
      projects: [],
      version: 1,
      createdAt: x.clock.time,
    })
    t.same(await x.consents.held('idp', 'user:ada'), { ...GRANT, expiresAt: undefined })
    t.equal(await x.consents.held('idp', 'user:ben'), undefined)
  },
)

t.test('a provider that does not say what it granted is kept with an empty word', async (t) => {
  for (const token of [null, 'opaque', {}, { scope: 7 }] as Json[]) {
    const x = await openConsents(t, { complete: async () => ({ values: { token } }) })
    await x.consent()
    await x.poll()
    const { values } = (await x.broker.open(x.request())).values.reveal()
    t.equal(values.scope, '', JSON.stringify(token))
  }
})

t.test(
  'whoever consents approves what every connection of the provider reaches, destinations first (R25)',
  async (t) => {
    const x = await openConsents(t)
    await x.connect('crm-too', { destinations: [to('https://a.example')], query: [['k', '{{$Auth.token}}']] })
    await x.connect('web', { destinations: [to('http://b.example')], allowPlaintext: true })
    // One that a newer program made does not stand in the way.
    await x.connect('newer', { method: 'of-a-newer-program', destinations: [to('https://c.example')] })
    const { credential } = await x.consent()
    const { audience = [] } = (await x.store.credential(SYSTEM, credential)) ?? {}
    t.same(audience.slice(0, 3), ['https://crm.example', 'https://a.example', 'http://b.example'])
    t.same(
      audience.slice(3).filter((text) => /^https?:/.test(text)),
      [],
    )
    t.ok(audience.includes('calls: https://idp.example/token'))
    t.ok(audience.includes('sets: query:k'))
  },
)

t.test('a second consent renews the first: the same credential, a later version, one binding', async (t) => {
  const x = await openConsents(t)
  const first = await x.consent()
  x.clock.time += 1_000
  const second = await x.consent()
  t.equal(second.credential, first.credential)
  t.match(await x.store.credential(SYSTEM, first.credential), {
    version: 2,
    createdAt: x.clock.time - 1_000,
    changedAt: x.clock.time,
  })
})

t.test('what was stopped by hand stays so when it is consented to again', async (t) => {
  const x = await openConsents(t)
  const { credential: id } = await x.consent()
  const kept = await x.store.credential(SYSTEM, id)
  if (!kept) throw new Error('it is not there')
  await x.store.putCredential(SYSTEM, { ...kept, version: 2, disabled: true, name: 'mine', projects: ['p'] })
  await x.consent()
  t.match(await x.store.credential(SYSTEM, id), { disabled: true, name: 'mine', projects: ['p'] })
  // Suspended with its owner's keys it has no fields (R28).
  await x.store.putCredential(SYSTEM, { ...kept, version: 4, disabled: true, fieldNames: [], sealed: {} })
  await x.consent()
  t.match(await x.store.credential(SYSTEM, id), { disabled: false, fieldNames: ['scope'] })
})

t.test('what a provider refuses is in the audit as failed, and nothing is kept', async (t) => {
  const refusal = new Error('refused')
  const x = await openConsents(t, { complete: () => Promise.reject(refusal) })
  await t.rejects(x.consent(), refusal)
  t.match(x.record, [{ operation: 'provider.connect', subject: 'idp/user:ada', outcome: 'failed' }])
  t.same(await x.store.credentials(SYSTEM), [])
})

t.test('where a code is typed no page is opened, and the other way round', async (t) => {
  const page = await openConsents(t)
  await t.rejects(page.consents.beginDevice(ADA), {
    code: 'bad_request',
    message: /by a page, not by a code/,
  })
  const device = await openConsents(t, {}, { way: 'device' })
  await t.rejects(device.begin(), {
    code: 'bad_request',
    message: /by a code, not by a page/,
    hint: 'locum connect idp',
  })
  t.same(await device.consents.beginDevice(ADA), CODE)
})

t.test(
  'a code is asked for at its interval, more slowly where the provider says so, until it is over',
  async (t) => {
    const answers: { grant?: Grant; slower?: number }[] = [{}, { slower: 5_000 }, {}, { grant: GRANT }]
    const asked: JsonObject[] = []
    const pollDevice = async ({ keep }: { keep: JsonObject }, _io: MethodIO) => {
      asked.push(keep)
      return answers.shift() ?? {}
    }
    const x = await openConsents(t, { pollDevice }, { way: 'device' })
    const waits: number[] = []
    const pause = async (ms: number) => {
      waits.push(ms)
      x.clock.time += ms
    }
    t.match(await x.consents.awaitDevice(ADA, CODE, pause), { provider: 'idp', scope: 'user:ada' })
    t.same(waits, [5_000, 5_000, 10_000, 10_000])
    t.same(asked, Array(4).fill(CODE.keep))
    x.clock.time = CODE.expiresAt - CODE.interval
    await t.rejects(x.consents.awaitDevice(ADA, CODE, pause), {
      code: 'refresh_failed',
      message: 'The code is over.',
      hint: /locum connect idp/,
    })
    t.equal(asked.length, 4, 'at its end it is asked for no more')
  },
)

t.test(
  'a ticket is looked at as often as one likes, and taken once, in the name of who made it',
  async (t) => {
    const x = await openConsents(t)
    const token = await x.consents.ticket(ADA)
    const held = { provider: 'idp', scope: 'user:ada', by: { id: 'ada', kind: 'user', via: 'session' } }
    t.same(await x.consents.seeTicket(token), held)
    t.same(await x.consents.takeTicket(token), held)
    await t.rejects(x.consents.seeTicket(token), { code: 'bad_request' })
    await t.rejects(x.consents.takeTicket(token), { code: 'bad_request' })
    const state = new URL((await x.begin()).url).searchParams.get('state') ?? ''
    await t.rejects(x.consents.takeTicket(state), { code: 'bad_request' }, 'a state is no ticket')
  },
)

t.test('an end ends it here in any case, and says whether the provider took it', async (t) => {
  const revoked: Grant[] = []
  let answer: () => Promise<boolean> = async () => true
  const revoke: ConsentRules['revoke'] = ({ grant }) => {
    revoked.push(grant)
    return answer()
  }
  const x = await openConsents(t, { revoke })
  const end = () => x.consents.end(ADA)
  t.same(await end(), { ended: false, revoked: false }, 'nothing to end')
  t.same(x.record, [])
  await x.consent()
  t.same(await end(), { ended: true, revoked: true })
  t.match(revoked, [GRANT])
  t.match(x.record.at(-1), {
    caller: 'ada',
    operation: 'provider.disconnect',
    subject: 'idp/user:ada',
    outcome: 'done',
  })
  t.same(await x.store.credentials(SYSTEM), [])
  answer = async () => false
  await x.consent()
  t.same(await end(), { ended: true, revoked: false })
  answer = () => Promise.reject(new Error('away'))
  await x.consent()
  await t.rejects(end(), { message: 'away' })
  t.same(await x.store.credentials(SYSTEM), [], 'gone, though the provider was not there')
  t.match(x.record.at(-1), { operation: 'provider.disconnect' })
})

t.test('what is suspended is ended without asking the provider, which has nothing to take', async (t) => {
  const x = await openConsents(t, { revoke: () => Promise.reject(new Error('asked')) })
  const { credential: id } = await x.consent()
  const kept = await x.store.credential(SYSTEM, id)
  if (!kept) throw new Error('it is not there')
  await x.store.putCredential(SYSTEM, { ...kept, version: 2, disabled: true, fieldNames: [], sealed: {} })
  t.same(await x.consents.end(ADA), { ended: true, revoked: false })
})
