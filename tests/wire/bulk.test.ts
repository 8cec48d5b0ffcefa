import t from 'tap'
import { passBulk } from './bulk.ts'

const SIZE = 256 << 20

for (const direction of ['down', 'up'] as const)
  for (const chunked of [false, true])
    t.test(`passes 256 MiB ${direction} in constant memory${chunked ? ', chunked' : ''}`, async (t) => {
      const before = process.memoryUsage.rss()
      const { peak } = await passBulk(t, SIZE, direction, chunked)
      t.ok(peak - before < 96 << 20, `${(peak - before) >> 20} MiB more`)
    })
