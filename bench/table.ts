import type { Result } from './load.ts'
import type { Workload } from './workloads.ts'

/** One measurement of one proxy. */
export interface Sample extends Result {
  readonly name: string
  readonly workload: Workload
}

const TITLE: Readonly<Record<Workload, string>> = {
  W1: 'W1  forward proxy, absolute form, http origin',
  W2: 'W2  gateway, https origin',
  W3: 'W3  CONNECT and interception, https origin (HAProxy and nginx: a fixed certificate, no CONNECT)',
}

/** What the others are compared with. */
const REFERENCE = 'HAProxy'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Prints one workload's medians; `busy` is how much of its core the proxy used. */
export function printTable(workload: Workload, samples: readonly Sample[]): void {
  const names = [...new Set(samples.map((sample) => sample.name))]
  const rows = names.map((name) => {
    const own = samples.filter((sample) => sample.name === name)
    return {
      name,
      cpu: median(own.map(({ cpu, requests }) => (1e6 * cpu) / requests)),
      rate: median(own.map(({ requests, seconds }) => requests / seconds)),
      busy: median(own.map(({ cpu, seconds }) => cpu / seconds)),
    }
  })
  const reference = rows.find((row) => row.name === REFERENCE)?.cpu
  console.log(`\n${TITLE[workload]}`)
  console.log(line('', 'µs CPU/request', `× ${REFERENCE}`, 'requests/s', 'busy'))
  for (const { name, cpu, rate, busy } of rows.sort((a, b) => a.cpu - b.cpu)) {
    const ratio = reference === undefined ? '–' : (cpu / reference).toFixed(2)
    console.log(line(name, cpu.toFixed(1), ratio, rate.toFixed(0), `${Math.round(100 * busy)} %`))
  }
}

function line(name: string, ...columns: readonly string[]): string {
  return name.padEnd(20) + columns.map((column) => column.padStart(16)).join('')
}
