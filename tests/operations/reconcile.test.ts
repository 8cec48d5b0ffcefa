import t from 'tap'
import { proxyKeyHash, proxyKeyText } from '../../core/proxy-key.ts'
import { LOCAL } from '../../core/words.ts'
import {
  disableCredential,
  listCredentials,
  setCredential,
  showCredential,
} from '../../operations/credentials.ts'
import {
  addPrincipal,
  disablePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../../operations/principals.ts'
import { openDesk, refusal, summary } from './kit.ts'

const FILE = `name: team
site: { url: https://locum.example.com }
principals:
  - { id: ada, profile: sales, projects: [north] }
  - { id: billing, kind: service, key: { env: KEY } }
connections:
  - name: api
    destinations: [https://api.example]
    auth: { method: api-key }
    source: per-user
    fallback: [shared]
credentials:
  - { connection: api, for: "user:ada", fields: { apiKey: { env: ADA } } }
  - { connection: api, for: shared, fields: { apiKey: { env: ALL } } }
`

async function deskWithSecrets(t: Parameters<typeof openDesk>[0]) {
  const desk = await openDesk(t)
  const key = proxyKeyText(desk.context.random(32))
  Object.assign(desk.env, { KEY: key, ADA: 'secret-of-ada', ALL: 'secret-of-all' })
  return { ...desk, key }
}

t.test('makes what the file names, and a second time nothing', async (t) => {
  const { apply, check, context, fieldsOf, key } = await deskWithSecrets(t)
  const made = [
    'update site site: url',
    'create principal ada',
    'create principal billing',
    'create connection api',
    'create credential api/user:ada',
    'create credential api/shared',
  ]
  t.same(summary(await check(FILE)), made)
  t.same(summary(await apply(FILE)), made)
  t.same(await fieldsOf('api', 'user:ada'), { apiKey: 'secret-of-ada' })
  t.same(await fieldsOf('api', 'shared'), { apiKey: 'secret-of-all' })
  t.equal((await context.store.keyHolder(LOCAL, proxyKeyHash(key)))?.principal.id, 'billing')
  const head = await context.store.head()
  t.same(summary(await apply(FILE)), [])
  t.equal(await context.store.head(), head, 'nothing was written')
})

t.test('checking writes nothing', async (t) => {
  const { check, changes, context } = await deskWithSecrets(t)
  const head = await context.store.head()
  await check(FILE)
  t.equal(await context.store.head(), head)
  t.equal(await context.store.vaultItem(LOCAL, 'fingerprint'), undefined)
  t.same(await changes(), [])
})

t.test('says which keys of an object change, and no value', async (t) => {
  const { apply, env } = await deskWithSecrets(t)
  await apply(FILE)
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ['profile: sales, ', '', ['update principal ada: profile']],
    ['[north]', '[north, south]', ['update principal ada: projects']],
    ['kind: service', 'kind: service, admin: true', ['update principal billing: admin']],
    ['fallback: [shared]', 'fallback: [shared, profile]', ['update connection api: fallback']],
    ['auth: { method: api-key }', 'auth: { method: raw }', ['update connection api: auth']],
    ['source: per-user', 'source: per-user\n    slots: { headers: [] }', ['update connection api: slots']],
    ['source: per-user', 'source: per-user\n    headers: { A: b }', ['update connection api: headers']],
    ['for: shared', 'name: everyone, for: shared', ['update credential api/shared: name']],
    ['for: shared', 'projects: [north], for: shared', ['update credential api/shared: projects']],
    ['url: https://locum.example.com', 'contact: it', ['update site site: url, contact']],
  ]
  for (const [from, to, changed] of cases) {
    t.same(summary(await apply(FILE.replace(from, to))), changed, to)
    t.same(summary(await apply(FILE.replace(from, to))), [], `${to} again`)
    t.same(summary(await apply(FILE)).length, 1, `${to} back`)
  }
  env.ALL = 'another-secret'
  t.same(summary(await apply(FILE)), ['update credential api/shared: fields'])
})

t.test('a destination more is approved by entering the file’s credentials anew', async (t) => {
  const { apply, run } = await deskWithSecrets(t)
  await apply(FILE)
  const more = FILE.replace('[https://api.example]', '[https://api.example, https://eu.example]')
  t.same(summary(await apply(more)), [
    'update connection api: destinations',
    'update credential api/user:ada: audience',
    'update credential api/shared: audience',
  ])
  for (const { audience, version } of await run(listCredentials, {})) {
    t.same(audience, ['https://api.example', 'https://eu.example'])
    t.equal(version, 2)
  }
})

t.test('all of a file is applied, or nothing', async (t) => {
  const { run, write, context } = await deskWithSecrets(t)
  const { applyFile } = await import('../../operations/apply.ts')
  const { runOperation } = await import('../../operations/operation.ts')
  const file = await write('locum.yaml', FILE)
  let seals = 0
  const sealer: typeof context.sealer = {
    ...context.sealer,
    seal(place, text) {
      // The fingerprints' key is the first, Ada's credential the second.
      if (++seals === 3) throw new Error('no more')
      return context.sealer.seal(place, text)
    },
  }
  await t.rejects(runOperation({ ...context, sealer }, applyFile, { file }))
  t.same(await context.store.principals(LOCAL), [])
  t.same(await context.store.connections(LOCAL), [])
  t.same(await run(listCredentials, {}), [])
})

t.test('prunes what a file of the same name made, and nothing else', async (t) => {
  const { apply, check, context, run } = await deskWithSecrets(t)
  await apply(FILE)
  await apply('name: other\nprincipals: [{ id: eve }]\n')
  await run(addPrincipal, { id: 'by-hand' })
  const less = 'name: team\nprincipals: [{ id: ada, profile: sales, projects: [north] }]\n'
  t.same(summary(await apply(less)), [], 'without --prune it stays')
  const gone = [
    'delete credential api/shared',
    'delete credential api/user:ada',
    'delete connection api',
    'delete principal billing',
  ]
  t.same(summary(await check(less, { prune: true })).sort(), [...gone].sort())
  t.same(summary(await apply(less, { prune: true })).sort(), [...gone].sort())
  t.same(
    (await context.store.principals(LOCAL)).map(({ id }) => id),
    ['ada', 'by-hand', 'eve'],
  )
  t.same(await context.store.connections(LOCAL), [])
  t.same(await context.store.credentials(LOCAL), [])
  t.same(summary(await apply(less, { prune: true })), [])
})

t.test('does not take over what a file of another name made', async (t) => {
  const { apply } = await deskWithSecrets(t)
  await apply(FILE)
  const { detail } = await refusal(apply(FILE.replace('name: team', 'name: other')))
  const said = detail.split('\n').map((line) => line.replace(/^.*locum.yaml:/, ''))
  t.match(said, [
    /^4:11: principals\[0\].id: belongs to the file named `team`; this one is named `other`/,
    /^5:11: principals\[1\].id: belongs/,
    /^7:11: connections\[0\].name: belongs/,
    /^13:19: credentials\[0\].connection: belongs/,
    /^14:19: credentials\[1\].connection: belongs/,
  ])
})

t.test('takes over what was made by hand, and keeps it', async (t) => {
  const { apply, run, context, fieldsOf } = await deskWithSecrets(t)
  const { key } = await run(addPrincipal, { id: 'ada' })
  t.same(
    summary(await apply(FILE.replace(/credentials:.*/s, ''))).filter((line) => /ada/.test(line)),
    ['update principal ada: profile, projects, managedBy'],
  )
  t.ok(await context.store.keyHolder(LOCAL, proxyKeyHash(key)), 'its key still works')
  await run(setCredential, { connection: 'api', for: 'user:ada', fields: { apiKey: 'entered-by-ada' } })
  t.same(
    summary(await apply(FILE)).filter((line) => /ada/.test(line)),
    ['update credential api/user:ada: managedBy, fields'],
  )
  t.same(await fieldsOf('api', 'user:ada'), { apiKey: 'secret-of-ada' })
})

t.test('what was disabled by hand stays so', async (t) => {
  const { apply, run, env } = await deskWithSecrets(t)
  await apply(FILE)
  const shared = (await run(listCredentials, {})).find(({ owner }) => owner === 'site')
  await run(disableCredential, { id: shared?.id })
  await run(disablePrincipal, { id: 'ada' })
  env.ALL = 'another-secret'
  await apply(FILE.replace('[north]', '[south]'))
  t.match(await run(showCredential, { id: shared?.id }), { state: 'disabled', version: 2 })
  t.match(await run(showPrincipal, { id: 'ada' }), { disabled: true, projects: ['south'] })
})

t.test('a key in the file comes, changes and goes with it', async (t) => {
  const { apply, context, env, key, run, warnings } = await deskWithSecrets(t)
  const works = async (text: string) => {
    const holder = await context.store.keyHolder(LOCAL, proxyKeyHash(text))
    return holder?.principal.id === 'billing' && holder.key.expiresAt === undefined
  }
  await apply(FILE)
  t.ok(await works(key))
  const own = (await run(rotatePrincipalKey, { id: 'billing' })).key
  t.notOk(await works(key))
  t.same(summary(await apply(FILE)), [])
  t.notOk(await works(key), 'what was stopped by hand stays so')
  t.match(warnings.at(-1), /the key of billing in the file was revoked/)
  t.ok(await works(own), 'what was given by hand stays')
  const next = proxyKeyText(context.random(32))
  env.KEY = next
  t.same(summary(await apply(FILE)), ['update principal billing: key'])
  t.same([await works(key), await works(next)], [false, true])
  t.same(summary(await apply(FILE.replace(', key: { env: KEY }', ''))), ['update principal billing: key'])
  t.same([await works(next), await works(own)], [false, true])
})

t.test('refuses a key that another principal has', async (t) => {
  const { apply, run, env } = await deskWithSecrets(t)
  env.KEY = (await run(addPrincipal, { id: 'eve' })).key
  t.match(await refusal(apply(FILE)), { detail: /principals\[1\].key: another principal has this key/ })
})

t.test("a file that replaces a user's key, or drops it, suspends the user's own credentials", async (t) => {
  const { apply, run, warnings, env, context } = await deskWithSecrets(t)
  const bare = FILE.replace(/credentials:.*/s, '')
  const withKey = bare.replace('id: ada', 'id: ada, key: { env: NEW }')
  const newKey = () => {
    env.NEW = proxyKeyText(context.random(32))
  }
  const stateAfter = async (text: string) => {
    const fields = { apiKey: 'entered-by-ada' }
    const { id } = await run(setCredential, { connection: 'api', for: 'user:ada', fields })
    await apply(text)
    return (await run(showCredential, { id })).state
  }
  newKey()
  await apply(bare)
  t.equal(await stateAfter(withKey), 'ready', 'a first key takes nothing from anybody')
  newKey()
  t.equal(await stateAfter(withKey), 'suspended')
  t.equal(await stateAfter(bare), 'suspended')
  await run(rotatePrincipalKey, { id: 'ada' })
  t.equal(await stateAfter(withKey), 'suspended', 'beside the key that she has')
  t.equal(warnings.filter((line) => /ada's own credential is disabled/.test(line)).length, 3)
})

t.test(
  'making a service of a user suspends the same, and a file that has the secret enters it again',
  async (t) => {
    const { apply, run, fieldsOf } = await deskWithSecrets(t)
    await apply(FILE)
    const service = FILE.replace('id: ada', 'id: ada, kind: service')
    t.same(summary(await apply(service)), [
      'update principal ada: kind',
      'update credential api/user:ada: fields',
    ])
    t.same(await fieldsOf('api', 'user:ada'), { apiKey: 'secret-of-ada' })
    t.match(
      (await run(listCredentials, {})).map(({ state }) => state),
      ['ready', 'ready'],
    )
  },
)

t.test('after a rotated key the file enters its credentials again', async (t) => {
  const { apply, run } = await deskWithSecrets(t)
  await apply(FILE)
  await run(rotatePrincipalKey, { id: 'ada' })
  t.same(summary(await apply(FILE)), [], 'a first key suspends nothing')
  await run(rotatePrincipalKey, { id: 'ada' })
  t.same(summary(await apply(FILE)), ['update credential api/user:ada: fields'])
  t.same(summary(await apply(FILE)), [])
})

t.test('the audit names every object, and no secret is in it', async (t) => {
  const { apply, changes, key } = await deskWithSecrets(t)
  await apply(FILE)
  await apply(FILE)
  const said = await changes()
  t.same(
    said.map(({ operation }) => operation),
    [
      'site.update',
      'principal.create',
      'principal.create',
      'connection.create',
      'credential.create',
      'credential.create',
      'apply',
    ],
  )
  t.notMatch(JSON.stringify(said), new RegExp(`secret-of|${key}`))
})

t.test('equal secrets have different fingerprints', async (t) => {
  const { apply, context, env } = await deskWithSecrets(t)
  env.ALL = env.ADA as string
  await apply(FILE)
  const [one, other] = await context.store.credentials(LOCAL)
  t.match(one?.fingerprint, /^[0-9a-f]{64}$/)
  t.not(one?.fingerprint, other?.fingerprint)
})

t.test('a secret that stands in the file in clear is taken, and noted without its value', async (t) => {
  const { apply, warnings, fieldsOf } = await openDesk(t)
  await apply(`connections:
  - { name: api, destinations: [https://api.example], auth: { method: api-key }, source: shared }
credentials:
  - { connection: api, for: shared, fields: { apiKey: a-secret-in-clear } }
`)
  t.same(await fieldsOf('api', 'shared'), { apiKey: 'a-secret-in-clear' })
  t.match(warnings, [/:4: the secret `apiKey` stands in the file in clear/])
  t.notMatch(warnings.join(), 'a-secret-in-clear')
})
