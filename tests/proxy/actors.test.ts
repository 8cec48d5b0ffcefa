import t from 'tap'
import { LINK } from '../../core/words.ts'
import { invitePrincipal, redeemLink } from '../../operations/links.ts'
import { runOperation } from '../../operations/operation.ts'
import { ASKS, connectionTo } from '../kit/echo-site.ts'
import { makePerson } from '../kit/person.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

t.test('every row of the audit says whether a human, a service or Locum itself acted', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startSite(t, {
    principals: [{ id: 'ada' }, { id: 'billing', kind: 'service', mayActFor: ['user:*'] }],
    connections: [connectionTo(upstream)],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: 'a-secret-for-everybody' } }],
  })
  const goal = { ...upstream, name: 'echo' }
  const ask = (as: string, headers: readonly string[] = [ASKS]) =>
    askBy(t, site, 'forward', goal, { as, headers })
  for (const who of ['ada', 'billing']) t.equal((await ask(who)).status, 200)
  t.equal((await ask('billing', [ASKS, 'Locum-For: user:ada'])).status, 200)
  t.equal((await ask('ada', [ASKS, 'Locum-For: user:billing'])).status, 403)
  t.equal((await askBy(t, { ...site, keys: { ada: 'lcm_wrong' } }, 'forward', goal, {})).status, 407)
  const { ticket } = await site.run(invitePrincipal, { id: 'fay' })
  await runOperation({ ...site.context, as: LINK }, redeemLink, { ticket })
  await makePerson(site).signIn('ada')

  const said = (await site.audit()).map(({ event, caller, for: whom, actor, operation }) =>
    [event, operation ?? '', caller ?? '', whom ?? '', actor].join(' ').replaceAll(/ +/g, ' '),
  )
  for (const row of [
    'use ada human',
    'use billing service',
    'use billing ada service',
    'refused ada billing human',
    'refused unknown',
    'outcome human',
    'outcome service',
    'change principal.invite local human',
    'change link.redeem link human',
    'change session.open ada human',
    'start program',
    'rows program',
    'rows-kept program',
  ])
    t.ok(said.includes(row), row)
  t.notOk(said.some((row) => !/ (?:human|service|program|unknown)$/.test(row)))
  t.same(await site.verify(), [])
})
