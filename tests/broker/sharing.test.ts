import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { openBroker, valueIn } from './kit.ts'

const ada = { scope: 'user:ada', more: { projects: ['north'] } } as const

t.test('what a member opened serves nobody who is none any more, not even them (R28)', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user' })
  const { id } = await b.enter(ada)
  await b.store.bind(SYSTEM, { connection: 'crm', scope: 'user:ben', credential: id })
  await b.poll()
  const ben = (projects: readonly string[]) => ({ who: { id: 'ben', projects } })
  // As a request does that was let in before they were taken out, and opens what it needs behind the change.
  t.equal(valueIn(await b.open(ben(['north'])), 'API_Key'), 'key for user:ada')
  for (const projects of [[], ['south']])
    await t.rejects(b.open(ben(projects)), { code: 'not_allowed' }, projects.join())
  t.equal(valueIn(await b.open(ben(['south', 'north'])), 'API_Key'), 'key for user:ada')
})

t.test('the site’s own serves who chose it while they are in a project that it is shared with', async (t) => {
  const b = await openBroker(t)
  await b.connect({ source: 'per-user' })
  await b.enter({ scope: 'user:ben', more: { owner: 'site', projects: ['north'] } })
  t.ok(await b.open({ who: { id: 'ben', projects: ['north'] } }))
  await t.rejects(b.open({ who: { id: 'ben', projects: [] } }), { code: 'not_allowed' })
})
