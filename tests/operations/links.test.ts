import t from 'tap'
import type { TSchema } from 'typebox'
import { namedOf } from '../../core/act-for.ts'
import { isProxyKey, proxyKeyHash } from '../../core/proxy-key.ts'
import { LINK, NOBODY, type Principal, SYSTEM } from '../../core/words.ts'
import { showCredential } from '../../operations/credentials.ts'
import { invitePrincipal, LINK_FOR, linkPrincipalKey, redeemLink, showLink } from '../../operations/links.ts'
import { type Operation, runOperation } from '../../operations/operation.ts'
import {
  disablePrincipal,
  enablePrincipal,
  revokePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../../operations/principals.ts'
import { whoIsSignedIn, whoShows } from '../../operations/sessions.ts'
import { refusal } from './kit.ts'
import { openPeople } from './people.ts'

async function stand(t: Parameters<typeof openPeople>[0]) {
  const people = await openPeople(t)
  let now = Date.now()
  const context = { ...people.context, clock: { now: () => now } }
  const as =
    (who: Principal) =>
    <I extends TSchema, O>(operation: Operation<I, O>, input: unknown): Promise<O> =>
      runOperation({ ...context, as: who }, operation, input)
  return {
    ...people,
    context,
    open: as(LINK),
    local: as(people.context.as),
    wait: (ms: number) => {
      now += ms
    },
  }
}

const GONE = { code: 'bad_request', detail: /good for nothing, or not any more/ }

t.test('a link gives the key once, and who gave the link never sees it', async (t) => {
  const { local, open, context, changes } = await stand(t)
  const { ticket, expiresAt } = await local(invitePrincipal, { id: 'fay', ttl: '90d' })
  t.equal(expiresAt, context.clock.now() + LINK_FOR)
  t.match(await local(showPrincipal, { id: 'fay' }), { keys: [], linkUntil: expiresAt })
  for (let i = 0; i < 2; i++)
    t.match(await open(showLink, { ticket }), { id: 'fay' }, 'looking uses up nothing')
  const { id, key, expiresAt: until } = await open(redeemLink, { ticket })
  t.equal(id, 'fay')
  t.ok(isProxyKey(key))
  t.equal(until, context.clock.now() + 90 * 86_400_000, 'its time begins here')
  const holder = await context.store.keyHolder(SYSTEM, proxyKeyHash(key))
  t.match(holder, { principal: { id: 'fay' } })
  t.match(await refusal(open(redeemLink, { ticket })), GONE)
  t.match(await refusal(open(showLink, { ticket })), GONE)
  t.match(await local(showPrincipal, { id: 'fay' }), { keys: [{}], linkUntil: undefined })
  const said = await changes()
  t.match(said.at(-2), { operation: 'link.redeem', subject: 'fay', caller: 'link', outcome: 'done' })
  t.match(said.at(-1), { operation: 'link.redeem', subject: 'a link', outcome: 'failed' })
  t.notMatch(JSON.stringify(said), ticket)
})

t.test('of all who open a link at once, one gets the key', async (t) => {
  const { local, open } = await stand(t)
  const { ticket } = await local(invitePrincipal, { id: 'fay' })
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => open(redeemLink, { ticket })))
  t.equal(all.filter(({ status }) => status === 'fulfilled').length, 1)
  t.equal((await local(showPrincipal, { id: 'fay' })).keys.length, 1)
})

t.test('a link is over after a day, and with whatever ends the keys', async (t) => {
  const ends: Record<string, (x: Awaited<ReturnType<typeof stand>>) => unknown> = {
    'a day later': ({ wait }) => wait(LINK_FOR),
    'another link': ({ local }) => local(linkPrincipalKey, { id: 'fay' }),
    'a key': ({ local }) => local(rotatePrincipalKey, { id: 'fay' }),
    revoked: ({ local }) => local(revokePrincipal, { id: 'fay' }),
    disabled: ({ local }) => local(disablePrincipal, { id: 'fay' }),
    removed: ({ context }) => context.store.removePrincipal(SYSTEM, 'fay'),
  }
  for (const [how, end] of Object.entries(ends)) {
    const x = await stand(t)
    const { ticket } = await x.local(invitePrincipal, { id: 'fay' })
    await end(x)
    t.match(await refusal(x.open(showLink, { ticket })), GONE, how)
    t.match(await refusal(x.open(redeemLink, { ticket })), GONE, how)
    if (how !== 'disabled') continue
    await x.local(enablePrincipal, { id: 'fay' })
    t.match(await x.open(redeemLink, { ticket }), { id: 'fay' }, 'disabling is reversible')
  }
})

t.test('a ticket calls nothing and signs nobody in, and no key opens a link', async (t) => {
  const { local, open, context } = await stand(t)
  const { ticket } = await local(invitePrincipal, { id: 'fay' })
  await t.rejects(whoShows(context, ticket), { code: 'caller_unauthenticated' })
  t.equal(await whoIsSignedIn(context, ticket), undefined)
  const { key } = await local(rotatePrincipalKey, { id: 'ada' })
  for (const not of [key, 'lcm_', ''.padEnd(53, 'x')])
    t.match(await refusal(open(redeemLink, { ticket: not })), GONE)
  t.match(await refusal(local(redeemLink, { ticket })), { code: 'not_allowed' })
})

t.test('nobody acts for a revoked user because a link waits for them', async (t) => {
  const { local, open, context } = await stand(t)
  await local(revokePrincipal, { id: 'ada' })
  const { ticket } = await local(linkPrincipalKey, { id: 'ada' })
  const isWithdrawn = async () => {
    const record = await context.store.principal(SYSTEM, 'ada')
    if (!record) throw new Error('she is gone')
    return namedOf(record, NOBODY, await context.store.keys(SYSTEM, 'ada')).withdrawn
  }
  t.equal(await isWithdrawn(), true)
  await open(redeemLink, { ticket })
  t.equal(await isWithdrawn(), false)
})

t.test('a link suspends as a new key does (R28)', async (t) => {
  const { as, enter, local } = await stand(t)
  const { id } = await enter('ada')
  t.match(await as('root', linkPrincipalKey, { id: 'ada' }), { suspended: [id] })
  t.match(await local(showCredential, { id }), { state: 'suspended', fields: [] })
  await enter('ada')
  t.same((await local(linkPrincipalKey, { id: 'ada' })).suspended, [], 'no link that was not opened')
})
