import t from 'tap'
import type { AuthMethod } from '../../core/auth-method.ts'
import {
  bindingPlace,
  fieldsOf,
  isByConsent,
  needsNoCredential,
  noCredentialId,
  placeOf,
  providerOf,
  providerPlace,
  withProvider,
} from '../../core/provider.ts'
import type { Provider } from '../../core/words.ts'
import { makeConnection, methodWith } from './kit.ts'

const connection = makeConnection({ calls: ['https://api.example'], methodConfig: { a: 1 } })

const provider: Provider = {
  name: 'idp',
  method: 'test',
  config: { ca: 'PEM', scopes: ['read'], allowPrivateNetwork: true },
  calls: ['https://idp.example/token', 'https://api.example'],
  fieldNames: [],
  sealed: {},
  version: 3,
}

t.test(
  'a credential that is entered goes where connection and provider take it, with all that they say',
  async (t) => {
    const whole = withProvider(connection, methodWith(), provider)
    t.same(whole.calls, ['https://api.example', 'https://idp.example/token'])
    t.same(whole.methodConfig, { a: 1, provider: provider.config })
    t.equal(withProvider(connection, methodWith(), undefined), connection)
    t.same(withProvider(makeConnection(), methodWith(), provider).calls, provider.calls)
  },
)

t.test('what was consented to goes to the provider alone, whatever a connection says', async (t) => {
  const method = methodWith({ byConsent: () => true })
  const whole = withProvider(connection, method, provider)
  t.same(whole.methodConfig, { ca: 'PEM', allowPlaintext: false, allowPrivateNetwork: true })
  t.same(withProvider(connection, method, { config: {}, calls: [] }).methodConfig, {
    ca: null,
    allowPlaintext: false,
    allowPrivateNetwork: false,
  })
})

t.test(
  'a credential by consent serves every connection of its provider, any other its connection',
  async (t) => {
    const consented = methodWith({ byConsent: ({ scopes }) => scopes !== undefined })
    t.equal(isByConsent(consented, provider), true)
    t.equal(isByConsent(consented, { config: {} }), false)
    t.equal(isByConsent(consented, undefined), false)
    t.equal(isByConsent(methodWith(), provider), false)
    t.equal(placeOf(connection, consented, provider), 'provider:idp')
    t.equal(placeOf(connection, methodWith(), provider), 'crm')
    t.equal(placeOf(connection, consented, undefined), 'crm')
    t.equal(providerOf('provider:idp'), 'idp')
    t.equal(providerOf('crm'), undefined)
    t.equal(providerOf(bindingPlace('a')), 'a')
    t.equal(noCredentialId('crm'), 'none:crm')
  },
)

t.test('a provider may say what a credential is made of, and whether one is needed', async (t) => {
  const method = methodWith({ credentialFields: ({ scopes }) => (scopes ? {} : undefined) })
  t.same(fieldsOf(method, provider), {})
  t.same(fieldsOf(method, { config: {} }), method.fields)
  t.same(fieldsOf(method, undefined), method.fields)
  t.equal(needsNoCredential(connection, method, provider), false)
  const without: AuthMethod = { ...method, worksWithoutCredential: (_, config) => config?.ca === 'PEM' }
  t.equal(needsNoCredential(connection, without, provider), true)
  t.equal(needsNoCredential(connection, without, undefined), false)
})

t.test('a field of a provider is sealed for its place alone', async (t) => {
  t.same(providerPlace(provider, 'clientSecret'), {
    table: 'providers',
    row: 'idp',
    field: 'clientSecret',
    version: 3,
    owner: 'site',
    audience: provider.calls,
  })
})
