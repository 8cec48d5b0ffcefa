import { randomBytes } from 'node:crypto'
import t from 'tap'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { SYSTEM } from '../../core/words.ts'
import { applySent } from '../../operations/apply.ts'
import { listConnections, showConnection } from '../../operations/connections.ts'
import {
  disableCredential,
  enableCredential,
  listCredentials,
  removeCredential,
  renameCredential,
  setCredential,
  showCredential,
} from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { acceptCredential, declineCredential, giveCredential } from '../../operations/hand-over.ts'
import { lendKey } from '../../operations/lent-keys.ts'
import { addPrincipal, rotatePrincipalKey } from '../../operations/principals.ts'
import { addMember } from '../../operations/projects.ts'
import {
  shareCredential,
  unshareCredential,
  unuseCredential,
  useCredential,
} from '../../operations/sharing.ts'
import { refusal } from './kit.ts'
import { openPeople, SECRET } from './people.ts'

t.test('a user enters, sees, renames, stops and removes what is their own', async (t) => {
  const { as, enter, fieldsOf } = await openPeople(t)
  const { id } = await enter('ada')
  t.match(await as('ada', showCredential, { id }), { owner: 'user:ada', state: 'ready', fields: ['apiKey'] })
  t.match(await as('ada', renameCredential, { id, name: 'my key' }), { name: 'my key', version: 1 })
  t.match(await as('ada', disableCredential, { id }), { state: 'disabled' })
  t.match(await as('ada', enableCredential, { id }), { state: 'ready' })
  const again = { connection: 'api', for: 'user:ada', fields: { apiKey: 'another-secret' } }
  t.match(await as('ada', setCredential, again), { id, version: 2, name: 'my key' })
  t.same(await fieldsOf('api', 'user:ada'), { apiKey: 'another-secret' })
  await as('ada', removeCredential, { id })
  t.same(await as('ada', listCredentials, {}), [])
})

t.test('what is another’s is not there for a user, and cannot be told from what is nobody’s', async (t) => {
  const { as, run, enter } = await openPeople(t)
  const { id } = await enter('ada')
  const site = await run(setCredential, { connection: 'api', for: 'shared', fields: { apiKey: SECRET } })
  t.same(await as('eve', listCredentials, {}), [])
  for (const one of [id, site.id, 'cred_none'])
    for (const [operation, more] of [
      [showCredential, {}],
      [renameCredential, { name: 'mine' }],
      [disableCredential, {}],
      [enableCredential, {}],
      [removeCredential, {}],
      [shareCredential, { project: 'north' }],
      [unshareCredential, { project: 'north' }],
      [giveCredential, { to: 'eve' }],
      [useCredential, { connection: 'api', for: 'user:eve' }],
    ] as const) {
      const error = await refusal(as('eve', operation as typeof showCredential, { id: one, ...more }))
      t.match(error, { code: 'not_found', detail: 'There is no credential of that id.' }, operation.name)
    }
})

t.test('a user says whose credential serves for themselves alone', async (t) => {
  const { as, enter } = await openPeople(t)
  const { id } = await enter('ada')
  const fields = { apiKey: 'a-secret-for-another' }
  for (const scope of ['user:ben', 'shared', 'profile:sales']) {
    for (const work of [
      as('ada', setCredential, { connection: 'api', for: scope, fields }),
      as('ada', useCredential, { id, connection: 'api', for: scope }),
      as('ada', unuseCredential, { id, connection: 'api', for: scope }),
    ])
      t.match(await refusal(work), { code: 'not_allowed', hint: '--for user:ada' }, scope)
  }
})

t.test('a user sees the connections that they may use, with placeholders where secrets go', async (t) => {
  const { as } = await openPeople(t)
  const names = (await as('ada', listConnections, {})).map(({ name }) => name)
  t.same(names, ['again', 'api', 'crm', 'other'])
  t.match(await as('ada', showConnection, { name: 'api' }), {
    headers: [['Authorization', 'Bearer {{$Auth.API_Key}}']],
  })
  const fields = { apiKey: SECRET }
  for (const name of ['closed', 'none'])
    for (const work of [
      as('ada', showConnection, { name }),
      as('ada', setCredential, { connection: name, for: 'user:ada', fields }),
    ])
      t.match(await refusal(work), {
        code: 'not_found',
        detail: `There is no connection \`${name}\` that you may use.`,
      })
})

t.test('an administrator keeps what the site and services own', async (t) => {
  const { as, fieldsOf } = await openPeople(t)
  const fields = { apiKey: 'a-secret-of-the-site' }
  for (const scope of ['shared', 'user:billing']) {
    const { id } = await as('root', setCredential, { connection: 'api', for: scope, fields })
    await as('root', renameCredential, { id, name: 'ours' })
    await as('root', shareCredential, { id, project: 'north' })
    t.match(await as('root', disableCredential, { id }), { state: 'disabled', projects: ['north'] })
    t.match(await as('root', enableCredential, { id }), { state: 'ready' })
    t.same(await fieldsOf('api', scope), fields)
    await as('root', removeCredential, { id })
  }
})

t.test(
  'an administrator stops a user’s credential at once, and lets it go on; the owner does neither',
  async (t) => {
    const { as, enter, warnings } = await openPeople(t)
    const { id } = await enter('ada')
    t.match(await as('root', disableCredential, { id }), { state: 'disabled', blocked: true })
    t.match(await refusal(as('ada', enableCredential, { id })), {
      code: 'not_allowed',
      detail: /administrator/,
    })
    t.match(await enter('ada', 'entered-again-by-ada'), { id, state: 'disabled' }, 'nor by entering it again')
    await as('ada', disableCredential, { id })
    t.match(
      await as('other-root', enableCredential, { id }),
      { state: 'disabled' },
      'what its owner stopped stays so',
    )
    t.match(warnings.at(-1), `user:ada has stopped ${id} too`)
    t.match(await as('ada', enableCredential, { id }), { state: 'ready' })
  },
)

t.test(
  'an administrator reads, repoints, re-enters, shares, uses, binds and hands over no user’s credential (R28)',
  async (t) => {
    const { as, enter, env, context, fieldsOf } = await openPeople(t)
    const { id } = await enter('ada')
    const before = await context.store.credential(SYSTEM, id)
    const bindings = await context.store.bindings(SYSTEM)
    env.KEY = 'a-key-of-the-administrator'
    const reenters = {
      file: 'reenters.yaml',
      text: "credentials: [{ connection: api, for: 'user:ada', projects: [north], fields: { apiKey: { env: KEY } } }]",
      env: { KEY: env.KEY as string },
    }
    const fields = { apiKey: env.KEY }
    const doors: Record<string, () => Promise<unknown>> = {
      'enter it again': () => as('root', setCredential, { connection: 'api', for: 'user:ada', fields }),
      'enter one for her elsewhere': () =>
        as('root', setCredential, {
          connection: 'other',
          for: 'user:ada',
          fields,
        }),
      'enter it again by a file': () => as('root', applySent, reenters),
      'call it something else': () => as('root', renameCredential, { id, name: 'mine' }),
      'share it': () => as('root', shareCredential, { id, project: 'north' }),
      'use it': () => as('root', useCredential, { id, connection: 'api', for: 'user:root' }),
      'bind it for a service': () =>
        as('root', useCredential, { id, connection: 'api', for: 'user:billing' }),
      'bind it for all': () => as('root', useCredential, { id, connection: 'api', for: 'shared' }),
      'bind it elsewhere for her': () =>
        as('root', useCredential, { id, connection: 'again', for: 'user:ada' }),
      'undo her choice': () => as('root', unuseCredential, { id, connection: 'api', for: 'user:ada' }),
      'hand it to themselves': () => as('root', giveCredential, { id, to: 'root' }),
      'accept it': () => as('root', acceptCredential, { id }),
      'accept it as another': () => as('root', acceptCredential, { id, as: 'ada' }),
      'decline it': () => as('root', declineCredential, { id }),
      'remove it': () => as('root', removeCredential, { id }),
      'call as her': () => as('root', lendKey, { id: 'ada' }),
      'be a service that acts for her': () => as('root', addPrincipal, { id: 'x', mayActFor: ['user:*'] }),
    }
    for (const [door, work] of Object.entries(doors)) {
      const { code } = await refusal(work())
      t.ok(['not_allowed', 'not_found'].includes(code), door)
    }
    t.same(await context.store.credential(SYSTEM, id), before)
    t.same(await context.store.bindings(SYSTEM), bindings)
    const shown = [
      await as('root', showCredential, { id }),
      await as('root', listCredentials, {}),
      await as('root', explainRequest, { method: 'GET', url: 'https://api.example/', as: 'ada' }),
    ]
    t.notMatch(JSON.stringify(shown), SECRET)
    t.same(await fieldsOf('api', 'user:ada'), { apiKey: SECRET })
  },
)

t.test(
  'an administrator who takes up a user’s key, or makes them a service, finds nothing there (R28)',
  async (t) => {
    const doors: Record<string, (people: Awaited<ReturnType<typeof openPeople>>) => Promise<unknown>> = {
      'a new key': ({ as }) => as('root', rotatePrincipalKey, { id: 'ada' }),
      'a key by a file': ({ as }) =>
        as('root', applySent, {
          file: 'theirs.yaml',
          text: 'principals: [{ id: ada, key: { env: KEY } }]',
          env: { KEY: proxyKeyText(randomBytes(32)) },
        }),
      'a service': ({ as }) =>
        as('root', applySent, { file: 'service.yaml', text: 'principals: [{ id: ada, kind: service }]' }),
      'removed, and added again': async ({ as }) => {
        const file = 'x.yaml'
        await as('root', applySent, { file, text: 'name: x\nprincipals: [{ id: ada }]' })
        await as('root', applySent, { file, text: 'name: x', prune: true })
        return as('root', addPrincipal, { id: 'ada', kind: 'service' })
      },
    }
    for (const [door, open] of Object.entries(doors)) {
      const people = await openPeople(t)
      await people.enter('ada')
      await open(people)
      t.same(await people.fieldsOf('api', 'user:ada'), {}, door)
    }
  },
)

t.test(
  'an administrator who joins a project uses what is shared with it, and nothing else of a user (R28)',
  async (t) => {
    const { as, enter } = await openPeople(t)
    const { id } = await enter('ada')
    await as('ada', shareCredential, { id, project: 'north' })
    const unshared = await as('ada', setCredential, {
      connection: 'other',
      for: 'user:ada',
      fields: { apiKey: 'what-ada-keeps-for-herself' },
    })
    const use = (which: string, connection: string) =>
      as('root', useCredential, { id: which, connection, for: 'user:root' })
    t.match(await refusal(use(id, 'api')), { code: 'not_allowed' })
    await as('root', addMember, { project: 'north', id: 'root' })
    await use(id, 'api')
    t.match(await refusal(use(unshared.id, 'other')), { code: 'not_allowed' })
    t.match(await refusal(as('root', renameCredential, { id, name: 'mine' })), { code: 'not_allowed' })
  },
)

t.test('what nobody owns any more an administrator removes', async (t) => {
  const { as, enter, context } = await openPeople(t)
  const { id } = await enter('ada')
  t.match(await refusal(as('root', removeCredential, { id })), { code: 'not_allowed' })
  await context.store.removePrincipal(SYSTEM, 'ada')
  t.same(await as('root', removeCredential, { id }), { id })
})
