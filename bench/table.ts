import type { Result } from './load.ts'
import type { Workload } from './workloads.ts'

/** One measurement of one proxy. */
export interface Sample extends Result {
  readonly name: string
  readonly workload: Workload
  readonly round: number
}

/** What the others are compared with. */
const REFERENCE = 'HAProxy'

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const above = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? above : ((sorted[middle - 1] ?? Number.NaN) + above) / 2
}

/**
 * Prints one workload's medians. The ratio is the median of the rounds' own ratios: what slows the machine
 * down for a while slows both sides of it down.
 */
export function printTable(workload: Workload, samples: readonly Sample[]): void {
  const { figures } = workload
  const [compared] = figures
  const rows = [...new Set(samples.map((sample) => sample.name))].map((name) => {
    const own = samples.filter((sample) => sample.name === name)
    const ratios = own.flatMap((sample) => {
      const beside = samples.find((other) => other.name === REFERENCE && other.round === sample.round)
      return beside ? [compared.of(sample) / compared.of(beside)] : []
    })
    return { name, values: figures.map((figure) => median(own.map(figure.of))), ratio: median(ratios) }
  })
  console.log(`\n${workload.id}  ${workload.title}`)
  const [first, ...others] = figures.map((figure) => figure.title)
  console.log(line('', [first as string, `× ${REFERENCE}`, ...others]))
  for (const { name, values, ratio } of rows.sort((a, b) => (a.values[0] ?? 0) - (b.values[0] ?? 0))) {
    const [value, ...rest] = values.map((value, i) => value.toFixed(figures[i]?.digits))
    console.log(line(name, [value as string, Number.isNaN(ratio) ? '–' : ratio.toFixed(2), ...rest]))
  }
}

function line(name: string, columns: readonly string[]): string {
  return name.padEnd(24) + columns.map((column) => column.padStart(16)).join('')
}
