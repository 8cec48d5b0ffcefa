import t from 'tap'
import { ASKS } from '../kit/echo-site.ts'
import { startNameServer } from '../kit/name-server.ts'
import { askBy, ENTRANCES, type Entrance } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** Public by the rules, and out of reach from a test: nobody answers. */
const PUBLIC = '93.184.215.14'
const PUBLIC_6 = '2606:2800:21f:cb07:6820:80da:af6b:8b2c'

const local = await startUpstream(t, { tls: false })
const names = await startNameServer(t)
const host = 'rebinding.example'
const authority = `${host}:${local.port}`
const goal = { name: 'rebinding', origin: `http://${authority}`, authority }
const site = await startSite(
  t,
  {
    principals: [{ id: 'ada' }],
    connections: [
      { name: 'rebinding', destinations: [goal.origin], allowPlaintext: true, auth: { method: 'api-key' } },
    ],
    credentials: [{ connection: 'rebinding', for: 'shared', fields: { apiKey: 'sk_rebinding_0123456789' } }],
  },
  { lookup: names.lookup, limits: { upstreams: { connectMs: 300 } } },
)

async function ask(entrance: Entrance) {
  const { status, body } = await askBy(t, site, entrance, goal, { headers: [ASKS] })
  return { status, code: JSON.parse(body).code as string }
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a name that turns to this machine is refused, whenever it turns`, async (t) => {
    names.answers(['127.0.0.1'])
    t.same(await ask(entrance), { status: 403, code: 'destination_forbidden' })
    names.answers([PUBLIC], ['127.0.0.1'])
    const before = names.asked.length
    t.match(await ask(entrance), { code: /^upstream_(?:unreachable|timeout)$/ }, 'the public one was dialled')
    t.equal(names.asked.length, before + 1, 'after one look, and no second')
    t.same(
      await ask(entrance),
      { status: 403, code: 'destination_forbidden' },
      'the next look is judged again',
    )
    t.equal(local.connections, 0, 'nothing has arrived')
  })

  t.test(`${entrance}: one address that is not public spoils the others`, async (t) => {
    for (const answer of [
      [PUBLIC, '127.0.0.1'],
      [PUBLIC, '10.0.0.1', PUBLIC],
      [PUBLIC, '::1'],
      [PUBLIC, '::ffff:7f00:1'],
      [PUBLIC_6, '64:ff9b::7f00:1'],
      [PUBLIC_6, 'fe80::1'],
      ['169.254.169.254'],
      ['0.0.0.0'],
      ['2002:7f00:1::'],
      ['fd00::1'],
    ]) {
      names.answers(answer)
      t.same(await ask(entrance), { status: 403, code: 'destination_forbidden' }, answer.join(', '))
    }
    t.equal(local.connections, 0)
  })
}
