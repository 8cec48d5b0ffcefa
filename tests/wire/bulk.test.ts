import t from 'tap'
import { passBulk } from './bulk.ts'

const SIZE = 256 << 20

for (const [direction, chunked] of [
  ['down', false],
  ['up', true],
] as const)
  t.test(`passes 256 MiB ${direction} in constant memory${chunked ? ', chunked' : ''}`, async (t) => {
    t.setTimeout(120_000)
    const before = process.memoryUsage.rss()
    const { peak } = await passBulk(t, SIZE, direction, chunked)
    t.ok(peak - before < 128 << 20, `${(peak - before) >> 20} MiB more`)
  })
