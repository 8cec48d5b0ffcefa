import t from 'tap'
import { Bucket, burstOf, limitsOf, parseBudget } from '../../core/limits.ts'

t.test('a bucket gives its burst at once, and then its rate', async (t) => {
  const bucket = new Bucket()
  const taken = (now: number) => bucket.take(now, 2, 3)
  t.same([taken(0), taken(0), taken(0)], [0, 0, 0])
  t.equal(taken(0), 500)
  t.equal(taken(250), 250)
  t.equal(taken(500), 0)
  t.equal(taken(500), 500)
  t.same(
    [taken(60_000), taken(60_000), taken(60_000), taken(60_000)],
    [0, 0, 0, 500],
    'no more than its burst',
  )
})

t.test('a clock that goes back gives nothing and takes nothing', async (t) => {
  const bucket = new Bucket()
  t.equal(bucket.take(10_000, 1, 1), 0)
  t.equal(bucket.take(5_000, 1, 1), 1000)
  t.equal(bucket.take(6_000, 1, 1), 0)
})

t.test('what a principal has no word for is as usual, and a burst belongs to its rate', async (t) => {
  const usual = { connections: 10, inFlight: 5, rate: 2, burst: 20 }
  t.equal(limitsOf(undefined, usual), usual)
  t.same(limitsOf({ inFlight: 1 }, usual), { ...usual, inFlight: 1 })
  t.same(limitsOf({ rate: 7 }, usual), { ...usual, rate: 7, burst: undefined })
  t.same([burstOf({ rate: 0.2 }), burstOf({ rate: 2.5 }), burstOf({ rate: 2, burst: 9 })], [1, 3, 9])
})

t.test('a budget is a number in a period', async (t) => {
  t.same(parseBudget('1000/day'), { uses: 1000, per: 'day' })
  for (const text of ['', '10', '0/day', '10/week', '-1/day', '1.5/day', '10/day/hour'])
    t.throws(() => parseBudget(text), { code: 'bad_request' }, text)
})
