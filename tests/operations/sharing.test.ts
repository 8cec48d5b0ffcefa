import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { listCredentials, renameCredential, showCredential } from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { revokePrincipal } from '../../operations/principals.ts'
import { addMember, addProject, removeMember, removeProject, showProject } from '../../operations/projects.ts'
import {
  shareCredential,
  unshareCredential,
  unuseCredential,
  useCredential,
} from '../../operations/sharing.ts'
import { refusal } from './kit.ts'
import { openPeople, SECRET } from './people.ts'

async function shared(t: Parameters<typeof openPeople>[0]) {
  const people = await openPeople(t)
  const { id } = await people.enter('ada')
  await people.as('ada', shareCredential, { id, project: 'north' })
  const use = (who: string, connection = 'api') =>
    people.as(who, useCredential, { id, connection, for: `user:${who}` })
  /** What a request would be told. */
  const code = async (who: string, name = 'api') => {
    const question = { method: 'GET', url: `/c/${name}/`, as: who }
    const { error, credential } = await people.run(explainRequest, question)
    return error?.code ?? credential?.id
  }
  return { ...people, id, use, code }
}

t.test('a member chooses what is shared with their project, and sees whose it is and no more', async (t) => {
  const { as, id, use, code } = await shared(t)
  t.equal(await code('ben'), 'credential_missing')
  const seen = await use('ben')
  t.same(seen.bindings, [{ connection: 'api', for: 'user:ben' }])
  t.match(seen, { owner: 'user:ada', fields: [], projects: ['north'], audience: ['https://api.example'] })
  t.equal(await code('ben'), id)
  t.same((await as('ben', listCredentials, {})).length, 1)
  t.match(await refusal(as('ben', renameCredential, { id, name: 'mine' })), { code: 'not_allowed' })
  t.match(await refusal(as('ben', shareCredential, { id, project: 'north' })), { code: 'not_allowed' })
})

t.test('it serves within what its owner approved, and where its fields fit', async (t) => {
  const { use, code, id, as } = await shared(t)
  await use('ben', 'again')
  t.equal(await code('ben', 'again'), id)
  t.match(await refusal(use('ben', 'other')), { code: 'credential_outside_audience' })
  t.match(await refusal(use('ben', 'crm')), { code: 'bad_request', detail: /not made of what `crm` takes/ })
  t.match(await refusal(use('ben', 'closed')), { code: 'not_found', detail: /that you may use/ })
  t.match(await refusal(as('eve', useCredential, { id, connection: 'api', for: 'user:eve' })), {
    code: 'not_found',
  })
})

t.test('who leaves the project, or is no longer shared with, uses it no more', async (t) => {
  const ends: Record<string, (x: Awaited<ReturnType<typeof shared>>) => Promise<unknown>> = {
    'taken out': ({ as }) => as('root', removeMember, { project: 'north', id: 'ben' }),
    'left by themselves': ({ as }) => as('ben', removeMember, { project: 'north', id: 'ben' }),
    'unshared by its owner': ({ as, id }) => as('ada', unshareCredential, { id, project: 'north' }),
    'unshared by an administrator': ({ as, id }) => as('root', unshareCredential, { id, project: 'north' }),
    'the project is gone': ({ as }) => as('root', removeProject, { name: 'north' }),
  }
  for (const [how, end] of Object.entries(ends)) {
    const x = await shared(t)
    await x.use('ben')
    t.equal(await x.code('ben'), x.id)
    await end(x)
    t.equal(await x.code('ben'), 'not_allowed', how)
    t.equal(await x.code('ada'), x.id, `${how}: its owner goes on`)
    t.match(await refusal(x.use('ben')), { code: 'not_found' }, how)
    await x.as('ben', unuseCredential, { id: x.id, connection: 'api', for: 'user:ben' })
    t.equal(await x.code('ben'), 'credential_missing', `${how}: the choice can be undone`)
  }
})

t.test('a project that is gone leaves nothing to the next of its name', async (t) => {
  const { as, use, code, id } = await shared(t)
  await use('ben')
  await as('root', removeProject, { name: 'north' })
  await as('root', addProject, { name: 'north' })
  await as('root', addMember, { project: 'north', id: 'ben' })
  t.equal(await code('ben'), 'not_allowed')
  t.match(await as('ada', showCredential, { id }), { projects: [] })
})

t.test('entering one’s own in the place of a chosen one leaves the other’s as it is', async (t) => {
  const { as, use, id, fieldsOf, enter, env, apply } = await shared(t)
  await use('ben')
  const own = await enter('ben', 'what-ben-enters-himself')
  t.not(own.id, id)
  t.match(await as('ada', showCredential, { id }), { version: 1, owner: 'user:ada' })
  t.same(await fieldsOf('api', 'user:ada'), { apiKey: SECRET })
  await use('ben')
  env.KEY = 'what-a-file-enters-for-ben'
  await apply("credentials: [{ connection: api, for: 'user:ben', fields: { apiKey: { env: KEY } } }]", {
    name: 'ben.yaml',
  })
  t.same(await fieldsOf('api', 'user:ada'), { apiKey: SECRET })
  t.same(await fieldsOf('api', 'user:ben'), { apiKey: env.KEY })
})

t.test('what the site owns is chosen by members too, and not pruned for it', async (t) => {
  const { as, run, code, apply, env, context } = await openPeople(t).then(async (people) => ({
    ...people,
    code: async (who: string) =>
      (await people.run(explainRequest, { method: 'GET', url: '/c/api/', as: who })).error?.code,
  }))
  env.KEY = 'the-key-of-the-site'
  const file = `name: team
credentials: [{ connection: api, for: shared, projects: [north], fields: { apiKey: { env: KEY } } }]`
  await apply(file, { name: 'team.yaml' })
  const [one] = await run(listCredentials, {})
  const { id } = one as { id: string }
  await as('ben', useCredential, { id, connection: 'again', for: 'user:ben' })
  t.same((await apply(file, { name: 'team.yaml', prune: true })).changes, [])
  t.equal(await code('ben'), undefined)
  t.match(await refusal(as('root', shareCredential, { id, project: 'north' })), { code: 'not_allowed' })
  await as('root', removeMember, { project: 'north', id: 'ben' })
  const bound = await context.store.bound(SYSTEM, 'again', ['user:ben'])
  t.equal(bound?.credential.id, id)
  const again = await run(explainRequest, { method: 'GET', url: '/c/again/', as: 'ben' })
  t.match(again.error, { code: 'not_allowed' })
})

t.test('a user’s own serves no profile and not everybody, whoever binds it', async (t) => {
  const { run, id } = await shared(t)
  for (const scope of ['shared', 'profile:sales'])
    t.match(await refusal(run(useCredential, { id, connection: 'api', for: scope })), {
      code: 'not_allowed',
      detail: /user:ada's own/,
    })
  t.match(await refusal(run(useCredential, { id, connection: 'api', for: 'user:eve' })), {
    code: 'not_allowed',
    detail: /not shared with a project of eve/,
  })
  await run(useCredential, { id, connection: 'api', for: 'user:ben' })
})

t.test('keys that go stop what was shared, for its members as well', async (t) => {
  const { run, use, code } = await shared(t)
  await use('ben')
  await run(revokePrincipal, { id: 'ada' })
  t.equal(await code('ben'), 'credential_missing')
})

t.test('it is shared with a project that is there, by somebody in it', async (t) => {
  const { as, id } = await shared(t)
  t.match(await refusal(as('ada', shareCredential, { id, project: 'west' })), {
    code: 'not_found',
    detail: 'There is no project `west` that you are in.',
  })
  t.match(await refusal(as('ada', unshareCredential, { id, project: 'west' })), { code: 'bad_request' })
  t.match(await as('ben', showProject, { name: 'north' }), { credentials: [id] })
})
