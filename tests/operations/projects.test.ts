import t from 'tap'
import { federatedId } from '../../core/identity.ts'
import { SYSTEM } from '../../core/words.ts'
import { showPrincipal } from '../../operations/principals.ts'
import {
  addMember,
  addProject,
  listProjects,
  removeMember,
  removeProject,
  showProject,
} from '../../operations/projects.ts'
import { shareCredential, unshareCredential } from '../../operations/sharing.ts'
import { refusal } from './kit.ts'
import { openPeople } from './people.ts'

t.test('an administrator sees all projects, others those that they are in', async (t) => {
  const { as, run } = await openPeople(t)
  await run(addProject, { name: 'south' })
  const names = async (id: string) => (await as(id, listProjects, {})).map(({ name }) => name)
  t.same(await names('root'), ['north', 'south', 'west'], 'west is named by a connection alone')
  t.same(await names('ada'), ['north'])
  t.same(await names('eve'), [])
  t.match(await as('root', showProject, { name: 'west' }), { members: [], connections: ['closed'] })
  t.match(await refusal(as('eve', showProject, { name: 'north' })), {
    code: 'not_found',
    detail: 'There is no project `north` that you are in.',
  })
})

t.test(
  'an editor says who is a member, and takes out what is shared; nobody else does but administrators',
  async (t) => {
    const { as, run, enter } = await openPeople(t)
    const { id } = await enter('ben')
    await as('ben', shareCredential, { id, project: 'north' })
    const add = (who: string, one: string) => as(who, addMember, { project: 'north', id: one })
    t.match(await refusal(add('ada', 'eve')), { code: 'not_allowed', detail: /Only an editor of `north`/ })
    t.match(await refusal(as('ada', removeMember, { project: 'north', id: 'ben' })), { code: 'not_allowed' })
    await run(addMember, { project: 'north', id: 'ada', editor: true })
    t.match(await add('ada', 'eve'), {
      members: [
        { id: 'ada', editor: true },
        { id: 'ben', editor: false },
        { id: 'eve', editor: false },
      ],
    })
    t.match(await as('eve', showProject, { name: 'north' }), { name: 'north' })
    await as('ada', unshareCredential, { id, project: 'north' })
    t.match(await as('ada', removeMember, { project: 'north', id: 'eve' }), { members: { length: 2 } })
    t.match(await refusal(as('ada', addProject, { name: 'mine' })), { code: 'not_allowed' })
    t.match(await refusal(as('ada', removeProject, { name: 'north' })), { code: 'not_allowed' })
  },
)

t.test('an editor who leaves edits no more, also when they come back', async (t) => {
  const { as, run, context, enter } = await openPeople(t)
  await run(addProject, { name: 'south' })
  await run(addMember, { project: 'north', id: 'ada', editor: true })
  await context.store.putPrincipal(SYSTEM, ADA)
  t.match(await refusal(as('ada', addMember, { project: 'north', id: 'eve' })), { code: 'not_found' })
  // Of what is shared with another project of hers too, she takes none out of the one that she left.
  const { id } = await enter('ben')
  await run(addMember, { project: 'south', id: 'ada' })
  for (const project of ['north', 'south']) await run(shareCredential, { id, project })
  t.match(await refusal(as('ada', unshareCredential, { id, project: 'north' })), { code: 'not_allowed' })
  await run(addMember, { project: 'north', id: 'ada' })
  t.match(await refusal(as('ada', addMember, { project: 'north', id: 'eve' })), { code: 'not_allowed' })
  await run(addMember, { project: 'north', id: 'ada', editor: true })
  await as('ada', removeMember, { project: 'north', id: 'ada' })
  t.match(await run(showProject, { name: 'north' }), { members: [{ id: 'ben', editor: false }] })
})

const ADA = { id: 'ada', kind: 'user' as const, projects: [] as string[], admin: false, disabled: false }

t.test('what a file or an issuer says of members is changed there', async (t) => {
  const { run, apply, context } = await openPeople(t)
  await apply('name: team\nprincipals: [{ id: fay, projects: [north] }]', { name: 'team.yaml' })
  t.match(await run(showProject, { name: 'north' }), { members: { length: 3 } })
  for (const work of [
    run(removeMember, { project: 'north', id: 'fay' }),
    run(removeProject, { name: 'north' }),
  ])
    t.match(await refusal(work), { code: 'not_allowed', detail: /as the file named `team` says/ })
  const federated = { issuer: 'https://idp.example', subject: 'gus' }
  const id = federatedId(federated)
  await context.store.putPrincipal(SYSTEM, { ...ADA, id, federated })
  t.match(await refusal(run(addMember, { project: 'north', id })), {
    code: 'not_allowed',
    detail: /its issuer says/,
  })
  await run(addMember, { project: 'north', id: 'fay', editor: true })
  t.match(await run(showProject, { name: 'north' }), { members: [{}, {}, { id: 'fay', editor: true }] })
})

t.test('refuses what is there already, and who is not', async (t) => {
  const { run } = await openPeople(t)
  t.match(await refusal(run(addProject, { name: 'north' })), { code: 'bad_request', detail: /already/ })
  t.match(await refusal(run(addMember, { project: 'none', id: 'ada' })), {
    code: 'not_found',
    hint: 'locum project add none',
  })
  t.match(await refusal(run(addMember, { project: 'north', id: 'nobody' })), { code: 'not_found' })
  t.match(await refusal(run(removeMember, { project: 'north', id: 'eve' })), {
    detail: '`eve` is not in the project `north`.',
  })
})

t.test('membership is written in the principal, with its version', async (t) => {
  const { run } = await openPeople(t)
  const { version } = await run(showPrincipal, { id: 'eve' })
  await run(addMember, { project: 'north', id: 'eve' })
  t.match(await run(showPrincipal, { id: 'eve' }), { projects: ['north'], version: version + 1 })
})
