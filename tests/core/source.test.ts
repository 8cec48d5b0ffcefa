import t from 'tap'
import {
  checkCaller,
  checkPlaintext,
  checkShared,
  checkUse,
  checkWildcard,
  missingCredential,
  scopesFor,
} from '../../core/source.ts'
import type { Connection, Credential, Scope } from '../../core/words.ts'
import { makeConnection, makeCredential, makePrincipal, refusal, to, verdict } from './kit.ts'

const HERE = to('https://crm.example')

function use(
  more: {
    connection?: Partial<Connection>
    credential?: Partial<Credential>
    scope?: Scope
    at?: string
  } = {},
) {
  return verdict(() =>
    checkUse(
      makeConnection(more.connection),
      makeCredential(more.credential),
      more.scope ?? 'shared',
      more.at === undefined ? HERE : to(more.at),
    ),
  )
}

t.test('looks in the order of the source, and in a fallback only where it is named', async (t) => {
  const sales = makePrincipal({ profile: 'sales' })
  const nobody = makePrincipal()
  const user = 'user:ada'
  const profile = 'profile:sales'
  const table: [Connection['source'], Connection['fallback'], Scope[], Scope[]][] = [
    ['shared', [], ['shared'], ['shared']],
    ['per-profile', [], [profile], []],
    ['per-profile', ['shared'], [profile, 'shared'], ['shared']],
    ['per-user', [], [user], [user]],
    ['per-user', ['profile'], [user, profile], [user]],
    ['per-user', ['shared'], [user, 'shared'], [user, 'shared']],
    ['per-user', ['profile', 'shared'], [user, profile, 'shared'], [user, 'shared']],
    ['per-user', ['shared', 'profile'], [user, profile, 'shared'], [user, 'shared']],
  ]
  for (const [source, fallback, withProfile, without] of table) {
    const connection = makeConnection({ source, fallback })
    t.same(scopesFor(connection, sales), withProfile, `${source} ${fallback}`)
    t.same(scopesFor(connection, nobody), without, `${source} ${fallback}, no profile`)
  }
})

t.test('a missing credential says where it was looked for and how to enter it', async (t) => {
  const connection = makeConnection({ source: 'per-user', fallback: ['shared'] })
  const error = missingCredential(connection, scopesFor(connection, makePrincipal()))
  t.equal(error.code, 'credential_missing')
  t.match(error.detail, 'user:ada, then shared')
  t.equal(error.hint, 'locum credential set crm --for user:ada')
  t.match(missingCredential(connection, []).detail, 'no profile')
})

t.test('a credential is used inside its audience only', async (t) => {
  t.equal(use(), 'fine')
  t.equal(use({ credential: { audience: ['https://other.example', 'https://crm.example'] } }), 'fine')
  t.equal(use({ credential: { audience: [] } }), 'credential_outside_audience')
  t.equal(use({ credential: { audience: ['https://other.example'] } }), 'credential_outside_audience')
  t.equal(use({ credential: { audience: ['https://crm.example:8443'] } }), 'credential_outside_audience')
  t.equal(use({ credential: { audience: ['http://crm.example'] } }), 'credential_outside_audience')
})

t.test('a disabled credential is not used, and an emptied one has to be entered again', async (t) => {
  t.equal(use({ credential: { disabled: true } }), 'credential_missing')
  const hint = (credential: Partial<Credential>) =>
    refusal(() =>
      checkUse(makeConnection(), makeCredential({ disabled: true, ...credential }), 'shared', HERE),
    ).hint
  t.equal(hint({}), 'locum credential enable cred_1')
  t.equal(hint({ fieldNames: [] }), 'locum credential set crm --for shared')
})

t.test("a user's own credential serves that user, and others only where it is shared (R28)", async (t) => {
  const shares = (credential: Partial<Credential>, scope: Scope, projects: readonly string[] = []) => {
    const who = { ...makePrincipal(), projects }
    return verdict(() => checkShared(makeConnection(), makeCredential(credential), scope, who))
  }
  const own = { owner: 'user:ada' }
  t.equal(shares(own, 'user:ada'), 'fine')
  for (const scope of ['user:bob', 'user:ada2', 'profile:ada', 'shared'] as const) {
    t.equal(shares(own, scope, ['north']), 'not_allowed', scope)
    const shared = { ...own, projects: ['north', 'south'] }
    t.equal(shares(shared, scope), 'not_allowed', `${scope}, shared, by somebody outside`)
    t.equal(
      shares(shared, scope, ['west']),
      'not_allowed',
      `${scope}, shared, by somebody of another project`,
    )
    t.equal(shares(shared, scope, ['west', 'south']), 'fine', `${scope}, shared, by a member`)
  }
  for (const scope of ['shared', 'profile:sales'] as const) t.equal(shares({ owner: 'site' }, scope), 'fine')
  t.equal(shares({ owner: 'site' }, 'user:bob', ['north']), 'not_allowed', 'the site’s, chosen by somebody')
  t.equal(shares({ owner: 'site', projects: ['north'] }, 'user:bob', ['north']), 'fine')
})

t.test('what an administrator stopped is not used', async (t) => {
  t.equal(use({ credential: { blocked: true } }), 'credential_missing')
})

t.test('a wildcard carries no secret unless somebody vouches for every name under it', async (t) => {
  const wild = { destinations: [to('https://*.crm.example')] }
  const credential = { audience: ['https://*.crm.example'] }
  const at = 'https://acme.crm.example'
  t.equal(use({ connection: wild, credential, at }), 'credential_outside_audience')
  t.equal(use({ connection: { ...wild, ownedWildcard: true }, credential, at }), 'fine')
  t.equal(
    use({ connection: { ...wild, ownedWildcard: true }, credential, at: 'https://a.b.crm.example' }),
    'credential_outside_audience',
  )
  t.equal(
    use({
      connection: { ...wild, ownedWildcard: true },
      credential: { audience: ['https://other.crm.example'] },
      at,
    }),
    'credential_outside_audience',
  )
  const both = { destinations: [to('https://*.crm.example'), to(at)] }
  t.equal(use({ connection: both, credential, at }), 'fine', 'a name that is declared too')
  t.equal(use({ connection: both, credential, at: 'https://b.crm.example' }), 'credential_outside_audience')
  t.equal(
    verdict(() => checkWildcard(makeConnection(wild), to(at))),
    'credential_outside_audience',
  )
})

t.test('no secret goes over plain http unless the connection says so (R3)', async (t) => {
  const plain = makeConnection({ destinations: [to('http://crm.example')] })
  t.equal(
    verdict(() => checkPlaintext(plain, to('http://crm.example'))),
    'not_allowed',
  )
  t.equal(
    verdict(() => checkPlaintext({ ...plain, allowPlaintext: true }, to('http://crm.example'))),
    'fine',
  )
  t.equal(
    verdict(() => checkPlaintext(plain, HERE)),
    'fine',
  )
})

t.test("a user's own credential serves no caller without a key (R28)", async (t) => {
  const connection = makeConnection()
  const caller = (via: 'key' | 'default', kind: 'user' | 'service') => ({
    ...makePrincipal(),
    id: 'ada',
    kind,
    via,
  })
  t.doesNotThrow(() => checkCaller(connection, caller('key', 'user'), 'user:ada'))
  t.doesNotThrow(() => checkCaller(connection, caller('default', 'service'), 'user:ada'))
  for (const scope of ['shared', 'profile:sales'] as const) {
    t.doesNotThrow(() => checkCaller(connection, caller('default', 'user'), scope))
  }
  t.throws(() => checkCaller(connection, caller('default', 'user'), 'user:ada'), { code: 'not_allowed' })
})
