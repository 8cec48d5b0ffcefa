import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Clock } from '../../core/clock.ts'
import { federatedId } from '../../core/identity.ts'
import type { Sealer, Store } from '../../core/store.ts'
import type { Connection, Credential, Principal, Provider } from '../../core/words.ts'
import { SYSTEM } from '../../core/words.ts'

/** One site that can be opened several times over, as several processes would. */
export interface SiteUnderTest {
  open(): Promise<{ store: Store; sealer: Sealer; close(): Promise<void> }>
}

const ADA: Principal = { id: 'ada', kind: 'user', projects: [], admin: false, via: 'key' }

export function connection(name: string, more: Partial<Connection> = {}): Omit<Connection, 'version'> {
  return {
    name,
    destinations: [{ scheme: 'https', host: `${name}.example`, port: 443, wildcard: false }],
    ownedWildcard: false,
    method: 'api-key',
    methodConfig: {},
    source: 'shared',
    fallback: [],
    allow: { methods: ['GET'], paths: ['/v1/*'] },
    headers: [['X-Key', '{{$Auth.API_Key}}']],
    corsOrigins: [],
    allowPrivateNetwork: false,
    allowPlaintext: false,
    ...more,
  }
}

export function credential(sealer: Sealer, id: string, more: Partial<Credential> = {}): Credential {
  const base = {
    id,
    name: `key ${id}`,
    owner: 'site',
    audience: ['https://stripe.example'],
    fieldNames: ['apiKey'],
    disabled: false,
    projects: [],
    version: 1,
    createdAt: 1_000,
    changedAt: 1_000,
    ...more,
  }
  const sealed = Object.fromEntries(
    base.fieldNames.map((field) => [
      field,
      sealer.seal(placeOf(base, field), Buffer.from(JSON.stringify(`secret ${id}`))),
    ]),
  )
  return { ...base, sealed: more.sealed ?? sealed }
}

export function placeOf(of: Pick<Credential, 'id' | 'version' | 'owner' | 'audience'>, field: string) {
  return {
    table: 'credentials',
    row: of.id,
    field,
    version: of.version,
    owner: of.owner,
    audience: of.audience,
  }
}

/** What every back end of the store must do. `makeSite` makes an empty site with that clock, and has it removed with the test. */
export function testStore(name: string, makeSite: (t: Tap, clock: Clock) => Promise<SiteUnderTest>): void {
  t.test(name, async (t) => {
    const clock = { time: 1_700_000_000_000, now: () => clock.time }

    /** A fresh site with one opening, closed with the test. */
    async function fresh(t: Tap) {
      const site = await makeSite(t, clock)
      const opened: { close(): Promise<void> }[] = []
      const open = async () => {
        const one = await site.open()
        opened.push(one)
        return one
      }
      t.teardown(async () => {
        for (const one of opened) await one.close()
      })
      return { ...(await open()), open }
    }

    t.test('a site keeps its id, and takes a url and a contact', async (t) => {
      const { store, open } = await fresh(t)
      const site = await store.site()
      t.match(site.id, /^[0-9a-f-]{36}$/)
      t.equal(site.createdAt, clock.time)
      await store.setSite(SYSTEM, { url: 'https://locum.example', contact: 'it@example.com' })
      const again = await (await open()).store.site()
      t.strictSame(again, { ...site, url: 'https://locum.example', contact: 'it@example.com' })
      await store.setSite(SYSTEM, {})
      t.strictSame(await store.site(), site, 'what is left out goes')
    })

    t.test('principals are added and replaced, with a version that grows', async (t) => {
      const { store } = await fresh(t)
      const ada = {
        id: 'ada',
        kind: 'user' as const,
        profile: 'sales',
        email: 'ada@example.com',
        projects: ['north'],
        admin: false,
        disabled: false,
        mayActFor: ['user:*', 'profile:sales'],
        revokedAt: 1,
        managedBy: 'team',
      }
      const first = await store.putPrincipal(SYSTEM, ada)
      t.strictSame(first, { ...ada, version: 1, createdAt: clock.time })
      t.strictSame(await store.principal(SYSTEM, 'ada'), first)
      const { profile, email, mayActFor, revokedAt, managedBy, ...bare } = ada
      clock.time += 1_000
      const second = await store.putPrincipal(SYSTEM, { ...bare, disabled: true })
      t.strictSame(second, { ...bare, disabled: true, version: 2, createdAt: first.createdAt })
      await store.putPrincipal(SYSTEM, { ...bare, id: 'bob', kind: 'service', admin: true })
      t.strictSame(
        (await store.principals(SYSTEM)).map((each) => each.id),
        ['ada', 'bob'],
      )
      t.equal(await store.principal(SYSTEM, 'eve'), undefined)
    })

    t.test('a user of an issuer is kept under their own id, and nobody else is', async (t) => {
      const { store } = await fresh(t)
      for (const federated of [
        { issuer: 'https://idp.example', subject: 'ada' },
        { issuer: 'https://idp.example', claim: 'oid', subject: 'ada' },
        { issuer: 'https://other.example', subject: 'ada' },
      ]) {
        const id = federatedId(federated)
        const user = { id, kind: 'user' as const, projects: [], admin: false, disabled: false, federated }
        const { federated: kept } = await store.putPrincipal(SYSTEM, user)
        t.strictSame(kept, federated)
        t.strictSame((await store.principal(SYSTEM, id))?.federated, federated)
        const key = { hash: 'k', principal: id, createdAt: 1 }
        await t.rejects(store.addKey(SYSTEM, key), { code: 'bad_request' }, 'no key')
        for (const more of [
          { admin: true },
          { kind: 'service' as const },
          { mayActFor: ['user:*'] },
          { federated: undefined },
          { federated: { ...federated, subject: 'ben' } },
          { id: 'ada' },
        ])
          await t.rejects(store.putPrincipal(SYSTEM, { ...user, ...more }), { code: 'bad_request' })
      }
      t.equal((await store.principals(SYSTEM)).length, 3)
    })

    t.test('a key belongs to one principal and goes with it', async (t) => {
      const { store } = await fresh(t)
      const bare = { kind: 'user' as const, projects: [], admin: false, disabled: false }
      const ada = await store.putPrincipal(SYSTEM, { id: 'ada', ...bare })
      await store.putPrincipal(SYSTEM, { id: 'bob', ...bare })
      const key = { hash: 'a1', principal: 'ada', createdAt: 5, expiresAt: 9, managedBy: 'team' }
      await store.addKey(SYSTEM, key)
      await store.addKey(SYSTEM, { hash: 'a2', principal: 'ada', createdAt: 6 })
      await store.addKey(SYSTEM, { hash: 'b1', principal: 'bob', createdAt: 7 })
      t.strictSame(await store.keyHolder(SYSTEM, 'a1'), { key, principal: ada }, 'expired ones as they are')
      t.equal(await store.keyHolder(SYSTEM, 'ff'), undefined)
      t.strictSame(
        (await store.keys(SYSTEM, 'ada')).map((each) => each.hash),
        ['a1', 'a2'],
      )
      await t.rejects(store.addKey(SYSTEM, { ...key, principal: 'bob' }), { code: 'bad_request' }, 'in use')
      await t.rejects(store.addKey(SYSTEM, { ...key, hash: 'e1', principal: 'eve' }), { code: 'bad_request' })
      t.equal(await store.setKeyEnd(SYSTEM, 'ada', 'a1', 11), true)
      t.strictSame((await store.keyHolder(SYSTEM, 'a1'))?.key, { ...key, expiresAt: 11 }, 'its end alone')
      t.equal(await store.setKeyEnd(SYSTEM, 'bob', 'a1', 12), false, "not another's key")
      t.equal(await store.setKeyEnd(SYSTEM, 'ada', 'ff', 12), false, 'nor one that is gone')
      t.equal(await store.removeKeys(SYSTEM, 'bob', 'a1'), 0, "not another's key")
      t.equal(await store.removeKeys(SYSTEM, 'ada', 'a1'), 1)
      await store.removePrincipal(SYSTEM, 'ada')
      t.equal(await store.keyHolder(SYSTEM, 'a2'), undefined)
      t.equal(await store.principal(SYSTEM, 'ada'), undefined)
      t.ok(await store.keyHolder(SYSTEM, 'b1'), 'others keep theirs')
      t.equal(await store.removeKeys(SYSTEM, 'bob'), 1)
    })

    t.test('a connection comes back as it went in', async (t) => {
      const { store } = await fresh(t)
      const full = connection('crm', {
        base: 'https://{{$Auth.subdomain}}.crm.example/',
        provider: 'idp',
        methodConfig: { a: [1, 'x', null] },
        slots: { headers: ['x-crm-key'], path: true },
        placeholders: { sk_test_standin123: '$Auth.API_Key' },
        query: [['version', '2']],
        body: { json: { tenant: 'acme' } },
        ca: '-----BEGIN CERTIFICATE-----',
        managedBy: 'team',
        destinations: [{ scheme: 'https', host: '*.crm.example', port: 8443, wildcard: true }],
      })
      t.strictSame(await store.putConnection(SYSTEM, full), { ...full, version: 1 })
      t.strictSame(await store.connection(ADA, 'crm'), { ...full, version: 1 }, 'to any principal')
      const { managedBy, ...unmanaged } = full
      t.strictSame(await store.putConnection(SYSTEM, unmanaged), { ...unmanaged, version: 2 })
      await store.putConnection(SYSTEM, connection('api'))
      t.strictSame(
        (await store.connections(ADA)).map((each) => each.name),
        ['api', 'crm'],
      )
      await store.removeConnection(SYSTEM, 'crm')
      t.equal(await store.connection(ADA, 'crm'), undefined)
      await store.removeConnection(SYSTEM, 'crm')
    })

    t.test('a provider is replaced by its next version only, and takes what hangs on it along', async (t) => {
      const { store, sealer } = await fresh(t)
      const provider = (name: string, more: Partial<Provider> = {}): Provider => ({
        name,
        method: 'oauth2',
        config: { issuer: 'https://idp.example' },
        calls: ['https://idp.example/token'],
        fieldNames: ['clientSecret'],
        sealed: { clientSecret: Buffer.from('sealed') },
        version: 1,
        ...more,
      })
      const first = provider('idp', { managedBy: 'team', fingerprint: 'f' })
      t.strictSame(await store.putProvider(SYSTEM, first), first)
      t.strictSame(await store.provider(SYSTEM, 'idp'), first)
      t.equal(await store.provider(SYSTEM, 'other'), undefined)
      for (const version of [1, 3])
        await t.rejects(store.putProvider(SYSTEM, { ...first, version }), { code: 'bad_request' })
      await t.rejects(store.putProvider(SYSTEM, provider('new', { version: 2 })), { code: 'bad_request' })
      await store.putProvider(SYSTEM, provider('aaa'))
      const keep = (key: string, credential: string) =>
        store.lease(SYSTEM, `grant:${key}`, 5_000, (fence) =>
          store.replaceGrant(SYSTEM, key, 0, fence, { sealed: Buffer.alloc(1), credential }),
        )
      await keep('alone', 'none:provider:idp')
      const second = provider('idp', { version: 2, config: { issuer: 'https://new.example' } })
      t.strictSame(await store.putProvider(SYSTEM, second), second)
      t.equal(await store.grant(SYSTEM, 'alone'), undefined, 'what was acquired by the one before is gone')
      t.strictSame(
        (await store.providers(SYSTEM)).map(({ name }) => name),
        ['aaa', 'idp'],
      )
      await t.rejects(
        store.bind(SYSTEM, { connection: 'provider:none', scope: 'shared', credential: 'c1' }),
        { code: 'bad_request' },
      )
      for (const id of ['c1', 'c2']) await store.putCredential(SYSTEM, credential(sealer, id))
      await store.bind(SYSTEM, { connection: 'provider:idp', scope: 'user:ada', credential: 'c1' })
      await store.bind(SYSTEM, { connection: 'provider:aaa', scope: 'user:ada', credential: 'c2' })
      await keep('of c1', 'c1')
      await keep('alone', 'none:provider:idp')
      const since = await store.head()
      await store.removeProvider(SYSTEM, 'idp')
      await store.removeProvider(SYSTEM, 'idp')
      t.equal(await store.provider(SYSTEM, 'idp'), undefined)
      t.strictSame(
        (await store.credentials(SYSTEM)).map(({ id }) => id),
        ['c2'],
        'what was consented to there goes too, and nothing else',
      )
      t.strictSame(await store.bindings(SYSTEM, 'provider:idp'), [])
      for (const key of ['of c1', 'alone']) t.equal(await store.grant(SYSTEM, key), undefined, key)
      const told = (await store.changes(since)).map(({ kind, id }) => `${kind} ${id}`)
      t.ok(told.includes('credential c1'))
      t.equal(told.filter((one) => one === 'provider idp').length, 1, 'told once')
    })

    t.test('a credential type is replaced by its next version only, and can be removed', async (t) => {
      const { store } = await fresh(t)
      const type = { name: 'crm', schema: { type: 'object', properties: { a: {} } }, version: 1 }
      t.same(await store.putType(SYSTEM, type), type)
      await t.rejects(store.putType(SYSTEM, type), { code: 'bad_request' })
      const next = { ...type, schema: { type: 'object', properties: { b: {} } }, version: 2 }
      t.same(await store.putType(SYSTEM, next), next)
      await store.putType(SYSTEM, { ...type, name: 'aaa' })
      t.same(await store.types(SYSTEM), [{ ...type, name: 'aaa' }, next])
      await store.removeType(SYSTEM, 'crm')
      await store.removeType(SYSTEM, 'crm')
      t.same(await store.types(SYSTEM), [{ ...type, name: 'aaa' }])
    })

    t.test('a project keeps its editors until it goes', async (t) => {
      const { store } = await fresh(t)
      const north = await store.putProject(SYSTEM, { name: 'north', editors: [] })
      t.strictSame(north, { name: 'north', editors: [], createdAt: clock.time })
      clock.time += 1_000
      const edited = await store.putProject(SYSTEM, { name: 'north', editors: ['ada', 'ben'] })
      t.strictSame(edited, { ...north, editors: ['ada', 'ben'] })
      await store.putProject(SYSTEM, { name: 'alps', editors: [] })
      t.strictSame(
        (await store.projects(SYSTEM)).map(({ name }) => name),
        ['alps', 'north'],
      )
      await store.removeProject(SYSTEM, 'alps')
      await store.removeProject(SYSTEM, 'alps')
      t.strictSame(await store.projects(SYSTEM), [edited])
    })

    t.test('what is sealed can be moved to another place, and opens there alone', async (t) => {
      const { sealer } = await fresh(t)
      const here = { ...placeOf({ id: 'c1', version: 1, owner: 'user:ada', audience: [] }, 'key') }
      const there = { ...here, owner: 'user:ben', version: 2 }
      const sealed = sealer.seal(here, Buffer.from('secret'))
      const moved = sealer.move(here, there, sealed)
      t.equal(sealer.open(there, moved).toString(), 'secret')
      t.throws(() => sealer.open(here, moved), { code: 'internal' })
      t.throws(
        () => sealer.move(there, here, sealed),
        { code: 'internal' },
        'what is not sealed for it does not move',
      )
    })

    t.test('a credential is replaced by its next version only', async (t) => {
      const { store, sealer } = await fresh(t)
      const first = credential(sealer, 'c1', { projects: ['north'], managedBy: 'team', fingerprint: 'f' })
      t.strictSame(await store.putCredential(SYSTEM, first), first)
      const kept = await store.credential(SYSTEM, 'c1')
      t.strictSame(kept, first)
      t.equal(
        sealer.open(placeOf(first, 'apiKey'), kept?.sealed.apiKey as Uint8Array).toString(),
        '"secret c1"',
      )
      for (const version of [1, 3]) {
        const raced = credential(sealer, 'c1', { version })
        await t.rejects(store.putCredential(SYSTEM, raced), { code: 'bad_request' }, `not ${version}`)
      }
      await t.rejects(store.putCredential(SYSTEM, credential(sealer, 'c2', { version: 2 })), {
        code: 'bad_request',
      })
      const second = credential(sealer, 'c1', { version: 2, fieldNames: ['username', 'password'] })
      t.strictSame(await store.putCredential(SYSTEM, second), second)
      await store.setCredentialDisabled(SYSTEM, 'c1', true)
      await store.setCredentialProjects(SYSTEM, 'c1', ['south'])
      t.strictSame(await store.credentials(SYSTEM), [{ ...second, disabled: true, projects: ['south'] }])
      await store.setCredentialName(SYSTEM, 'c1', 'the new name')
      await store.setCredentialBlocked(SYSTEM, 'c1', true)
      await store.setCredentialOffer(SYSTEM, 'c1', { to: 'ben', until: 77 })
      const amended = { ...second, name: 'the new name', disabled: true, projects: ['south'] }
      const offered = { ...amended, blocked: true as const, offer: { to: 'ben', until: 77 } }
      t.strictSame(await store.credential(SYSTEM, 'c1'), offered, 'what is sealed, and its version, stay')
      const third = credential(sealer, 'c1', { ...offered, version: 3, sealed: undefined as never })
      t.strictSame(await store.putCredential(SYSTEM, third), third, 'with what goes beside it')
      await store.setCredentialBlocked(SYSTEM, 'c1', false)
      await store.setCredentialOffer(SYSTEM, 'c1', undefined)
      const { blocked, offer, ...unblocked } = third
      t.strictSame(await store.credential(SYSTEM, 'c1'), unblocked)
      for (const amend of [
        store.setCredentialBlocked(SYSTEM, 'none', true),
        store.setCredentialName(SYSTEM, 'none', 'x'),
        store.setCredentialOffer(SYSTEM, 'none', undefined),
      ])
        await t.rejects(amend, { code: 'bad_request' })
      await t.rejects(store.setCredentialDisabled(SYSTEM, 'none', true), { code: 'bad_request' })
      await t.rejects(
        store.putCredential(SYSTEM, { ...credential(sealer, 'c3'), fieldNames: ['other'] }),
        { code: 'bad_request' },
        'field names are those of the sealed fields',
      )
    })

    t.test('the first scope that has a binding decides', async (t) => {
      const { store, sealer } = await fresh(t)
      await store.putConnection(SYSTEM, connection('crm'))
      await store.putConnection(SYSTEM, connection('api'))
      for (const id of ['mine', 'sales', 'all', 'other']) {
        await store.putCredential(SYSTEM, credential(sealer, id))
      }
      await store.bind(SYSTEM, { connection: 'crm', scope: 'user:ada', credential: 'mine' })
      await store.bind(SYSTEM, { connection: 'crm', scope: 'profile:sales', credential: 'sales' })
      await store.bind(SYSTEM, { connection: 'crm', scope: 'shared', credential: 'all' })
      const bound = async (...scopes: Parameters<Store['bound']>[2]) =>
        (await store.bound(SYSTEM, 'crm', scopes))?.credential.id
      t.equal(await bound('user:ada', 'profile:sales', 'shared'), 'mine')
      t.equal(await bound('user:bob', 'profile:sales', 'shared'), 'sales')
      t.equal(await bound('shared', 'user:ada'), 'all')
      t.equal(await bound('user:bob'), undefined)
      t.equal(await bound(), undefined)
      t.equal(await store.bound(SYSTEM, 'api', ['shared']), undefined, 'of that connection only')
      await store.bind(SYSTEM, { connection: 'crm', scope: 'user:ada', credential: 'other' })
      t.equal(await bound('user:ada'), 'other', 'replaced')
      t.equal((await store.bindings(SYSTEM)).length, 3)
      t.equal((await store.bindings(SYSTEM, 'api')).length, 0)
      await store.removeCredential(SYSTEM, 'other')
      t.equal(await bound('user:ada'), undefined, 'gone with its credential')
      await store.unbind(SYSTEM, 'crm', 'profile:sales')
      t.equal(await bound('profile:sales'), undefined)
      await store.removeConnection(SYSTEM, 'crm')
      t.strictSame(await store.bindings(SYSTEM), [], 'gone with their connection')
      await t.rejects(store.bind(SYSTEM, { connection: 'crm', scope: 'shared', credential: 'all' }), {
        code: 'bad_request',
      })
      await t.rejects(store.bind(SYSTEM, { connection: 'api', scope: 'shared', credential: 'none' }), {
        code: 'bad_request',
      })
    })

    t.test('whoever is no administrator writes nothing and reads no secret row', async (t) => {
      const { store, sealer } = await fresh(t)
      const refused = { code: 'not_allowed' }
      const bare = { kind: 'user' as const, projects: [], admin: false, disabled: false }
      const made = credential(sealer, 'c1')
      await store.putPrincipal(SYSTEM, { id: 'ada', ...bare })
      const calls: Record<string, () => Promise<unknown>> = {
        setSite: () => store.setSite(ADA, {}),
        principals: () => store.principals(ADA),
        principal: () => store.principal(ADA, 'bob'),
        putPrincipal: () => store.putPrincipal(ADA, { id: 'ada', ...bare, admin: true }),
        removePrincipal: () => store.removePrincipal(ADA, 'ada'),
        keys: () => store.keys(ADA, 'ada'),
        addKey: () => store.addKey(ADA, { hash: 'h', principal: 'ada', createdAt: 1 }),
        setKeyEnd: () => store.setKeyEnd(ADA, 'ada', 'h', 2),
        removeKeys: () => store.removeKeys(ADA, 'ada'),
        keyHolder: () => store.keyHolder(ADA, 'h'),
        putConnection: () => store.putConnection(ADA, connection('crm')),
        removeConnection: () => store.removeConnection(ADA, 'crm'),
        credential: () => store.credential(ADA, 'c1'),
        credentials: () => store.credentials(ADA),
        putCredential: () => store.putCredential(ADA, made),
        setCredentialDisabled: () => store.setCredentialDisabled(ADA, 'c1', true),
        setCredentialProjects: () => store.setCredentialProjects(ADA, 'c1', []),
        setCredentialBlocked: () => store.setCredentialBlocked(ADA, 'c1', true),
        setCredentialName: () => store.setCredentialName(ADA, 'c1', 'mine'),
        setCredentialOffer: () => store.setCredentialOffer(ADA, 'c1', { to: 'ada', until: 1 }),
        projects: () => store.projects(ADA),
        putProject: () => store.putProject(ADA, { name: 'north', editors: ['ada'] }),
        removeProject: () => store.removeProject(ADA, 'north'),
        removeCredential: () => store.removeCredential(ADA, 'c1'),
        bindings: () => store.bindings(ADA),
        bind: () => store.bind(ADA, { connection: 'crm', scope: 'shared', credential: 'c1' }),
        unbind: () => store.unbind(ADA, 'crm', 'shared'),
        bound: () => store.bound(ADA, 'crm', ['shared']),
        grant: () => store.grant(ADA, 'k'),
        intend: () => store.intend(ADA, 'k', 0, 1),
        replaceGrant: () => store.replaceGrant(ADA, 'k', 0, 1, { sealed: Buffer.alloc(1) }),
        lease: () => store.lease(ADA, 'k', 1_000, async () => 1),
        transact: () => store.transact(ADA, async () => 1),
        vaultItem: () => store.vaultItem(ADA, 'ca'),
        addVaultItem: () => store.addVaultItem(ADA, 'ca', { sealed: Buffer.alloc(1), open: {} }),
        replaceVaultItem: () => store.replaceVaultItem(ADA, 'ca', 1, { sealed: Buffer.alloc(1), open: {} }),
        removeVaultItem: () => store.removeVaultItem(ADA, 'ca'),
        vaultNames: () => store.vaultNames(ADA, ''),
        providers: () => store.providers(ADA),
        provider: () => store.provider(ADA, 'idp'),
        removeProvider: () => store.removeProvider(ADA, 'idp'),
        types: () => store.types(ADA),
        putType: () => store.putType(ADA, { name: 'crm', schema: {}, version: 1 }),
        removeType: () => store.removeType(ADA, 'crm'),
        addFlow: () => store.addFlow(ADA, 'f', { sealed: Buffer.alloc(1), expiresAt: clock.time + 1 }),
        flow: () => store.flow(ADA, 'f'),
        takeFlow: () => store.takeFlow(ADA, 'f'),
        drawUses: () =>
          store.drawUses(ADA, { connection: 'crm', principal: 'ada', from: 0, most: 1 }, () => 1),
      }
      const head = await store.head()
      for (const [name, call] of Object.entries(calls)) await t.rejects(call(), refused, name)
      t.equal(await store.head(), head, 'nothing was written')
      t.equal((await store.principal(ADA, 'ada'))?.id, 'ada', 'but itself')
    })

    t.test('a vault item is added once, and everybody gets the same', async (t) => {
      const { store, open } = await fresh(t)
      const { store: second } = await open()
      t.equal(await store.vaultItem(SYSTEM, 'ca'), undefined)
      const [one, two] = await Promise.all([
        store.addVaultItem(SYSTEM, 'ca', { sealed: Buffer.from('one'), open: { certificate: 'ONE' } }),
        second.addVaultItem(SYSTEM, 'ca', { sealed: Buffer.from('two'), open: { certificate: 'TWO' } }),
      ])
      t.strictSame(one, two)
      t.strictSame(await store.vaultItem(SYSTEM, 'ca'), one)
      t.equal(one.version, 1)
    })

    t.test('a vault item is replaced by whoever knows its version, and can be removed', async (t) => {
      const { store } = await fresh(t)
      const item = { sealed: Buffer.from('one'), open: { a: '1' } }
      const lost = { code: 'bad_request' }
      await t.rejects(store.replaceVaultItem(SYSTEM, 'ca', 1, item), lost, 'there is none')
      await store.addVaultItem(SYSTEM, 'ca', item)
      const next = { sealed: Buffer.from('two'), open: { b: '2' } }
      const since = await store.head()
      t.strictSame(await store.replaceVaultItem(SYSTEM, 'ca', 1, next), { version: 2, ...next })
      t.strictSame(await store.vaultItem(SYSTEM, 'ca'), { version: 2, ...next })
      await t.rejects(store.replaceVaultItem(SYSTEM, 'ca', 1, item), lost)
      await store.removeVaultItem(SYSTEM, 'ca')
      await store.removeVaultItem(SYSTEM, 'ca')
      t.equal(await store.vaultItem(SYSTEM, 'ca'), undefined)
      t.strictSame(
        (await store.changes(since)).map(({ kind, id }) => `${kind} ${id}`),
        ['site vault:ca', 'site vault:ca'],
      )
    })

    t.test('a transaction happens whole or not at all', async (t) => {
      const { store, open } = await fresh(t)
      const { store: other } = await open()
      const head = await store.head()
      const names = async () => (await other.connections(SYSTEM)).map((each) => each.name)
      await t.rejects(
        store.transact(SYSTEM, async (inner) => {
          await inner.putConnection(SYSTEM, connection('one'))
          t.ok(await inner.connection(SYSTEM, 'one'), 'seen inside')
          t.strictSame(await names(), [], 'not seen outside')
          throw new Error('stop')
        }),
        { message: 'stop' },
      )
      t.strictSame(await names(), [])
      t.equal(await store.head(), head, 'no change was announced')

      await t.rejects(
        store.transact(SYSTEM, async (inner) => {
          await inner.putConnection(SYSTEM, connection('two'))
          const bind = inner.bind(SYSTEM, { connection: 'none', scope: 'shared', credential: 'none' })
          await t.rejects(bind, { code: 'bad_request' })
        }),
        { code: 'bad_request' },
        'a failure that is caught inside fails the whole',
      )
      t.strictSame(await names(), [])

      const result = await store.transact(SYSTEM, async (inner) => {
        await inner.putConnection(SYSTEM, connection('three'))
        await inner.transact(SYSTEM, (deeper) => deeper.putConnection(SYSTEM, connection('four')))
        await store.putConnection(SYSTEM, connection('five'))
        return 'done'
      })
      t.equal(result, 'done')
      t.strictSame(await names(), ['five', 'four', 'three'], 'nested and outer calls belong to it')
    })

    t.test('a transaction that takes its time stops neither reads nor, once over, writes', async (t) => {
      const { store } = await fresh(t)
      const gate = Promise.withResolvers<void>()
      const inside = Promise.withResolvers<void>()
      const slow = store.transact(SYSTEM, async (inner) => {
        await inner.putConnection(SYSTEM, connection('slow'))
        inside.resolve()
        await gate.promise
      })
      await inside.promise
      const waiting = store.putConnection(SYSTEM, connection('waiting'))
      t.strictSame(await store.connections(SYSTEM), [], 'a read outside answers meanwhile')
      gate.resolve()
      await Promise.all([slow, waiting])
      t.equal((await store.connections(SYSTEM)).length, 2)
    })

    t.test('the change feed tells every other opening what changed', async (t) => {
      const { store, sealer, open } = await fresh(t)
      const { store: other } = await open()
      const since = await other.head()
      const bare = { kind: 'user' as const, projects: [], admin: false, disabled: false }
      await store.putPrincipal(SYSTEM, { id: 'ada', ...bare })
      await store.addKey(SYSTEM, { hash: 'a1', principal: 'ada', createdAt: 1 })
      await store.putConnection(SYSTEM, connection('crm'))
      await store.putCredential(SYSTEM, credential(sealer, 'c1'))
      await store.bind(SYSTEM, { connection: 'crm', scope: 'shared', credential: 'c1' })
      await store.lease(SYSTEM, 'grant:g', 1_000, (fence) =>
        store.replaceGrant(SYSTEM, 'g', 0, fence, { sealed: Buffer.alloc(1) }),
      )
      await store.setCredentialDisabled(SYSTEM, 'c1', true)
      await store.removeCredential(SYSTEM, 'c1')
      await store.removeConnection(SYSTEM, 'crm')
      await store.removePrincipal(SYSTEM, 'ada')
      await store.removePrincipal(SYSTEM, 'nobody')
      const changes = await other.changes(since)
      t.strictSame(
        changes.map(({ kind, id }) => `${kind} ${id}`),
        [
          'principal ada',
          'key a1',
          'connection crm',
          'credential c1',
          'binding crm',
          'grant g',
          'credential c1',
          'binding crm',
          'credential c1',
          'connection crm',
          'key a1',
          'principal ada',
        ],
      )
      const last = changes.at(-1)?.seq as number
      t.equal(await other.head(), last)
      t.strictSame(await other.changes(last), [], 'nothing new')
      t.strictSame(await other.changes(last - 1), changes.slice(-1))
      const reload = [{ seq: last, kind: 'site', id: '*' }]
      t.strictSame(await other.changes(last + 5), reload, 'ahead of the feed: everything is out of date')
    })

    t.test('a lease has one holder at a time over all openings, and a fence that grows', async (t) => {
      const { store, open } = await fresh(t)
      const { store: other } = await open()
      let holders = 0
      const fences: number[] = []
      const work = async (fence: number) => {
        holders++
        t.equal(holders, 1)
        fences.push(fence)
        for (let n = 0; n < 20; n++) await turn()
        holders--
      }
      await Promise.all([store, other, store, other].map((each) => each.lease(SYSTEM, 'k', 5_000, work)))
      t.equal(fences.length, 4)
      t.strictSame(
        fences,
        [...new Set(fences)].sort((a, b) => a - b),
      )
      await t.rejects(
        store.lease(SYSTEM, 'k', 5_000, async () => {
          throw new Error('stop')
        }),
        { message: 'stop' },
      )
      t.equal(await other.lease(SYSTEM, 'k', 5_000, async () => 'free again'), 'free again')
      await t.rejects(
        store.transact(SYSTEM, (inner) => inner.lease(SYSTEM, 'k', 5_000, async () => 1)),
        { code: 'internal' },
        'not inside a transaction, where it could never come free',
      )
    })

    t.test('a holder that was taken for dead writes no more, and frees nobody else', async (t) => {
      const { store, open } = await fresh(t)
      const { store: other } = await open()
      const sealed = Buffer.alloc(1)
      const slow = await store.lease(SYSTEM, 'grant:g', 1_000, async (stale) => {
        clock.time += 2_000
        const gate = Promise.withResolvers<void>()
        const taken = Promise.withResolvers<void>()
        const second = other.lease(SYSTEM, 'grant:g', 1_000, async (fence) => {
          taken.resolve()
          await gate.promise
          return other.replaceGrant(SYSTEM, 'g', 0, fence, { sealed, expiresAt: 77 })
        })
        await taken.promise
        await t.rejects(store.intend(SYSTEM, 'g', 0, stale), { code: 'bad_request' })
        await t.rejects(store.replaceGrant(SYSTEM, 'g', 0, stale, { sealed }), { code: 'bad_request' })
        return { gate, second }
      })
      slow.gate.resolve()
      t.strictSame(
        await slow.second,
        { key: 'g', version: 1, sealed, expiresAt: 77 },
        'the stale holder ended, and the new one still holds',
      )
    })

    t.test('a grant is swapped on its version, and an unresolved intent shows', async (t) => {
      const { store } = await fresh(t)
      const sealed = Buffer.from('token')
      t.equal(await store.grant(SYSTEM, 'g'), undefined)
      await t.rejects(store.replaceGrant(SYSTEM, 'g', 0, 1, { sealed }), { code: 'bad_request' }, 'no lease')
      await store.lease(SYSTEM, 'grant:g', 5_000, async (fence) => {
        await store.intend(SYSTEM, 'g', 0, fence)
        t.equal(await store.grant(SYSTEM, 'g'), undefined, 'an intent is no grant')
        await store.replaceGrant(SYSTEM, 'g', 0, fence, { sealed })
        t.strictSame(await store.grant(SYSTEM, 'g'), { key: 'g', version: 1, sealed })
        await t.rejects(store.replaceGrant(SYSTEM, 'g', 0, fence, { sealed }), { code: 'bad_request' })
        await t.rejects(store.intend(SYSTEM, 'g', 0, fence), { code: 'bad_request' })
        await store.intend(SYSTEM, 'g', 1, fence)
        t.strictSame(await store.grant(SYSTEM, 'g'), { key: 'g', version: 1, sealed, intended: 1 })
        await store.replaceGrant(SYSTEM, 'g', 1, fence, { sealed, expiresAt: 9 })
        t.strictSame(await store.grant(SYSTEM, 'g'), { key: 'g', version: 2, sealed, expiresAt: 9 })
      })
      await t.rejects(
        store.lease(SYSTEM, 'grant:other', 5_000, (fence) => store.intend(SYSTEM, 'g', 2, fence)),
        { code: 'bad_request' },
        "another key's lease is none",
      )
    })

    t.test('what waits for somebody is given once, until its time is over, and goes with it', async (t) => {
      const { store, open } = await fresh(t)
      const sealed = Buffer.from('a way there and back')
      await store.addFlow(SYSTEM, 'a', { sealed, expiresAt: clock.time + 10 })
      t.strictSame(await store.flow(SYSTEM, 'a'), sealed)
      const other = await open()
      const taken = await Promise.all([store.takeFlow(SYSTEM, 'a'), other.store.takeFlow(SYSTEM, 'a')])
      t.strictSame(
        taken.filter((one) => one !== undefined),
        [sealed],
        'of two who come at once, one has it',
      )
      t.equal(await store.flow(SYSTEM, 'a'), undefined)
      await store.addFlow(SYSTEM, 'b', { sealed, expiresAt: clock.time + 10 })
      await store.addFlow(SYSTEM, 'c', { sealed, expiresAt: clock.time + 11 })
      t.equal(await store.flow(SYSTEM, 'd'), undefined)
      const end = clock.time + 10
      clock.time = end
      t.equal(await store.flow(SYSTEM, 'b'), undefined)
      t.equal(await store.takeFlow(SYSTEM, 'b'), undefined)
      await store.addFlow(SYSTEM, 'b', { sealed, expiresAt: end })
      await store.addFlow(SYSTEM, 'd', { sealed, expiresAt: end + 10 })
      clock.time = end - 1
      t.equal(await store.flow(SYSTEM, 'b'), undefined, 'what was over went when another came')
      t.strictSame(await store.takeFlow(SYSTEM, 'c'), sealed)
    })

    t.test(
      'a lease is waited for outside transactions alone, and ends with its work, done or failed',
      async (t) => {
        const { store } = await fresh(t)
        await t.rejects(
          store.transact(SYSTEM, (inside) => inside.lease(SYSTEM, 'k', 60_000, async () => 1)),
          { code: 'internal' },
        )
        await t.rejects(
          store.lease(ADA, 'k', 60_000, async () => 1),
          { code: 'not_allowed' },
        )
        const failed = new Error('the work failed')
        await t.rejects(
          store.lease(SYSTEM, 'k', 60_000, () => Promise.reject(failed)),
          failed,
        )
        t.equal(await store.lease(SYSTEM, 'k', 60_000, async () => 'free again'), 'free again')
      },
    )

    t.test('of the checkpoints of a file the newest is kept', async (t) => {
      const { store } = await fresh(t)
      const checkpoint = { file: 'a.jsonl', records: 5, hash: 'h', at: 1, final: false, signature: 's' }
      await store.addCheckpoint(checkpoint)
      await store.addCheckpoint({ ...checkpoint, records: 9, final: true })
      await store.addCheckpoint({ ...checkpoint, records: 7 })
      await store.addCheckpoint({ ...checkpoint, file: 'b.jsonl' })
      t.strictSame(await store.checkpoints(), [
        { ...checkpoint, records: 9, final: true },
        { ...checkpoint, file: 'b.jsonl' },
      ])
    })

    t.test('after closing, every call says that the store is not there', async (t) => {
      const { store, close } = await fresh(t)
      const holding = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const holder = store.lease(SYSTEM, 'k', 5_000, async () => {
        holding.resolve()
        await gate.promise
      })
      await holding.promise
      const waiter = store.lease(SYSTEM, 'k', 5_000, async () => 1)
      const ended = t.rejects(waiter, { code: 'store_unavailable' }, 'and so does who waited for a lease')
      await close()
      gate.resolve()
      await holder
      await ended
      await t.rejects(store.head(), { code: 'store_unavailable' })
      await t.rejects(store.setSite(SYSTEM, {}), { code: 'store_unavailable' })
    })
  })
}

type Tap = Pick<typeof t, 'teardown'>
