import t, { type Test } from 'tap'
import { ConnectionBudgets } from '../../broker/budgets.ts'
import type { Budgets } from '../../core/limits.ts'
import type { Connection } from '../../core/words.ts'
import { makeCaller } from '../core/kit.ts'
import { makeFolder, openSite } from '../store/site.ts'

const DAY = 86_400_000
const START = 20_000 * DAY

/** Counters of as many processes over one store, on one clock that is set by hand. */
async function startCounters(t: Test, processes: number) {
  const data = makeFolder(t)
  let now = START + 1000
  const clock = { now: () => now }
  const counters: ConnectionBudgets[] = []
  for (let i = 0; i < processes; i++) {
    const { store } = await openSite(t, data)
    counters.push(new ConnectionBudgets({ store, clock }))
  }
  return {
    counters,
    at(time: number) {
      now = time
    },
  }
}

const connection = (budget: Budgets) => ({ name: 'crm', budget }) as Connection

const as = (id: string) => makeCaller({ id })

/** How often it could be used, by whoever asks in turn, until it is refused. */
async function exhaust(counters: readonly ConnectionBudgets[], of: Connection, as: readonly string[]) {
  let used = 0
  const open = new Set(counters)
  for (let turn = 0; open.size > 0; turn++) {
    const counter = counters[turn % counters.length] as ConnectionBudgets
    if (!open.has(counter)) continue
    try {
      await counter.use(of, makeCaller({ id: as[turn % as.length] as string }))
      used++
    } catch (error) {
      if ((error as { code: string }).code !== 'rate_limited') throw error
      open.delete(counter)
    }
  }
  return used
}

t.test('all processes together use a connection as often as its budget says, and no more', async (t) => {
  const { counters, at } = await startCounters(t, 3)
  const of = connection({ total: { uses: 500, per: 'day' } })
  t.equal(await exhaust(counters, of, ['ada', 'bob']), 500)
  await t.rejects(async () => counters[0]?.use(of, as('eve')), {
    code: 'rate_limited',
    detail: '`crm` may be used 500 times a day.',
    retryAfter: DAY / 1000 - 1,
    hint: new RegExp(`The next day begins at ${new Date(START + DAY).toISOString()}`),
  })
  at(START + DAY)
  t.equal(await exhaust(counters, of, ['ada']), 500, 'the next day')
})

t.test('each caller has its own, and one that spent it takes nothing from the others', async (t) => {
  const { counters, at } = await startCounters(t, 2)
  const of = connection({ perCaller: { uses: 10, per: 'hour' }, total: { uses: 25, per: 'hour' } })
  t.equal(await exhaust(counters, of, ['ada']), 10)
  at(START + 5000)
  t.equal(await exhaust(counters, of, ['bob']), 10)
  at(START + 10_000)
  t.equal(await exhaust(counters, of, ['eve']), 5, 'what is left of all')
  await t.rejects(async () => counters[0]?.use(of, as('ada')), /by `ada`/)
})

t.test('a process that ends gives back what it has not used; one that is killed does not', async (t) => {
  const { counters, at } = await startCounters(t, 3)
  const [first, killed, last] = counters as [ConnectionBudgets, ConnectionBudgets, ConnectionBudgets]
  const of = connection({ total: { uses: 160, per: 'minute' } })
  await first.use(of, as('ada'))
  await killed.use(of, as('ada'))
  await first.close()
  // One was used by each; the second drew a sixteenth of what was left.
  t.equal(await exhaust([last], of, ['ada']), 160 - 1 - 10)
  at(START + 60_000)
  t.equal(await exhaust([last], of, ['ada']), 160)
})

t.test('a process whose clock is behind does not begin a period anew', async (t) => {
  const data = makeFolder(t)
  const { store } = await openSite(t, data)
  const of = connection({ total: { uses: 5, per: 'minute' } })
  const ahead = new ConnectionBudgets({ store, clock: { now: () => START + 60_000 } })
  const behind = new ConnectionBudgets({ store, clock: { now: () => START + 59_999 } })
  t.equal(await exhaust([behind], of, ['ada']), 5)
  t.equal(await exhaust([ahead], of, ['ada']), 5)
  t.equal(
    await exhaust([new ConnectionBudgets({ store, clock: { now: () => START + 59_999 } })], of, ['ada']),
    0,
  )
})

t.test('many uses at once draw once, and each is counted', async (t) => {
  const { counters } = await startCounters(t, 1)
  const [counter] = counters as [ConnectionBudgets]
  const of = connection({ total: { uses: 40, per: 'day' } })
  const uses = await Promise.allSettled(Array.from({ length: 100 }, async () => counter.use(of, as('ada'))))
  t.equal(uses.filter(({ status }) => status === 'fulfilled').length, 40)
})

t.test('who is refused for what all have spent loses nothing of their own', async (t) => {
  const { counters, at } = await startCounters(t, 1)
  const [counter] = counters as [ConnectionBudgets]
  const of = connection({ perCaller: { uses: 3, per: 'day' }, total: { uses: 2, per: 'hour' } })
  t.equal(await exhaust(counters, of, ['ada']), 2)
  for (let i = 0; i < 5; i++)
    await t.rejects(async () => counter.use(of, as('ada')), /2 times a hour|2 times an hour/)
  at(START + 3_600_000)
  await counter.use(of, as('ada'))
  await t.rejects(async () => counter.use(of, as('ada')), /by `ada`/, 'the third was the last')
})

t.test('what is used while a process ends is counted', async (t) => {
  const { counters } = await startCounters(t, 2)
  const [first, second] = counters as [ConnectionBudgets, ConnectionBudgets]
  const of = connection({ total: { uses: 160, per: 'day' } })
  await first.use(of, as('ada'))
  const closing = first.close()
  const uses = await Promise.allSettled(Array.from({ length: 3 }, async () => first.use(of, as('ada'))))
  await closing
  const meanwhile = uses.filter(({ status }) => status === 'fulfilled').length
  const used = 1 + meanwhile + (await exhaust([second], of, ['ada']))
  t.ok(used > 140 && used <= 160, `${used} were used`)
})

t.test('what is given back goes to the period from which it was taken', async (t) => {
  const { counters, at } = await startCounters(t, 1)
  const [counter] = counters as [ConnectionBudgets]
  const of = connection({ perCaller: { uses: 5, per: 'minute' }, total: { uses: 5, per: 'hour' } })
  const uses = Array.from({ length: 5 }, async () => counter.use(of, as('ada')))
  await Promise.all(uses)
  // The hour is spent: each of these takes of the new minute and gives it back.
  at(START + 60_000)
  const late = Array.from({ length: 5 }, async () => counter.use(of, as('ada')))
  at(START + 120_000)
  for (const { status } of await Promise.allSettled(late)) t.equal(status, 'rejected')
  at(START + 3_600_000)
  t.equal(await exhaust(counters, of, ['ada']), 5)
})

t.test('who calls for another uses their own share as well', async (t) => {
  const { counters } = await startCounters(t, 1)
  const [counter] = counters as [ConnectionBudgets]
  const of = connection({ perCaller: { uses: 2, per: 'day' } })
  const back = as('back').principal
  const by = (id: string) => ({ ...as(id), actor: back })
  for (const id of ['ada', 'bob']) await counter.use(of, by(id))
  await t.rejects(async () => counter.use(of, by('eve')), /by `back`/)
  await counter.use(of, as('ada'))
  await t.rejects(async () => counter.use(of, as('ada')), /by `ada`/)
})

t.test('what was drawn serves on, however many others call', async (t) => {
  const drawn: string[] = []
  const store = {
    async drawUses(_as: unknown, { principal }: { principal: string }, share: (left: number) => number) {
      drawn.push(principal)
      return share(32)
    },
  }
  const budgets = new ConnectionBudgets({ store, clock: { now: () => START } })
  const of = connection({ perCaller: { uses: 32, per: 'day' } })
  await budgets.use(of, as('ada'))
  for (let i = 0; i < 4_100; i++) await budgets.use(of, as(`user-${i}`))
  await budgets.use(of, as('ada'))
  t.equal(drawn.filter((id) => id === 'ada').length, 1)
})
