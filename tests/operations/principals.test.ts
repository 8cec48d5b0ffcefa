import t from 'tap'
import { isProxyKey, proxyKeyHash } from '../../core/proxy-key.ts'
import { LOCAL, type Principal } from '../../core/words.ts'
import { setCredential, showCredential } from '../../operations/credentials.ts'
import { runOperation } from '../../operations/operation.ts'
import {
  addFirstAdministrator,
  addPrincipal,
  disablePrincipal,
  enablePrincipal,
  listPrincipals,
  revokePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../../operations/principals.ts'
import { openDesk, refusal } from './kit.ts'

const CONNECTION = `
connections:
  - { name: api, destinations: [https://api.example], auth: { method: api-key }, source: per-user }
`

t.test('a key is given once and kept as its digest', async (t) => {
  const { run, context } = await openDesk(t)
  const given = await run(addPrincipal, { id: 'ada', profile: 'sales', projects: ['north'], ttl: '90d' })
  t.ok(isProxyKey(given.key))
  const holder = await context.store.keyHolder(LOCAL, proxyKeyHash(given.key))
  t.match(holder, { principal: { id: 'ada', kind: 'user', profile: 'sales', projects: ['north'] } })
  t.equal((holder?.key.expiresAt ?? 0) - (holder?.key.createdAt ?? 0), 90 * 86_400_000)
  const shown = JSON.stringify([await run(listPrincipals, {}), await run(showPrincipal, { id: 'ada' })])
  t.notMatch(shown, given.key)
  t.notMatch(shown, proxyKeyHash(given.key))
})

t.test('refuses an id that is taken, and one that is none', async (t) => {
  const { run } = await openDesk(t)
  await run(addPrincipal, { id: 'ada' })
  t.match(await refusal(run(addPrincipal, { id: 'ada' })), { code: 'bad_request', hint: /rotate-key ada/ })
  for (const id of ['', 'a b', 'a/b', 'é', 'x'.repeat(129)]) {
    t.match(await refusal(run(addPrincipal, { id })), { code: 'bad_request', detail: /`id`: expected an id/ })
  }
})

t.test('names the field of an input that does not fit', async (t) => {
  const { run } = await openDesk(t)
  t.match(await refusal(run(addPrincipal, { id: 'ada', ttl: 'soon' })), {
    detail: /^`ttl`: expected a duration/,
  })
  t.match(await refusal(run(addPrincipal, { id: 'ada', kind: 'robot' })), {
    detail: /^`kind`: expected user or service/,
  })
  t.match(await refusal(run(addPrincipal, { id: 'ada', profil: 'x' })), { detail: /did you mean `profile`/ })
  t.match(await refusal(run(addPrincipal, {})), { detail: /^`id`: missing/ })
})

t.test('only an administrator adds', async (t) => {
  const { context } = await openDesk(t)
  const as: Principal = { id: 'eve', kind: 'user', projects: [], admin: false, via: 'key' }
  const error = await refusal(runOperation({ ...context, as }, addPrincipal, { id: 'ada' }))
  t.match(error, { code: 'not_allowed', detail: 'Only an administrator may do that.' })
})

t.test('a rotated key stops and another takes its place', async (t) => {
  const { run, context } = await openDesk(t)
  const before = await run(addPrincipal, { id: 'billing', kind: 'service' })
  const after = await run(rotatePrincipalKey, { id: 'billing' })
  t.not(after.key, before.key)
  t.equal(await context.store.keyHolder(LOCAL, proxyKeyHash(before.key)), undefined)
  t.ok(await context.store.keyHolder(LOCAL, proxyKeyHash(after.key)))
})

t.test('revoking takes every key and leaves the principal', async (t) => {
  const { run, context } = await openDesk(t)
  const { key } = await run(addPrincipal, { id: 'ada' })
  t.match(await run(revokePrincipal, { id: 'ada' }), { id: 'ada', revoked: 1 })
  t.equal(await context.store.keyHolder(LOCAL, proxyKeyHash(key)), undefined)
  t.match(await run(showPrincipal, { id: 'ada' }), { id: 'ada', keys: [] })
})

t.test('disabling and enabling change nothing else', async (t) => {
  const { run } = await openDesk(t)
  await run(addPrincipal, { id: 'ada', profile: 'sales', email: 'ada@example.com', projects: ['north'] })
  const { version, ...before } = await run(showPrincipal, { id: 'ada' })
  await run(disablePrincipal, { id: 'ada' })
  t.match(await run(showPrincipal, { id: 'ada' }), { disabled: true, profile: 'sales' })
  await run(enablePrincipal, { id: 'ada' })
  const { version: later, ...after } = await run(showPrincipal, { id: 'ada' })
  t.same(after, before)
  t.equal(later, version + 2)
})

t.test("a new key suspends a user's own credentials until they are entered again", async (t) => {
  const { run, apply, warnings, fieldsOf } = await openDesk(t)
  await apply(CONNECTION)
  await run(addPrincipal, { id: 'ada' })
  const enter = () =>
    run(setCredential, { connection: 'api', for: 'user:ada', fields: { apiKey: 'secret-of-ada' } })
  const { id } = await enter()
  t.match(await run(rotatePrincipalKey, { id: 'ada' }), { suspended: [id] })
  t.match(warnings, [new RegExp(`ada's own credential is disabled until entered again: ${id}`)])
  t.match(await run(showCredential, { id }), { state: 'suspended', fields: [] })
  t.same(await fieldsOf('api', 'user:ada'), {})
  t.match(await enter(), { id, state: 'ready', version: 3 })
})

t.test('a revoked key suspends too, so that a new one brings nothing back', async (t) => {
  const { run, apply } = await openDesk(t)
  await apply(CONNECTION)
  await run(addPrincipal, { id: 'ada' })
  const { id } = await run(setCredential, {
    connection: 'api',
    for: 'user:ada',
    fields: { apiKey: 'secret-of-ada' },
  })
  t.match(await run(revokePrincipal, { id: 'ada' }), { revoked: 1, suspended: [id] })
  t.same((await run(rotatePrincipalKey, { id: 'ada' })).suspended, [])
  t.match(await run(showCredential, { id }), { state: 'suspended' })
})

t.test('a first key suspends nothing', async (t) => {
  const { run, apply } = await openDesk(t)
  await apply(`${CONNECTION}\nprincipals: [{ id: ada, kind: user }]\n`)
  const { id } = await run(setCredential, {
    connection: 'api',
    for: 'user:ada',
    fields: { apiKey: 'secret-of-ada' },
  })
  t.same((await run(rotatePrincipalKey, { id: 'ada' })).suspended, [])
  t.match(await run(showCredential, { id }), { state: 'ready' })
})

t.test('what is shared, or a service’s, stays when keys change', async (t) => {
  const { run, apply } = await openDesk(t)
  await apply(CONNECTION.replace('per-user', 'per-user, fallback: [shared]'))
  await run(addPrincipal, { id: 'ada' })
  await run(addPrincipal, { id: 'billing', kind: 'service' })
  for (const scope of ['shared', 'user:billing']) {
    await run(setCredential, { connection: 'api', for: scope, fields: { apiKey: 'a-long-secret' } })
  }
  t.same((await run(rotatePrincipalKey, { id: 'ada' })).suspended, [])
  t.same((await run(rotatePrincipalKey, { id: 'billing' })).suspended, [])
})

t.test('the first administrator is made once', async (t) => {
  const { run } = await openDesk(t)
  t.match(await run(addFirstAdministrator, {}), { id: 'admin', key: /^lcm_/ })
  t.match(await run(showPrincipal, { id: 'admin' }), { admin: true })
  t.equal(await run(addFirstAdministrator, {}), undefined)
})

t.test('the audit has every change, done and failed, and who made it', async (t) => {
  const { run, changes } = await openDesk(t)
  const { key } = await run(addPrincipal, { id: 'ada' })
  await refusal(run(addPrincipal, { id: 'ada' }))
  await run(addFirstAdministrator, {})
  await run(addFirstAdministrator, {})
  await run(listPrincipals, {})
  const said = (await changes()).map(({ operation, subject, outcome, caller }) => [
    operation,
    subject,
    outcome,
    caller,
  ])
  t.same(said, [
    ['principal.add', 'ada', 'done', 'local'],
    ['principal.add', 'ada', 'failed', 'local'],
    ['principal.first', 'admin', 'done', 'local'],
  ])
  t.notMatch(JSON.stringify(await changes()), key)
})

t.test('a change that cannot be recorded does not happen', async (t) => {
  const { context, run } = await openDesk(t)
  const audit = {
    ...context.audit,
    record() {
      throw new Error('the disk is full')
    },
  }
  await t.rejects(runOperation({ ...context, audit }, addPrincipal, { id: 'ada' }), /disk is full/)
  t.same(await run(listPrincipals, {}), [])
})
