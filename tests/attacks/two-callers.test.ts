import t from 'tap'
import { ASKS, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)
await site.apply({
  principals: [{ id: 'ada', kind: 'user' }, { id: 'ben' }],
  connections: [
    {
      name: 'echo',
      destinations: [upstream.origin],
      ca: upstream.ca,
      allowPrivateNetwork: true,
      auth: { method: 'none' },
    },
  ],
})
await site.settle()

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: whoever asks for another is not served as themselves`, async (t) => {
    const before = upstream.requests.length
    for (const line of ['Locum-For: user:ben', 'LOCUM-FOR: user:ada']) {
      const { status, body } = await askBy(t, site, entrance, goal, { headers: [line] })
      t.equal(status, 403)
      t.equal(JSON.parse(body).code, 'not_allowed')
    }
    t.equal(upstream.requests.length, before)
  })
}

t.test('whoever shows two keys is nobody', async (t) => {
  const before = upstream.requests.length
  const gateway = await askBy(t, site, 'gateway', goal, {
    headers: [ASKS, `Locum-Authorization: Bearer ${site.keys.ben}`],
  })
  t.equal(gateway.status, 401)
  const forward = await askBy(t, site, 'forward', goal, {
    headers: [ASKS, `Proxy-Authorization: Bearer ${site.keys.ben}`],
  })
  t.equal(forward.status, 400)
  t.equal(upstream.requests.length, before)
})
