import t from 'tap'
import { LOCAL } from '../../core/words.ts'
import {
  disableCredential,
  enableCredential,
  listCredentials,
  removeCredential,
  setCredential,
  showCredential,
} from '../../operations/credentials.ts'
import { addPrincipal, rotatePrincipalKey } from '../../operations/principals.ts'
import { openDesk, refusal } from './kit.ts'

const FILE = `
connections:
  - { name: api, destinations: [https://api.example], auth: { method: api-key } }
  - { name: crm, destinations: [https://crm.example], auth: { method: basic }, source: per-user, fallback: [shared] }
  - { name: lab, destinations: [https://lab.example], auth: { method: raw } }
  - { name: open, destinations: [https://open.example], auth: { method: none } }
`
const SECRET = 'a-long-secret'

async function deskWithFile(t: Parameters<typeof openDesk>[0]) {
  const desk = await openDesk(t)
  await desk.apply(FILE)
  return desk
}

t.test('each field is sealed for its own place, and for the destinations of that moment', async (t) => {
  const { run, context, fieldsOf } = await deskWithFile(t)
  const fields = { username: 'ada', password: SECRET }
  const shown = await run(setCredential, { connection: 'crm', for: 'shared', fields })
  t.match(shown, {
    id: /^cred_[0-9A-Za-z]{22}$/,
    owner: 'site',
    audience: ['https://crm.example'],
    fields: ['username', 'password'],
    state: 'ready',
    version: 1,
  })
  t.same(await fieldsOf('crm', 'shared'), fields)
  const kept = await context.store.credential(LOCAL, shown.id)
  for (const sealed of Object.values(kept?.sealed ?? {})) {
    t.notMatch(Buffer.from(sealed).toString('latin1'), /ada|a-long-secret/)
  }
})

t.test('entering again replaces all fields and grows the version', async (t) => {
  const { run, fieldsOf } = await deskWithFile(t)
  const { id } = await run(setCredential, {
    connection: 'lab',
    for: 'shared',
    fields: { a: 'first-secret', b: 1 },
  })
  const again = await run(setCredential, { connection: 'lab', for: 'shared', fields: { c: [true, null] } })
  t.match(again, { id, version: 2, fields: ['c'] })
  t.same(await fieldsOf('lab', 'shared'), { c: [true, null] })
})

t.test('a connection that reaches more leaves the credential as it was approved, and says so', async (t) => {
  const { run, apply } = await deskWithFile(t)
  const { id } = await run(setCredential, { connection: 'api', for: 'shared', fields: { apiKey: SECRET } })
  await apply(FILE.replace('[https://api.example]', '[https://api.example, https://eu.api.example]'))
  t.match(await run(showCredential, { id }), { state: 'outside-audience', audience: ['https://api.example'] })
})

t.test('owners: a user of their own, the site of the rest', async (t) => {
  const { run } = await deskWithFile(t)
  await run(addPrincipal, { id: 'ada' })
  const fields = { username: 'ada', password: SECRET }
  t.match(await run(setCredential, { connection: 'crm', for: 'user:ada', fields }), { owner: 'user:ada' })
  t.match(await run(setCredential, { connection: 'crm', for: 'shared', fields }), { owner: 'site' })
  const listed = await run(listCredentials, {})
  t.same(listed.map(({ bindings }) => bindings[0]?.for).sort(), ['shared', 'user:ada'])
  t.notMatch(JSON.stringify(listed), SECRET)
})

t.test('refuses fields that the method does not take, without showing one', async (t) => {
  const { run } = await deskWithFile(t)
  const cases: readonly (readonly [string, object, RegExp])[] = [
    ['api', {}, /`apiKey` is missing or empty/],
    ['api', { apiKey: '' }, /`apiKey` is missing or empty/],
    ['api', { apiKey: SECRET, more: SECRET }, /no such field/],
    ['crm', { username: 'a:b', password: SECRET }, /colon/],
    ['crm', { username: 'ada' }, /`password` is missing/],
    ['lab', {}, /no fields/],
    ['open', { apiKey: SECRET }, /takes no credential/],
  ]
  for (const [connection, fields, says] of cases) {
    const error = await refusal(run(setCredential, { connection, for: 'shared', fields }))
    t.match(error, { code: 'bad_request', detail: says }, `${connection} ${Object.keys(fields)}`)
    t.notMatch(`${error.detail} ${error.hint}`, SECRET)
  }
})

t.test('refuses what is not there, and guesses what was meant', async (t) => {
  const { run } = await deskWithFile(t)
  const fields = { apiKey: SECRET }
  t.match(await refusal(run(setCredential, { connection: 'apo', for: 'shared', fields })), { hint: /`api`/ })
  t.match(await refusal(run(setCredential, { connection: 'api', for: 'everybody', fields })), {
    detail: /`for`/,
  })
  t.match(await refusal(run(setCredential, { connection: 'crm', for: 'user:eve', fields })), {
    detail: /no principal `eve`/,
  })
  t.match(await refusal(run(showCredential, { id: 'cred_none' })), { code: 'not_found' })
})

t.test(
  'warns of a secret too short to be searched for, and of a scope that is never looked for',
  async (t) => {
    const { run, warnings } = await deskWithFile(t)
    await run(setCredential, { connection: 'api', for: 'profile:sales', fields: { apiKey: 'short' } })
    t.match(warnings, [/never looks for a profile credential/, /`apiKey` is shorter than 8 bytes/])
    t.notMatch(warnings.join(), /short\b(?!er)/)
  },
)

t.test('disabled, enabled, removed', async (t) => {
  const { run, context } = await deskWithFile(t)
  const { id } = await run(setCredential, { connection: 'api', for: 'shared', fields: { apiKey: SECRET } })
  t.match(await run(disableCredential, { id }), { state: 'disabled', version: 1 })
  t.match(await run(enableCredential, { id }), { state: 'ready' })
  await run(removeCredential, { id })
  t.same(await run(listCredentials, {}), [])
  t.same(await context.store.bindings(LOCAL), [])
})

t.test('a suspended credential cannot be switched on again', async (t) => {
  const { run } = await deskWithFile(t)
  await run(addPrincipal, { id: 'ada' })
  const fields = { username: 'ada', password: SECRET }
  const { id } = await run(setCredential, { connection: 'crm', for: 'user:ada', fields })
  await run(rotatePrincipalKey, { id: 'ada' })
  t.match(await refusal(run(enableCredential, { id })), {
    code: 'not_allowed',
    hint: 'locum credential set crm --for user:ada',
  })
})

t.test('what a file manages is changed in the file, and can be stopped at once', async (t) => {
  const { run, apply, env } = await openDesk(t)
  env.KEY = SECRET
  await apply(
    `name: team${FILE}credentials: [{ connection: api, for: shared, fields: { apiKey: { env: KEY } } }]`,
  )
  const [credential] = await run(listCredentials, {})
  const id = credential?.id
  for (const work of [
    run(setCredential, { connection: 'api', for: 'shared', fields: { apiKey: SECRET } }),
    run(removeCredential, { id }),
  ]) {
    t.match(await refusal(work), { code: 'not_allowed', detail: /belongs to the file named `team`/ })
  }
  t.match(await run(disableCredential, { id }), { state: 'disabled' })
})
