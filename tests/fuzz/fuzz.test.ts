import t from 'tap'
import { Broken, type Fuzzer, inputOf, report, run } from './engine.ts'
import { FUZZERS } from './fuzzers.ts'

/** Another each time: what it finds can be repeated by what is printed. */
const seed = Date.now() % 2 ** 31

for (const fuzzer of FUZZERS) {
  t.test(`${fuzzer.name}: ${fuzzer.promise}`, async (t) => {
    const { failure, accepted, inputs } = await run(fuzzer, { seed, inputs: fuzzer.share * 100 })
    if (failure) t.fail(report(failure))
    t.ok(accepted > 0 && accepted < inputs, `${accepted} of ${inputs} were accepted`)
  })
}

t.test('a fault that is there is found, told with its seed, and made small', async (t) => {
  const faulty: Fuzzer = {
    name: 'faulty',
    promise: 'none',
    corpus: ['a long text in which nothing is wrong yet'],
    words: ['!!', 'x'],
    share: 1,
    attempt: (input) => {
      if (input.includes('!!')) throw new Broken(`it holds ${JSON.stringify(input)}`)
      return true
    },
  }
  const { failure } = await run(faulty, { seed: 1, inputs: 10_000 })
  t.match(failure, { fuzzer: 'faulty', seed: 1, least: '!!', why: 'it holds "!!"' })
  t.equal(failure?.input, inputOf(faulty, 1, failure?.number as number), 'the same input again')
  t.match(report(failure as NonNullable<typeof failure>), /--fuzzer faulty --seed 1 --first \d+ --inputs 1/)
  const crashing = { ...faulty, attempt: (input: string) => JSON.parse(input.includes('x') ? '' : '1') === 1 }
  t.match((await run(crashing, { seed: 1, inputs: 10_000 })).failure, { least: 'x', why: /SyntaxError/ })
})
