/**
 * `npm run expiry`: a thousand callers at the moment at which a token expires, again and again, against a provider that
 * ends the grant when a refresh token is used twice.
 *
 *   npm run expiry                                 100 times with one process, and 100 times with four
 *   npm run expiry -- --rounds 20 --processes 2    so often, over so many
 */
import { parseArgs } from 'node:util'
import { openGround, round } from './rounds.ts'

const CALLERS = 1_000
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '100' }, processes: { type: 'string' } },
})

let failed = 0
for (const processes of values.processes === undefined ? [1, 4] : [Number(values.processes)]) {
  const closers: (() => unknown)[] = []
  const ground = await openGround({ teardown: (work) => void closers.push(work) }, processes)
  const rounds = Number(values.rounds)
  let once = 0
  for (let i = 0; i < rounds; i++) if (await round(ground, CALLERS)) once++
  failed += rounds - once
  const many = processes === 1 ? '1 process' : `${processes} processes`
  console.log(`${CALLERS} callers at expiry, ${many}: exactly one refresh, ${once} times of ${rounds}`)
  for (const close of closers.reverse()) await close()
}
process.exitCode = failed > 0 ? 1 : 0
