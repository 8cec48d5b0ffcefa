import t from 'tap'
import { revokePrincipal, rotatePrincipalKey, showPrincipal } from '../../operations/principals.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy, dial } from '../kit/raw.ts'
import { startSite, type Teardown, type TestSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** A site whose file gives the keys; `reapply` is what `serve --config` does with each start. */
async function openSite(t: Teardown) {
  const upstream = await startUpstream(t)
  const config = {
    principals: [{ id: 'ada' }, { id: 'billing', kind: 'service', mayActFor: ['user:*'] }],
    connections: [connectionTo(upstream, { auth: { method: 'none' } })],
  }
  const site = await startSite(t, config)
  const ask = async (key: string, ...headers: string[]) =>
    (await askBy(t, site, 'forward', { ...upstream, name: 'echo' }, { as: key, headers })).status
  const reapply = async () => {
    await site.apply(config)
    await site.settle()
  }
  return { site, upstream, ask, reapply }
}

const ENDINGS: readonly (readonly [string, (site: TestSite) => Promise<object>])[] = [
  ['revoked', (site) => site.run(revokePrincipal, { id: 'ada' })],
  ['rotated', (site) => site.run(rotatePrincipalKey, { id: 'ada' })],
]

for (const [what, end] of ENDINGS) {
  t.test(`a key that was ${what} is not brought back by its file, applied again`, async (t) => {
    const { site, upstream, ask, reapply } = await openSite(t)
    const tunnel = await dial(t, site.port)
    const { authority } = upstream
    tunnel.send(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Bearer ${site.keys.ada}\r\n\r\n`,
    )
    t.equal((await tunnel.response(true)).status, 200)
    const from = performance.now()
    const given = await end(site)
    await tunnel.gone()
    t.ok(performance.now() - from < 1000, 'what it held open ended in time')
    t.equal(await ask('ada'), 407)
    await reapply()
    t.equal(await ask('ada'), 407)
    if ('key' in given) t.equal(await ask(String(given.key)), 200, 'the new one serves on')
  })
}

t.test(
  'whoever was revoked is acted for again with a new key, not with the old one applied again',
  async (t) => {
    const { site, ask, reapply } = await openSite(t)
    await site.run(revokePrincipal, { id: 'ada' })
    await reapply()
    t.equal(await ask('billing', 'Locum-For: user:ada'), 403)
    await site.run(rotatePrincipalKey, { id: 'ada' })
    await site.settle()
    t.equal(await ask('billing', 'Locum-For: user:ada'), 200)
    t.equal((await site.run(showPrincipal, { id: 'ada' })).keys.length, 2, 'one of them has ended')
  },
)
