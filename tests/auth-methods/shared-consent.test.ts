import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { giveCredential } from '../../operations/hand-over.ts'
import { shareCredential, unuseCredential, useCredential } from '../../operations/sharing.ts'
import { BY_CODE, bearers, PER_USER, startLab } from '../kit/oauth-lab.ts'
import { makePerson } from '../kit/person.ts'

t.test('a consent that is shared serves members, who neither see, end nor replace it', async (t) => {
  const lab = await startLab(t, BY_CODE, PER_USER)
  const { run, context } = lab.site
  for (const id of ['ada', 'ben']) {
    const found = await context.store.principal(SYSTEM, id)
    if (!found) throw new Error(`there is no ${id}`)
    const { version, createdAt, ...record } = found
    await context.store.putPrincipal(SYSTEM, { ...record, projects: ['north'] })
  }
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  const bound = await context.store.bound(SYSTEM, 'provider:idp', ['user:ada'])
  const id = bound?.credential.id as string
  await run(shareCredential, { id, project: 'north' })
  const choice = { id, connection: 'api', for: 'user:ben' }
  await run(useCredential, choice)
  await lab.site.settle()
  t.equal((await lab.call('ada')).status, 200)
  t.equal((await lab.call('ben')).status, 200)
  t.equal(new Set(bearers(lab.upstream)).size, 1, 'with the same token')

  const { consents } = lab.site.running.people
  t.equal(await consents.held('idp', 'user:ben'), undefined)
  const by = { id: 'ben', kind: 'user', projects: [], admin: false, via: 'session' } as const
  t.same(await consents.end({ provider: 'idp', scope: 'user:ben', by }), { ended: false, revoked: false })
  await t.rejects(run(giveCredential, { id, to: 'ben' }), { code: 'bad_request', detail: /consent/ })
  await t.rejects(run(unuseCredential, { ...choice, for: 'user:ada' }), { code: 'bad_request' })

  const ben = makePerson(lab.site)
  await ben.signIn('ben')
  await ben.connect('idp', lab.idp)
  await lab.site.settle()
  const own = await context.store.bound(SYSTEM, 'provider:idp', ['user:ben'])
  t.not(own?.credential.id, id)
  t.equal((await lab.call('ben')).status, 200)
  t.equal((await lab.call('ada')).status, 200)
  t.equal(new Set(bearers(lab.upstream)).size, 2, 'his own is another one')
})
