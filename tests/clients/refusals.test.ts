import { randomBytes } from 'node:crypto'
import t from 'tap'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { startEchoSite } from '../kit/echo-site.ts'
import { LIBRARIES } from './libraries.ts'
import type { Step, Took } from './library.ts'
import { filled } from './needs.ts'
import { makeTrustStore } from './trust-store.ts'

t.jobs = 3

const { site, upstream } = await startEchoSite(t, { upstream: { host: 'a.localhost' } })
const store = await makeTrustStore(site)
const RIGHT = site.keys.ada as string
const WRONG = proxyKeyText(randomBytes(32))

/** What somebody sees who looks at it. */
function textOf({ status, body, error }: Took = {}): string {
  return error ?? `${status} ${body}`
}

for (const library of LIBRARIES) {
  const { needs, missing, take } = library
  const options = { skip: missing ?? false, buffered: true }
  t.test(`${needs.name} says what is wrong with a key or a destination`, options, async (t) => {
    const run = (steps: readonly Step[], key: string, named: object = { ...needs.proxy, ...needs.trust }) => {
      const means = { id: 'ada', key, port: site.port, caFile: site.caFile, store }
      const authorization = 'Bearer <<$Auth.API_Key>>'
      return take(steps, { settings: filled({ ...named }, means), authorization, ...means })
    }
    const both = (authority: string) => [
      { name: 'http', url: `http://${authority}/plain` },
      { name: 'https', url: `https://${authority}/secure` },
    ]
    const wrong = await run(both(upstream.authority), WRONG)
    t.match(textOf(wrong.get('http')), library.onRefused, 'a wrong key, by http')
    t.match(textOf(wrong.get('https')), library.onRefusedTunnel, 'a wrong key, by https')
    const undeclared = await run(both(`b.localhost:${upstream.port}`), RIGHT)
    t.match(textOf(undeclared.get('http')), library.onUndeclared, 'nobody declared it, by http')
    t.match(textOf(undeclared.get('https')), library.onUndeclaredTunnel, 'nobody declared it, by https')
    const gateway = `http://127.0.0.1:${site.port}/c`
    const asked = [
      { name: 'key', url: `${gateway}/echo/key`, key: WRONG },
      { name: 'name', url: `${gateway}/nothing/name`, key: RIGHT },
    ]
    const got = await run(asked, RIGHT, {})
    t.match(textOf(got.get('key')), library.onRefusedAtGateway, 'a wrong key at the gateway')
    t.match(got.get('name'), { status: 404, body: /"code":"connection_not_found"/ })
    t.equal(upstream.requests.length, 0, 'nothing left')
  })
}
