import t from 'tap'
import { LOCAL, SYSTEM } from '../../core/words.ts'
import {
  disableCredential,
  renameCredential,
  setCredential,
  showCredential,
} from '../../operations/credentials.ts'
import {
  acceptCredential,
  declineCredential,
  giveCredential,
  listOffers,
  OFFERED_FOR,
} from '../../operations/hand-over.ts'
import { runOperation } from '../../operations/operation.ts'
import { disablePrincipal, revokePrincipal, rotatePrincipalKey } from '../../operations/principals.ts'
import { shareCredential, useCredential } from '../../operations/sharing.ts'
import { refusal } from './kit.ts'
import { openPeople, SECRET } from './people.ts'

async function offered(t: Parameters<typeof openPeople>[0]) {
  const people = await openPeople(t)
  const { id } = await people.enter('ada')
  await people.as('ada', giveCredential, { id, to: 'eve' })
  return { ...people, id }
}

const NOT_OFFERED = { code: 'not_found', detail: /is offered to you, or not any more/ }

t.test('an offer shows what it is approved for, and gives nothing before it is accepted', async (t) => {
  const { as, id, context } = await offered(t)
  const before = await context.store.credential(SYSTEM, id)
  const [offer] = await as('eve', listOffers, {})
  t.match(offer, { id, from: 'user:ada', to: 'eve', audience: ['https://api.example'], projects: [] })
  t.same(await as('ben', listOffers, {}), [])
  for (const work of [
    as('eve', showCredential, { id }),
    as('eve', useCredential, { id, connection: 'api', for: 'user:eve' }),
    as('eve', renameCredential, { id, name: 'mine' }),
  ])
    t.match(await refusal(work), { code: 'not_found', detail: 'There is no credential of that id.' })
  t.same(await context.store.credential(SYSTEM, id), before)
  t.match(await as('ada', showCredential, { id }), { offer: { to: 'eve' }, state: 'ready' })
})

t.test(
  'whoever accepts is the owner: it is sealed for them, serves them, and the old owner no more',
  async (t) => {
    const { as, id, fieldsOf, context } = await offered(t)
    const accepted = await as('eve', acceptCredential, { id })
    t.match(accepted, {
      owner: 'user:eve',
      version: 2,
      state: 'ready',
      audience: ['https://api.example'],
      bindings: [{ connection: 'api', for: 'user:eve' }],
      offer: undefined,
    })
    t.same(await fieldsOf('api', 'user:eve'), { apiKey: SECRET })
    t.equal(await context.store.bound(SYSTEM, 'api', ['user:ada']), undefined)
    t.match(await refusal(as('ada', showCredential, { id })), { code: 'not_found' })
    t.match(await refusal(as('eve', acceptCredential, { id })), NOT_OFFERED, 'once')
    await as('eve', renameCredential, { id, name: 'mine now' })
  },
)

t.test('what is shared stays shared, with the old owner too, and choices of the new one stay', async (t) => {
  const { as, enter, context } = await openPeople(t)
  const { id } = await enter('ada')
  const own = await enter('eve', 'what-eve-has-already')
  await as('ada', shareCredential, { id, project: 'north' })
  await as('ben', useCredential, { id, connection: 'api', for: 'user:ben' })
  await as('ada', useCredential, { id, connection: 'again', for: 'user:ada' })
  await as('ada', giveCredential, { id, to: 'eve' })
  t.match(await as('eve', listOffers, {}), [{ projects: ['north'] }])
  await as('eve', acceptCredential, { id })
  const at = async (connection: string, who: string) =>
    (await context.store.bound(SYSTEM, connection, [`user:${who}`]))?.credential.id
  t.equal(await at('api', 'ada'), id)
  t.equal(await at('api', 'ben'), id)
  t.equal(await at('api', 'eve'), own.id, 'her own choice')
  t.equal(await at('again', 'eve'), id)
})

t.test(
  'an offer ends by itself, when it is declined or withdrawn, and with anything that changes',
  async (t) => {
    const ends: Record<string, (x: Awaited<ReturnType<typeof offered>>) => Promise<unknown>> = {
      declined: ({ as, id }) => as('eve', declineCredential, { id }),
      withdrawn: ({ as, id }) => as('ada', declineCredential, { id }),
      'entered again': ({ enter }) => enter('ada', 'another-secret-of-ada'),
      'to another': ({ as, id }) => as('ada', giveCredential, { id, to: 'ben' }),
      'the old owner’s keys went': ({ run }) => run(revokePrincipal, { id: 'ada' }),
    }
    for (const [how, end] of Object.entries(ends)) {
      const x = await offered(t)
      await end(x)
      t.match(await refusal(x.as('eve', acceptCredential, { id: x.id })), NOT_OFFERED, how)
      t.same(await x.as('eve', listOffers, {}), [], how)
    }
    const { context, as, id } = await offered(t)
    const later = { ...context, as: LOCAL, clock: { now: () => Date.now() + OFFERED_FOR } }
    t.same(await runOperation(later, listOffers, {}), [])
    t.match(
      await refusal(runOperation(later, acceptCredential, { id, as: 'eve' })),
      NOT_OFFERED,
      'a week later',
    )
    t.match(await refusal(as('ben', declineCredential, { id })), NOT_OFFERED, 'not theirs to decline')
  },
)

t.test(
  'an administrator takes nothing that is offered to a user, nor with a key of theirs (R28)',
  async (t) => {
    const { as, id, run } = await offered(t)
    t.match(await refusal(as('root', acceptCredential, { id, as: 'eve' })), { code: 'not_allowed' })
    t.match(await refusal(as('root', acceptCredential, { id })), NOT_OFFERED)
    t.match(await refusal(as('root', declineCredential, { id })), NOT_OFFERED)
    t.same(await as('root', listOffers, {}), [])
    await as('root', rotatePrincipalKey, { id: 'eve' })
    t.match(await refusal(as('eve', acceptCredential, { id })), NOT_OFFERED, 'with a new key of hers')
    t.match(await run(showCredential, { id }), { owner: 'user:ada', offer: undefined, version: 1 })
  },
)

t.test('what an administrator stopped stays stopped in other hands', async (t) => {
  const { as, id } = await offered(t)
  await as('root', disableCredential, { id })
  t.match(await as('eve', acceptCredential, { id }), { state: 'disabled', blocked: true })
})

t.test('it is handed to a user who is there, by an owner who can', async (t) => {
  const { as, run, enter } = await openPeople(t)
  const { id } = await enter('ada')
  await run(disablePrincipal, { id: 'ben' })
  for (const to of ['nobody', 'ben', 'billing'])
    t.match(await refusal(as('ada', giveCredential, { id, to })), {
      code: 'not_found',
      detail: `There is no user \`${to}\` who could accept it.`,
    })
  t.match(await refusal(as('ada', giveCredential, { id, to: 'ada' })), { detail: /already/ })
  const site = await run(setCredential, { connection: 'api', for: 'shared', fields: { apiKey: SECRET } })
  t.match(await refusal(run(giveCredential, { id: site.id, to: 'ada' })), { hint: /credential share/ })
  await run(rotatePrincipalKey, { id: 'ada' })
  t.match(await refusal(as('ada', giveCredential, { id, to: 'eve' })), { detail: /entered again/ })
})

t.test('whoever holds the data folder hands over, and says who accepts', async (t) => {
  const { run, enter, fieldsOf } = await openPeople(t)
  const { id } = await enter('ada')
  await run(giveCredential, { id, to: 'eve' })
  t.match(await refusal(run(acceptCredential, { id })), { code: 'bad_request', detail: /--as ID/ })
  t.match(await refusal(run(acceptCredential, { id, as: 'ben' })), NOT_OFFERED)
  t.match(await run(acceptCredential, { id, as: 'eve' }), { owner: 'user:eve' })
  t.same(await fieldsOf('api', 'user:eve'), { apiKey: SECRET })
})
