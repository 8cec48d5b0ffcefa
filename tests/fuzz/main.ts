/**
 * `npm run fuzz`: hostile inputs for every reader of the house, and for the whole of it.
 *
 *   npm run fuzz                                     a million inputs, with a seed of its own
 *   npm run fuzz -- --inputs 10000 --seed 7          so many, the same ones again
 *   npm run fuzz -- --fuzzer wire,file               these alone
 *   npm run fuzz -- --seconds 60                     each for so long at most
 *   npm run fuzz -- --fuzzer wire --seed 7 --first 1234 --inputs 1      one of them again
 */
import { parseArgs } from 'node:util'
import { type Outcome, report, run } from './engine.ts'
import { FUZZERS } from './fuzzers.ts'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    fuzzer: { type: 'string' },
    first: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '86400' },
  },
})
const wanted = values.fuzzer?.split(',')
const fuzzers = FUZZERS.filter(({ name }) => wanted?.includes(name) ?? true)
const numbers = [values.inputs, values.first, values.seconds, values.seed ?? '1'].map(Number)
if (fuzzers.length === 0 || numbers.some((number) => !Number.isSafeInteger(number) || number < 0)) {
  process.stderr.write(
    `--fuzzer takes ${FUZZERS.map(({ name }) => name).join(', ')}; the others whole numbers.\n`,
  )
  process.exit(2)
}
const [inputs, first, seconds, given] = numbers as [number, number, number, number]
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : given
const shares = fuzzers.reduce((sum, { share }) => sum + share, 0)
process.stdout.write(`seed ${seed}\n`)
const outcomes: Outcome[] = []
for (const fuzzer of fuzzers) {
  const own = Math.ceil((inputs * fuzzer.share) / shares)
  let shown = 0
  const told = (done: number, accepted: number, spent: number) => {
    if (done - shown < own / 10) return
    shown = done
    const counts = `${accepted} accepted, ${done - accepted} not`
    process.stderr.write(
      `${fuzzer.name}: ${done} of ${own}, ${counts}, ${spent.toFixed(0)} s, seed ${seed}\n`,
    )
  }
  const outcome = await run(fuzzer, { seed, first, seconds, inputs: own, told })
  outcomes.push(outcome)
  if (outcome.failure) process.stdout.write(report(outcome.failure))
}
const rows = outcomes.map(({ fuzzer, inputs, accepted, seconds, failure }) => [
  fuzzer,
  inputs,
  accepted,
  seconds.toFixed(0),
  failure ? 'FAILED' : 'held',
])
process.stdout.write(
  `\n| fuzzer | inputs | accepted | s | |\n|---|---|---|---|---|\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`,
)
if (outcomes.some(({ failure }) => failure)) process.exitCode = 1
