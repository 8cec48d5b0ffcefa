import { randomBytes } from 'node:crypto'
import t from 'tap'
import { proxyKeyText } from '../../core/proxy-key.ts'
import type { Principal } from '../../core/words.ts'
import { applySent } from '../../operations/apply.ts'
import { explainRequest } from '../../operations/explain.ts'
import { runOperation } from '../../operations/operation.ts'
import { addPrincipal, rotatePrincipalKey, showPrincipal } from '../../operations/principals.ts'
import { openDesk, refusal, summary } from './kit.ts'

const ADMIN: Principal = { id: 'root', kind: 'user', projects: [], admin: true, via: 'key' }
const GIVEN = { id: 'billing', kind: 'service', mayActFor: ['user:*', 'profile:sales'] }

t.test('for whom a principal may call is kept, shown and told', async (t) => {
  const { run, apply } = await openDesk(t)
  await run(addPrincipal, GIVEN)
  await run(addPrincipal, { id: 'ada', profile: 'sales' })
  t.match(await run(showPrincipal, { id: 'billing' }), { mayActFor: GIVEN.mayActFor })
  await apply('connections: [{ name: api, destinations: [https://api.example], auth: { method: none } }]')
  const question = { method: 'GET', url: 'https://api.example/', as: 'billing' }
  const asFor = (id: string) => run(explainRequest, { ...question, headers: [['locum-for', `user:${id}`]] })
  t.match(await asFor('ada'), { caller: { id: 'billing' }, for: { id: 'ada', profile: 'sales' } })
  t.match(await asFor('eve'), { for: undefined, error: { code: 'not_allowed', status: 403 } })
})

t.test('a file gives the right and takes it away', async (t) => {
  const { run, apply } = await openDesk(t)
  const file = (more: string) => `principals: [{ id: billing, kind: service${more} }]`
  await apply(file(', mayActFor: ["user:ada"]'))
  t.match(await run(showPrincipal, { id: 'billing' }), { mayActFor: ['user:ada'] })
  t.same(summary(await apply(file(', mayActFor: ["user:ada"]'))), [])
  t.same(summary(await apply(file(', mayActFor: []'))), ['update principal billing: mayActFor'])
  t.equal((await run(showPrincipal, { id: 'billing' })).mayActFor, undefined)
})

t.test('an administrator gives nobody that right, nor a key to whoever has it', async (t) => {
  const { run, context } = await openDesk(t)
  const asAdmin = { ...context, as: ADMIN }
  t.match(await refusal(runOperation(asAdmin, addPrincipal, GIVEN)), {
    code: 'not_allowed',
    detail: /may act for users/,
  })
  await run(addPrincipal, GIVEN)
  t.match(await refusal(runOperation(asAdmin, rotatePrincipalKey, { id: 'billing' })), {
    code: 'not_allowed',
  })
  await runOperation({ ...context, as: { ...ADMIN, id: 'billing' } }, rotatePrincipalKey, { id: 'billing' })
  t.match(await refusal(run(addPrincipal, { ...GIVEN, id: 'other', admin: true })), {
    code: 'bad_request',
    detail: /administrator never acts/,
  })
})

t.test('an administrator who steps down does not take that right along', async (t) => {
  const { run, context } = await openDesk(t)
  await run(addPrincipal, { id: 'root', admin: true })
  const text = 'principals: [{ id: root, mayActFor: ["user:*"] }]'
  t.match(await refusal(runOperation({ ...context, as: ADMIN }, applySent, { file: 'mine.yaml', text })), {
    code: 'not_allowed',
    detail: /may act for users/,
  })
  t.match(await run(showPrincipal, { id: 'root' }), { admin: true, mayActFor: undefined })
})

t.test('an administrator gives no first key to a user who has called by certificate', async (t) => {
  const { context, apply, fieldsOf, env } = await openDesk(t)
  env.KEY = 'the-own-key-of-ada'
  await apply(`
principals: [{ id: ada }]
connections: [{ name: api, destinations: [https://api.example], auth: { method: api-key }, source: per-user }]
credentials: [{ connection: api, for: 'user:ada', fields: { apiKey: { env: KEY } } }]`)
  const text = 'principals: [{ id: ada, key: { file: ada.key } }]'
  const files = { 'ada.key': proxyKeyText(randomBytes(32)) }
  t.match(await fieldsOf('api', 'user:ada'), { apiKey: env.KEY })
  await runOperation({ ...context, as: ADMIN }, applySent, { file: 'theirs.yaml', text, files })
  t.strictSame(await fieldsOf('api', 'user:ada'), {})
})
