import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, eventually, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const config = (more: object = {}) => ({
  principals: [{ id: 'ada', kind: 'user' }],
  connections: [connectionTo(upstream, { ...more })],
  ...(!('auth' in more) && {
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
  }),
})
const site = await startSite(t, config())
const goal = { ...upstream, name: 'echo' }

async function makeAgain(more: object): Promise<void> {
  const { store, as } = site.context
  const before = await store.connection(as, 'echo')
  await store.removeConnection(as, 'echo')
  await site.apply(config(more))
  t.equal((await store.connection(as, 'echo'))?.version, before?.version, 'its version tells nothing')
  await site.settle()
}

t.test('a connection that is removed and made again at once is the new one', async (t) => {
  t.equal((await askBy(t, site, 'gateway', goal, { headers: [ASKS] })).status, 200)
  await makeAgain({ allow: { methods: ['PUT'] } })
  t.equal((await askBy(t, site, 'gateway', goal, { headers: [ASKS] })).status, 403)
})

t.test('it serves while an answer of the old one still comes', async (t) => {
  // Without a credential, whose new id would tell the two apart.
  const none = { auth: { method: 'none' } }
  await makeAgain(none)
  const slow = await sendBy(t, site, 'gateway', goal, { path: '/slow' })
  await slow.until((received) => received.includes('\r\n\r\n'))
  // Another TLS setting: the same socket must not serve both.
  await makeAgain({ ...none, ca: `${upstream.ca}\n${upstream.ca}` })
  t.equal((await askBy(t, site, 'gateway', goal)).status, 200)
  t.notOk(slow.ended)
  slow.socket.destroy()
  await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
})
