import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { type Scope, SYSTEM } from '../../core/words.ts'
import { connection, credential, placeOf } from '../contract/store.ts'
import { editDatabase, makeFolder, openSite, type Test } from './site.ts'

/** A site with two of everything, closed, so that its file can be edited. */
async function makeSite(t: Test): Promise<string> {
  const data = makeFolder(t)
  const { store, sealer, close } = await openSite(t, data)
  for (const id of ['ada', 'bob']) {
    await store.putPrincipal(SYSTEM, { id, kind: 'user', projects: [], admin: false, disabled: false })
    await store.addKey(SYSTEM, { hash: `hash-${id}`, principal: id, createdAt: 1, expiresAt: 2 })
  }
  await store.putConnection(SYSTEM, connection('stripe'))
  await store.putConnection(SYSTEM, connection('crm'))
  for (const id of ['ada', 'bob']) {
    const owner = `user:${id}`
    await store.putCredential(SYSTEM, credential(sealer, id, { owner }))
    await store.bind(SYSTEM, { connection: 'stripe', scope: `user:${id}`, credential: id })
  }
  await store.lease(SYSTEM, 'grant:g', 5_000, (fence) =>
    store.replaceGrant(SYSTEM, 'g', 0, fence, { sealed: Buffer.alloc(40) }),
  )
  await close()
  return data
}

const ROW_CHANGED = {
  code: 'internal',
  detail: /^The row ".+" in \w+ does not carry this site's seal: it was changed outside Locum\.$/,
  hint: String,
}

t.test('a row that was changed outside yields no use, loudly', async (t) => {
  const swap = (table: string, key: string, a: string, b: string) =>
    [
      [a, ''],
      [b, a],
      ['', b],
    ].map(([from, to]) => `UPDATE ${table} SET ${key} = '${to}' WHERE ${key} = '${from}'`)
  const bound = (scope: Scope) => (o: Opened) => o.store.bound(SYSTEM, 'stripe', [scope, 'shared'])
  const cases: [title: string, edits: string[], use: (o: Opened) => Promise<unknown>][] = [
    [
      'a binding repointed to another credential',
      ["UPDATE bindings SET credential = 'bob' WHERE scope = 'user:ada'"],
      bound('user:ada'),
    ],
    [
      'a binding given to another user',
      ["DELETE FROM bindings WHERE scope = 'user:bob'", "UPDATE bindings SET scope = 'user:bob'"],
      bound('user:bob'),
    ],
    [
      'a binding moved to another connection',
      ["UPDATE bindings SET connection = 'crm' WHERE scope = 'user:ada'"],
      (o) => o.store.bound(SYSTEM, 'crm', ['user:ada']),
    ],
    [
      'a binding made up',
      [
        "INSERT INTO bindings SELECT 'stripe', 'user:eve', 'ada', stamp FROM bindings WHERE scope = 'user:ada'",
      ],
      bound('user:eve'),
    ],
    ['an owner edited', ["UPDATE credentials SET owner = 'user:bob' WHERE id = 'ada'"], bound('user:ada')],
    [
      'an audience widened',
      [`UPDATE credentials SET audience = '["https://evil.example"]' WHERE id = 'ada'`],
      bound('user:ada'),
    ],
    ['a credential shared', [`UPDATE credentials SET projects = '["x"]'`], bound('user:ada')],
    [
      'a credential disabled or enabled',
      ['UPDATE credentials SET disabled = 1 - disabled'],
      bound('user:ada'),
    ],
    ['two credentials swapped', swap('credentials', 'id', 'ada', 'bob'), bound('user:ada')],
    [
      'sealed fields swapped',
      ["UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE id = 'bob') WHERE id = 'ada'"],
      (o) => o.store.credential(SYSTEM, 'ada'),
    ],
    [
      'a destination changed',
      ["UPDATE connections SET definition = replace(definition, 'stripe.example', 'evil.example')"],
      (o) => o.store.connection(SYSTEM, 'stripe'),
    ],
    [
      'two connections swapped',
      swap('connections', 'name', 'stripe', 'crm'),
      (o) => o.store.connection(SYSTEM, 'stripe'),
    ],
    [
      'a key given to another principal',
      ["UPDATE proxy_keys SET principal = 'bob' WHERE hash = 'hash-ada'"],
      (o) => o.store.keyHolder(SYSTEM, 'hash-ada'),
    ],
    [
      'a key inserted',
      ["INSERT INTO proxy_keys SELECT 'evil', 'ada', 1, NULL, NULL, stamp, NULL FROM proxy_keys LIMIT 1"],
      (o) => o.store.keyHolder(SYSTEM, 'evil'),
    ],
    [
      'a key inserted without a stamp',
      ["INSERT INTO proxy_keys VALUES ('evil', 'ada', 1, NULL, NULL, '', NULL)"],
      (o) => o.store.keyHolder(SYSTEM, 'evil'),
    ],
    [
      'the end of a key taken away',
      ["UPDATE proxy_keys SET expires_at = NULL WHERE hash = 'hash-ada'"],
      (o) => o.store.keyHolder(SYSTEM, 'hash-ada'),
    ],
    [
      'the holder of a key made an administrator',
      ["UPDATE principals SET admin = 1 WHERE id = 'ada'"],
      (o) => o.store.keyHolder(SYSTEM, 'hash-ada'),
    ],
    [
      'the profile of a principal changed',
      ["UPDATE principals SET profile = 'sales' WHERE id = 'ada'"],
      (o) => o.store.principal(SYSTEM, 'ada'),
    ],
    [
      'a principal given the right to act for all',
      [`UPDATE principals SET may_act_for = '["user:*"]' WHERE id = 'ada'`],
      (o) => o.store.keyHolder(SYSTEM, 'hash-ada'),
    ],
    [
      'a revocation made earlier',
      ["UPDATE principals SET revoked_at = 1 WHERE id = 'ada'"],
      (o) => o.store.principal(SYSTEM, 'ada'),
    ],
    [
      'a column of another type',
      ["UPDATE principals SET projects = CAST(projects AS BLOB) WHERE id = 'ada'"],
      (o) => o.store.principal(SYSTEM, 'ada'),
    ],
    ['a grant changed', ['UPDATE grants SET version = 7'], (o) => o.store.grant(SYSTEM, 'g')],
    [
      "the audit's public key replaced",
      [`UPDATE certificates SET open = '{"publicKey":"x"}'`],
      (o) => o.store.vaultItem(SYSTEM, 'audit-signing'),
    ],
    ["the site's url changed", ["UPDATE site SET url = 'https://evil.example'"], (o) => o.store.site()],
  ]
  for (const [title, edits, use] of cases) {
    const data = await makeSite(t)
    const opened = await openSite(t, data)
    await t.resolves(use(opened), `${title}: works before`)
    editDatabase(data, ...edits)
    await t.rejects(use(opened), ROW_CHANGED, title)
  }
})

t.test('a changed row is not overwritten as if nothing was', async (t) => {
  const data = await makeSite(t)
  const { store } = await openSite(t, data)
  editDatabase(data, "UPDATE principals SET admin = 1 WHERE id = 'ada'")
  const ada = { id: 'ada', kind: 'user' as const, projects: [], admin: false, disabled: false }
  await t.rejects(store.putPrincipal(SYSTEM, ada), ROW_CHANGED)
  await t.rejects(store.addKey(SYSTEM, { hash: 'n', principal: 'ada', createdAt: 1 }), ROW_CHANGED)
  editDatabase(data, "UPDATE credentials SET owner = 'site' WHERE id = 'ada'")
  await t.rejects(store.setCredentialDisabled(SYSTEM, 'ada', true), ROW_CHANGED)
  await t.rejects(store.bind(SYSTEM, { connection: 'crm', scope: 'shared', credential: 'ada' }), ROW_CHANGED)
  editDatabase(data, `UPDATE certificates SET open = '{"publicKey":"x"}'`)
  const item = { sealed: Buffer.alloc(1), open: { publicKey: 'y' } }
  await t.rejects(store.replaceVaultItem(SYSTEM, 'audit-signing', 1, item), ROW_CHANGED)
  await t.rejects(store.addVaultItem(SYSTEM, 'audit-signing', item), ROW_CHANGED)
  await store.removePrincipal(SYSTEM, 'ada')
  await store.removeCredential(SYSTEM, 'ada')
  t.equal(await store.principal(SYSTEM, 'ada'), undefined, 'but it can be removed')
})

t.test('a list leaves changed rows out and tells of each, or throws where nobody listens', async (t) => {
  const data = await makeSite(t)
  const told: string[] = []
  const listening = await openSite(t, data, { onTampered: (table, id) => told.push(`${table} ${id}`) })
  const silent = await openSite(t, data)
  editDatabase(
    data,
    "UPDATE principals SET admin = 1 WHERE id = 'ada'",
    "UPDATE proxy_keys SET expires_at = NULL WHERE principal = 'bob'",
    "UPDATE connections SET version = 9 WHERE name = 'crm'",
    "UPDATE credentials SET owner = 'site' WHERE id = 'ada'",
    "UPDATE bindings SET credential = 'ada' WHERE scope = 'user:bob'",
  )
  const lists = ({ store }: Opened) => ({
    principals: () => store.principals(SYSTEM),
    keys: () => store.keys(SYSTEM, 'bob'),
    connections: () => store.connections(SYSTEM),
    credentials: () => store.credentials(SYSTEM),
    bindings: () => store.bindings(SYSTEM),
  })
  const counts = []
  for (const list of Object.values(lists(listening))) counts.push((await list()).length)
  t.strictSame(counts, [1, 0, 1, 1, 1])
  t.strictSame(told, [
    'principals ada',
    'proxy_keys hash-bob',
    'connections crm',
    'credentials ada',
    'bindings stripe for user:bob',
  ])
  for (const [name, list] of Object.entries<() => Promise<unknown>>(lists(silent))) {
    await t.rejects(list(), ROW_CHANGED, name)
  }
})

t.test('even where a stamp could be forged, owner and audience decide whether a field opens', async (t) => {
  const data = await makeSite(t)
  const { store, sealer } = await openSite(t, data)
  const ada = await store.credential(SYSTEM, 'ada')
  const bob = await store.credential(SYSTEM, 'bob')
  if (!ada || !bob) throw new Error('lost')
  const field = ada.sealed.apiKey as Uint8Array
  t.equal(sealer.open(placeOf(ada, 'apiKey'), field).toString(), '"secret ada"')
  for (const other of [
    { ...ada, owner: 'user:bob' },
    { ...ada, audience: ['https://evil.example'] },
    { ...ada, version: 2 },
    bob,
  ]) {
    t.throws(() => sealer.open(placeOf(other, 'apiKey'), field), { code: 'internal' })
  }
})

t.test('no field, user name or key is in a byte of the database, its log or its index', async (t) => {
  const data = makeFolder(t)
  const { store, sealer } = await openSite(t, data)
  const marks = ['MARKED-user-name', 'MARKED-password-åäö']
  const base = { id: 'c1', version: 1, owner: 'user:ada', audience: ['https://stripe.example'] }
  const seal = (field: string, value: string) =>
    sealer.seal(placeOf(base, field), Buffer.from(JSON.stringify(value)))
  const sealed = {
    username: seal('username', marks[0] as string),
    password: seal('password', marks[1] as string),
  }
  const made = credential(sealer, 'c1', { ...base, fieldNames: ['username', 'password'], sealed })
  await store.putCredential(SYSTEM, made)
  await store.putCredential(SYSTEM, { ...made, version: 2 })
  const master = Buffer.from(readFileSync(join(data, 'master.key'), 'utf8'), 'base64')
  const forms = [...marks.map((mark) => Buffer.from(mark)), master]
    .flatMap((bytes) => [bytes, bytes.toString('base64'), bytes.toString('hex')])
    .map((form) => Buffer.from(form))
  const files = readdirSync(data).filter((name) => name.startsWith('locum.db'))
  t.strictSame(files.sort(), ['locum.db', 'locum.db-shm', 'locum.db-wal'])
  for (const file of files) {
    const bytes = readFileSync(join(data, file))
    t.notOk(
      forms.some((form) => bytes.includes(form)),
      file,
    )
  }
  const raw = new Sqlite(join(data, 'locum.db'), { readonly: true })
  t.teardown(() => raw.close())
  const row = raw.prepare("SELECT sealed FROM credentials WHERE id = 'c1'").get() as { sealed: string }
  t.match(row.sealed, /username/, 'the row that was searched is the one that holds them')
})

type Opened = Awaited<ReturnType<typeof openSite>>
