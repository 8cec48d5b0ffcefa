import t, { type Test } from 'tap'
import { Grants } from '../../broker/grants.ts'
import { Proofs } from '../../broker/proofs.ts'
import type { AcquireInput, AuthMethod, Finding, Grant, TrustInput } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import { providerPlace } from '../../core/provider.ts'
import { SYSTEM } from '../../core/words.ts'
import { to } from '../core/kit.ts'
import { openBroker } from './kit.ts'

/** Proofs of connections of two methods: `kept` takes a field and acquires nothing, `proven` acquires by a provider. */
async function openProofs(t: Test, x: { grant?: () => Promise<Grant>; prove?: readonly Finding[] } = {}) {
  const proven: AcquireInput[] = []
  const trusted: TrustInput[] = []
  const about = { title: 'Tried', configKeys: [], values: () => ({ values: {}, plain: [] }) }
  const kept: AuthMethod = {
    ...about,
    id: 'kept',
    fields: { apiKey: { title: 'Key', secret: true, required: true } },
  }
  const acquiring: AuthMethod = {
    ...about,
    id: 'proven',
    fields: {},
    worksWithoutCredential: () => true,
    acquire: x.grant ?? (async () => ({ values: {} })),
    provider: {
      required: true,
      configKeys: [],
      configSchema: {},
      fields: {},
      checkConfig() {},
      endpoints: () => [],
      async prove(input) {
        proven.push(input)
        return x.prove ?? [{ says: 'Nobody else is let in.', holds: true }]
      },
      async trust(input) {
        trusted.push(input)
        return { policy: {}, command: [] }
      },
    },
  }
  const known = new Map([kept, acquiring].map((method) => [method.id, method]))
  const b = await openBroker(t, { known })
  const { store, sealer, clock, callOut, signingKeys } = b
  const place = { name: 'idp', version: 1, calls: [] }
  await store.putProvider(SYSTEM, {
    ...place,
    method: 'proven',
    config: { role: 'r' },
    fieldNames: ['key'],
    sealed: { key: sealer.seal(providerPlace(place, 'key'), Buffer.from('"a secret"')) },
  })
  await store.putPrincipal(SYSTEM, {
    id: 'ada',
    kind: 'user',
    profile: 'sales',
    projects: [],
    admin: false,
    disabled: false,
  })
  await b.connect({ name: 'crm', method: 'kept', source: 'per-profile' })
  await b.connect({ name: 'cloud', method: 'proven', provider: 'idp', methodConfig: { region: 'r1' } })
  const grants = new Grants({ store, sealer, clock, callOut, signingKeys })
  return { ...b, proofs: new Proofs({ store, sealer, clock, methods: known, grants }), proven, trusted }
}

t.test('a connection that serves says whose credential does', async (t) => {
  const x = await openProofs(t)
  await x.enter({ scope: 'profile:sales' })
  t.same(await x.proofs.connection('crm', 'ada'), {
    connection: 'crm',
    method: 'kept',
    scope: 'profile:sales',
    findings: [{ says: 'The profile:sales credential opens and is approved.', holds: true }],
  })
  t.same(x.proven, [], 'a method that proves nothing more is not asked to')
})

t.test('one that does not says why and what to do, and nothing further is tried', async (t) => {
  const x = await openProofs(t, {
    grant: async () => {
      throw new LocumError('refresh_failed', 'The role is not there.', { hint: 'Make it.' })
    },
  })
  const { scope, findings } = await x.proofs.connection('crm', 'ada')
  t.equal(scope, undefined)
  t.match(findings, [
    {
      says: /^credential_missing: There is no/,
      holds: false,
      hint: 'locum credential set crm --for profile:sales',
    },
  ])
  t.match((await x.proofs.connection('cloud', 'ada')).findings, [
    { says: 'refresh_failed: The role is not there.', holds: false, hint: 'Make it.' },
  ])
  t.same(x.proven, [])
})

t.test('what is acquired is said with its end, and proven by what it was acquired with', async (t) => {
  const x = await openProofs(t, {
    grant: async () => ({ values: {}, expiresAt: Date.UTC(2030, 0, 1) }),
    prove: [{ says: 'Others are let in as well.', holds: false, hint: 'Close it.' }],
  })
  const { findings, scope } = await x.proofs.connection('cloud', 'ada')
  t.equal(scope, 'shared')
  t.same(findings, [
    { says: 'The shared credential opens and is approved.', holds: true },
    { says: 'What it takes was acquired; it serves until 2030-01-01T00:00:00.000Z.', holds: true },
    { says: 'Others are let in as well.', holds: false, hint: 'Close it.' },
  ])
  t.match(x.proven, [
    {
      config: { region: 'r1' },
      provider: { name: 'idp', config: { role: 'r' }, fields: { key: 'a secret' } },
      caller: { principal: { id: 'ada', kind: 'user', profile: 'sales' } },
    },
  ])
})

t.test('what has no end serves until it is refused', async (t) => {
  const { proofs } = await openProofs(t)
  t.match((await proofs.connection('cloud', 'ada')).findings[1], {
    says: 'What it takes was acquired; it serves until it is refused.',
    holds: true,
  })
})

t.test('it is tried at a destination that is written out, not at a wildcard', async (t) => {
  const x = await openProofs(t)
  const destinations = [to('https://*.crm.example'), to('https://crm.example')]
  await x.connect({ name: 'crm', method: 'kept', source: 'per-profile', destinations, version: 2 })
  await x.enter({ scope: 'profile:sales', more: { audience: ['https://crm.example'] } })
  t.match((await x.proofs.connection('crm', 'ada')).findings, [{ holds: true }])
})

t.test('a fault of Locum’s own is no finding', async (t) => {
  const x = await openProofs(t)
  await x.enter({ scope: 'profile:sales' })
  const fault = new TypeError('a fault')
  const store = {
    ...x.store,
    bound: () => Promise.reject(fault),
  }
  const { sealer, clock, callOut, signingKeys } = x
  const methods = new Map([['kept', x.route('crm').method]])
  const grants = new Grants({ store, sealer, clock, callOut, signingKeys })
  await t.rejects(new Proofs({ store, sealer, clock, methods, grants }).connection('crm', 'ada'), fault)
})

t.test('what the other side has to trust are the sites that are named, or else this one', async (t) => {
  const x = await openProofs(t)
  await x.proofs.trust('idp', { sites: [], principal: undefined })
  await x.proofs.trust('idp', { sites: ['one'], principal: 'arn' })
  await x.proofs.trust('idp', { sites: ['one', 'two'], principal: undefined })
  t.same(
    x.trusted.map(({ sites, principal }) => ({ sites, principal })),
    [
      { sites: [(await x.store.site()).id], principal: undefined },
      { sites: ['one'], principal: 'arn' },
      { sites: ['one', 'two'], principal: undefined },
    ],
  )
  t.match(x.trusted[0]?.provider, { name: 'idp', fields: { key: 'a secret' } })
})
