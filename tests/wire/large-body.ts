import { type Bulk, passBulk } from './bulk.ts'

/** By hand: node tests/wire/large-body.ts [GiB, 10 unless told] [down|up] [chunked]. Client, relay and origin share the process. */
const gib = Number(process.argv[2] ?? 10)
const direction = process.argv[3] === 'up' ? 'up' : 'down'
const work: (() => unknown)[] = []
const { seconds, cpu, rate, peak }: Bulk = await passBulk(
  { teardown: (undo) => work.push(undo) },
  gib * 2 ** 30,
  direction,
  process.argv[4] === 'chunked',
)
console.log(
  `${gib} GiB ${direction} in ${seconds.toFixed(1)} s (${cpu.toFixed(1)} s of CPU), ${rate.toFixed(0)} MB/s, at most ${(peak / 2 ** 20).toFixed(0)} MiB resident`,
)
for (const undo of work) undo()
