import t from 'tap'
import { startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)
const key = site.keys.ada as string

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a proxy key where the upstream would see it does not leave`, async (t) => {
    const before = upstream.requests.length
    for (const header of [`Authorization: Bearer ${key}`, `X-Api-Key: ${key}`, `Cookie: a=b; key="${key}"`]) {
      const { status, body } = await askBy(t, site, entrance, goal, { headers: [header] })
      t.equal(status, 400, header.slice(0, 6))
      t.match(body, /bad_request/)
      t.notMatch(body, key)
    }
    const asked = await askBy(t, site, entrance, goal, { path: `/x?key=${key}` })
    t.equal(asked.status, 400, 'in the target')
    t.notMatch(asked.body, key)
    t.equal(upstream.requests.length, before)
    const other = await askBy(t, site, entrance, goal, { headers: [`X-Note: ${key.slice(0, -1)}`] })
    t.equal(other.status, 200, 'what only looks like one passes')
  })
}
