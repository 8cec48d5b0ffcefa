import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { chartOf } from '../../bench/chart.ts'
import type { Result } from '../../bench/load.ts'
import { markdownOf } from '../../bench/report.ts'
import { rowsOf, type Sample } from '../../bench/table.ts'
import { WORKLOADS, type Workload } from '../../bench/workloads.ts'
import { ROOT } from '../house/sources.ts'

const W1 = WORKLOADS[0] as Workload

function sample(name: string, round: number, cpu: number): Sample {
  const result: Result = {
    requests: 1000,
    bytes: 1000,
    seconds: 1,
    cpu: cpu / 1000,
    startMiB: 10,
    residentMiB: 20,
    connections: 64,
    latencies: [],
  }
  return { ...result, name, round, workload: W1 }
}

t.test('measures a Locum whose answers carry the secret, and writes what it found', (t) => {
  const folder = t.testdir()
  const [markdown, svg] = [join(folder, 'bench.md'), join(folder, 'bench.svg')]
  const args = ['--only', 'W1', '--peers', 'locum', '--rounds', '1', '--seconds', '0.1']
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'bench/main.ts'), ...args, '--markdown', markdown, '--svg', svg],
    { encoding: 'utf8' },
  )
  if (availableParallelism() < 2) {
    t.match(stderr, 'The bench needs Linux, taskset and two cores.')
    t.end()
    return
  }
  t.equal(status, 0, stderr)
  t.match(stdout, /W1 {2}forward proxy.*\n.*µs CPU\/request.*\nLocum +\d+\.\d +–/)
  t.match(readFileSync(markdown, 'utf8'), /\| \*\*Locum\*\* \| \d+\.\d \| – \|/)
  t.match(readFileSync(svg, 'utf8'), /^<svg .*>Locum<.*<\/svg>\n$/s)
  t.end()
})

t.test('compares round by round, and tells the median of the ratios', (t) => {
  const samples = [
    ...[10, 20, 40].map((cpu, i) => sample('HAProxy', i, cpu)),
    ...[20, 60, 100].map((cpu, i) => sample('Locum', i, cpu)),
  ]
  t.match(rowsOf(W1, samples), [
    { name: 'HAProxy', values: [20], ratio: 1 },
    { name: 'Locum', values: [60], ratio: 2.5 },
  ])
  t.match(rowsOf(W1, [sample('Locum', 1, 5)]), [{ name: 'Locum', values: [5], ratio: Number.NaN }])
  t.end()
})

t.test('draws the worst no longer than fits, and says how bad it is', (t) => {
  const rows = rowsOf(W1, [sample('HAProxy', 1, 10), sample('Locum', 1, 20), sample('<Slow>', 1, 9000)])
  const svg = chartOf([{ workload: W1, rows }])
  const widths = [...svg.matchAll(/<rect [^>]*width="(\d+)"/g)].map(([, width]) => Number(width))
  t.strictSame(widths, [49, 98, 490])
  t.match(svg, '>9000.0<')
  t.match(svg, '>&lt;Slow><', 'and names are text')
  const page = markdownOf({
    rounds: 1,
    seconds: 1,
    origin: 'nginx',
    measured: [{ name: 'HAProxy', version: '2.6.12' }],
    tables: [{ workload: W1, rows }],
  })
  t.match(page, '| **Locum** | 20.0 | 2.00 | 1000 | 2 |')
  t.match(page, 'HAProxy 2.6.12')
  t.end()
})
