import t from 'tap'
import { type Principal, SYSTEM } from '../../core/words.ts'
import { LENT_FOR, lendKey, prolongKey, returnKey } from '../../operations/lent-keys.ts'
import { runOperation } from '../../operations/operation.ts'
import { addPrincipal, disablePrincipal, revokePrincipal } from '../../operations/principals.ts'
import { movableClock } from '../certs/kit.ts'
import { startEchoSite } from '../kit/echo-site.ts'
import { openTunnel } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'

async function stand(t: Parameters<typeof startSite>[0]) {
  const clock = movableClock()
  const site = await startSite(t, { connections: [] }, { clock })
  await site.run(addPrincipal, { id: 'ada' })
  const { store } = site.context
  return { clock, site, store, keys: () => store.keys(SYSTEM, 'ada') }
}

const named = ({ id, hash }: { id: string; hash: string }) => ({ id, hash })

t.test('a lent key is one more, ends by itself, and can be prolonged and returned', async (t) => {
  const { clock, site, keys } = await stand(t)
  const [own] = await keys()
  const lent = await site.run(lendKey, { id: 'ada' })
  t.equal(lent.expiresAt, clock.now() + LENT_FOR)
  t.equal((await keys()).length, 2)
  clock.advance(1000)
  t.equal(await site.run(prolongKey, named(lent)), true)
  const now = (await keys()).find(({ hash }) => hash === lent.hash)
  t.match(now, { expiresAt: clock.now() + LENT_FOR })
  t.equal(await site.run(returnKey, named(lent)), 1)
  t.equal(await site.run(returnKey, named(lent)), 0)
  t.same(await keys(), [own])
  t.equal(await site.run(prolongKey, named(lent)), false, 'what is gone stays gone')
  t.same(await keys(), [own])
})

t.test('only whoever holds the data folder lends a key', async (t) => {
  const { site, keys } = await stand(t)
  const lent = await site.run(lendKey, { id: 'ada' })
  for (const via of ['key', 'jwt', 'session', 'default'] as const) {
    const as: Principal = { id: 'root', kind: 'user', projects: [], admin: true, via }
    for (const [operation, input] of [
      [lendKey, { id: 'ada' }],
      [prolongKey, named(lent)],
      [returnKey, named(lent)],
    ] as const) {
      await t.rejects(runOperation({ ...site.context, as }, operation as typeof lendKey, input), {
        code: 'not_allowed',
        detail: 'Only whoever holds the data folder may do that.',
      })
    }
  }
  t.equal((await keys()).length, 2)
})

t.test('nobody gets a key of somebody who is not there or is disabled', async (t) => {
  const { site } = await stand(t)
  await t.rejects(site.run(lendKey, { id: 'eve' }), { code: 'not_found' })
  await site.run(disablePrincipal, { id: 'ada' })
  await t.rejects(site.run(lendKey, { id: 'ada' }), { code: 'not_allowed', hint: /enable ada/ })
})

t.test('a revoked principal loses it, and no prolonging brings it back', async (t) => {
  const { site, keys } = await stand(t)
  const lent = await site.run(lendKey, { id: 'ada' })
  await site.run(revokePrincipal, { id: 'ada' })
  t.equal(await site.run(prolongKey, named(lent)), false)
  t.same(await keys(), [])
})

t.test('a key that was not lent is neither prolonged nor returned', async (t) => {
  const { site, keys } = await stand(t)
  const [own] = await keys()
  const { hash } = own as { hash: string }
  t.equal(await site.run(prolongKey, { id: 'ada', hash }), false)
  t.equal(await site.run(returnKey, { id: 'ada', hash }), 0)
  t.same(await keys(), [own])
})

t.test('what a killed run left is taken away with the next, and nothing else', async (t) => {
  const { clock, site, store, keys } = await stand(t)
  await store.addKey(SYSTEM, { hash: 'e'.repeat(64), principal: 'ada', createdAt: 1, expiresAt: 2 })
  const left = await site.run(lendKey, { id: 'ada' })
  clock.advance(LENT_FOR)
  const lent = await site.run(lendKey, { id: 'ada' })
  const hashes = (await keys()).map(({ hash }) => hash)
  t.notOk(hashes.includes(left.hash))
  t.ok(hashes.includes(lent.hash) && hashes.includes('e'.repeat(64)), 'an expired key of hers is hers')
})

t.test('the audit has its beginning and its end, and not each minute between', async (t) => {
  const { site } = await stand(t)
  const lent = await site.run(lendKey, { id: 'ada' })
  for (let i = 0; i < 3; i++) await site.run(prolongKey, named(lent))
  await site.run(returnKey, named(lent))
  const changes = (await site.audit()).filter(({ event }) => event === 'change').slice(-2)
  t.match(changes, [
    { operation: 'key.lend', subject: 'ada', caller: 'local' },
    { operation: 'key.return', subject: 'ada' },
  ])
  t.same(await site.verify(), [])
})

t.test('what is open goes on with a key that is prolonged, and ends with one that is not', async (t) => {
  const clock = movableClock()
  const { site, goal } = await startEchoSite(t, { options: { clock } })
  const open = async () => {
    const lent = await site.run(lendKey, { id: 'ada' })
    return { lent, tunnel: await openTunnel(t, { ...site, keys: { ada: lent.key } }, goal.authority) }
  }
  const [kept, left] = [await open(), await open()]
  clock.advance(LENT_FOR - 1000)
  await site.run(prolongKey, named(kept.lent))
  await site.settle()
  clock.advance(2000)
  await site.settle()
  await left.tunnel.gone()
  t.notOk(kept.tunnel.ended)
  kept.tunnel.send(`GET /headers HTTP/1.1\r\nHost: ${goal.authority}\r\n\r\n`)
  t.match(await kept.tunnel.response(), { status: 200 })
})
