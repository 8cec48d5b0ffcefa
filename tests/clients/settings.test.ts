import t from 'tap'
import { connectionTo, MASKED, SECRET, startEchoSite } from '../kit/echo-site.ts'
import { startSite } from '../kit/site.ts'
import { LIBRARIES } from './libraries.ts'
import { filled, type Settings } from './needs.ts'
import { makeTrustStore } from './trust-store.ts'

t.jobs = 3

const { site, upstream } = await startEchoSite(t, { upstream: { host: 'a.localhost' } })
const store = await makeTrustStore(site)
const means = { id: 'ada', key: site.keys.ada as string, port: site.port, caFile: site.caFile, store }
const authorization = 'Bearer <<$Auth.API_Key>>'
const steps = [
  { name: 'http', url: `http://${upstream.authority}/plain` },
  { name: 'https', url: `https://${upstream.authority}/secure` },
]

for (const { needs, missing, take } of LIBRARIES) {
  const options = { skip: missing ?? false, buffered: true }
  t.test(`${needs.name} needs each setting that is named for it, and no other`, options, async (t) => {
    const works = async (named: Settings) => {
      const settings = filled(named, means)
      const took = await take(steps, { settings, authorization, ...means })
      return steps.filter(({ name }) => took.get(name)?.echo === MASKED).map(({ name }) => name)
    }
    const all: Settings = { ...needs.proxy, ...needs.trust }
    t.same(await works(all), ['http', 'https'])
    for (const leftOut of Object.keys(all)) {
      const { [leftOut]: _, ...rest } = all
      const worked = await works(rest)
      t.ok(worked.length < 2, `without ${leftOut} this works: ${worked.join() || 'nothing'}`)
    }
  })
}

const sidecar = await startSite(t, {
  identity: { default: 'billing' },
  principals: [{ id: 'billing', kind: 'service' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})

for (const { id, needs, missing, take } of LIBRARIES) {
  const options = { skip: missing ?? false, buffered: true }
  t.test(`${needs.name} needs no key where the site has a default caller, and no CA`, options, async (t) => {
    const nobody = { id: '', key: '', port: sidecar.port, caFile: sidecar.caFile }
    const asked = [{ name: 'echo', url: `http://${upstream.authority}/${id}` }]
    const took = await take(asked, { settings: filled(needs.proxy, nobody), authorization, ...nobody })
    t.match(took.get('echo'), { status: 200, echo: MASKED })
    const uses = (await sidecar.audit()).filter(({ event, path }) => event === 'use' && path === `/${id}`)
    t.match(uses, [{ caller: 'billing', via: 'default' }])
  })
}
