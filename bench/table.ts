import type { Result } from './load.ts'
import type { Figure, Workload } from './workloads.ts'

/** One measurement of one proxy. */
export interface Sample extends Result {
  readonly name: string
  readonly workload: Workload
  readonly round: number
}

/** What the others are compared with. */
const REFERENCE = 'HAProxy'
/** Locum, and the one that searches no answers: what lies between them is the cost of the search. */
export const LOCUM = 'Locum'
export const UNSEARCHED = 'Locum, redact: off'

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const above = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? above : ((sorted[middle - 1] ?? Number.NaN) + above) / 2
}

/** The median of the rounds' own ratios; NaN where one of the two was not measured. */
function ratioOf(figure: Figure, samples: readonly Sample[], name: string, reference: string): number {
  const ratios = samples
    .filter((sample) => sample.name === name)
    .flatMap((sample) => {
      const beside = samples.find((other) => other.name === reference && other.round === sample.round)
      return beside ? [figure.of(sample) / figure.of(beside)] : []
    })
  return median(ratios)
}

/** What is told of one proxy: medians of the workload's figures, and how the first compares. */
export interface Row {
  readonly name: string
  readonly values: readonly number[]
  readonly ratio: number
}

/**
 * One workload's rows, the best first. The ratio is the median of the rounds' own ratios: what slows the
 * machine down for a while slows both sides of it down.
 */
export function rowsOf(workload: Workload, all: readonly Sample[]): Row[] {
  const { figures } = workload
  const [compared] = figures
  const samples = all.filter((sample) => sample.workload === workload)
  const rows = [...new Set(samples.map((sample) => sample.name))].map((name) => {
    const own = samples.filter((sample) => sample.name === name)
    const values = figures.map((figure) => median(own.map(figure.of)))
    return { name, values, ratio: ratioOf(compared, samples, name, REFERENCE) }
  })
  return rows.sort((a, b) => (a.values[0] ?? 0) - (b.values[0] ?? 0))
}

/** The titles of a table's columns behind the name. */
export function columnsOf({ figures: [first, ...others] }: Workload): string[] {
  return [first.title, `× ${REFERENCE}`, ...others.map(({ title }) => title)]
}

/** A row under `columnsOf`. */
export function cellsOf({ figures }: Workload, { values, ratio }: Row): string[] {
  const [first, ...others] = values.map((value, i) => value.toFixed(figures[i]?.digits))
  const digits = ratio < 10 ? 2 : 0
  return [first as string, Number.isNaN(ratio) ? '–' : ratio.toFixed(digits), ...others]
}

export function printTable(workload: Workload, rows: readonly Row[]): void {
  console.log(`\n${workload.id}  ${workload.title}`)
  console.log(line('', columnsOf(workload)))
  for (const row of rows) console.log(line(row.name, cellsOf(workload, row)))
}

/** What the search for echoes takes, where Locum was measured with it and without. */
export function searchOf(workload: Workload, all: readonly Sample[]): string | undefined {
  const samples = all.filter((sample) => sample.workload === workload)
  const costs = workload.figures.flatMap((figure) => {
    const ratio = ratioOf(figure, samples, LOCUM, UNSEARCHED)
    return Number.isNaN(ratio) ? [] : [`${ratio.toFixed(2)} × the ${figure.title}`]
  })
  return costs.length > 0 ? `The search for echoes takes ${costs.join(', ')}.` : undefined
}

/** How much longer the slowest requests of one workload take than those of another, for each proxy with both. */
export function slowedBy(id: string, beside: string, all: readonly Sample[]): string[] {
  const worst = ({ latencies }: Sample) =>
    [...latencies].sort((a, b) => a - b)[Math.floor(0.99 * latencies.length)] ?? Number.NaN
  return [...new Set(all.map(({ name }) => name))].flatMap((name) => {
    const own = all.filter((sample) => sample.name === name)
    const ratios = own.flatMap((sample) => {
      const other = own.find(({ workload, round }) => workload.id === beside && round === sample.round)
      return sample.workload.id === id && other ? [worst(sample) / worst(other)] : []
    })
    return ratios.length > 0
      ? [`${name}: the p99 of ${id} is ${median(ratios).toFixed(2)} × that of ${beside}.`]
      : []
  })
}

function line(name: string, columns: readonly string[]): string {
  return name.padEnd(24) + columns.map((column) => column.padStart(16)).join('')
}
