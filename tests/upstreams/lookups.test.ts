import t from 'tap'
import { Lookups } from '../../proxy/upstreams/lookups.ts'

/** A resolver that answers when it is told to. */
function resolver() {
  const asked = new Map<string, { resolve(): void; reject(error: Error): void }>()
  const names: string[] = []
  const lookup = (name: string) => {
    names.push(name)
    const { promise, resolve, reject } = Promise.withResolvers<{ address: string }[]>()
    asked.set(name, { resolve: () => resolve([{ address: `of ${name}` }]), reject })
    return promise
  }
  return { asked, names, lookups: new Lookups(lookup) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('names that nobody answers for hold up their own group alone', async (t) => {
  const { names, asked, lookups } = resolver()
  const slow = Array.from({ length: 20 }, (_, i) => lookups.ask('wild', `slow-${i}`))
  t.equal(names.length, 4)
  const other = lookups.ask('crm', 'crm.test')
  t.equal(names.at(-1), 'crm.test')
  asked.get('crm.test')?.resolve()
  t.same(await other.answers, [{ address: 'of crm.test' }])
  // Whoever gives up while they wait takes no turn.
  for (const { cancel } of slow.slice(0, 10)) cancel()
  asked.get('slow-0')?.reject(new Error('late'))
  await t.rejects((slow[0] as (typeof slow)[number]).answers, /late/)
  await turn()
  t.same(names.slice(5), ['slow-10'], 'one that ended makes room for one that still waits')
})

t.test('one name is looked up once, however many ask, in whatever group', async (t) => {
  const { names, asked, lookups } = resolver()
  const all = ['a', 'a', 'b'].map((group) => lookups.ask(group, 'one.test'))
  t.same(names, ['one.test'])
  asked.get('one.test')?.resolve()
  for (const { answers } of all) t.same(await answers, [{ address: 'of one.test' }])
  await turn()
  lookups.ask('a', 'one.test')
  t.equal(names.length, 2, 'and again, later')
})

t.test('what waited for a name that is looked up meanwhile gets that answer', async (t) => {
  const { names, asked, lookups } = resolver()
  for (let i = 0; i < 4; i++) lookups.ask('a', `${i}.test`)
  const waits = lookups.ask('a', 'shared.test')
  lookups.ask('b', 'shared.test')
  asked.get('0.test')?.resolve()
  await turn()
  asked.get('shared.test')?.resolve()
  t.same(await waits.answers, [{ address: 'of shared.test' }])
  t.equal(names.filter((name) => name === 'shared.test').length, 1)
})
