import { cpus, release } from 'node:os'
import { cellsOf, columnsOf, type Row } from './table.ts'
import type { Workload } from './workloads.ts'

/** What a run found out. */
export interface Findings {
  readonly rounds: number
  readonly seconds: number
  readonly origin: string
  /** Names and versions of what was measured. */
  readonly measured: readonly { readonly name: string; readonly version: string }[]
  readonly tables: readonly { readonly workload: Workload; readonly rows: readonly Row[] }[]
}

/** A whole page in Markdown: where it was measured, and a table for each workload. */
export function markdownOf(findings: Findings): string {
  const { rounds, seconds, origin, measured, tables } = findings
  const versions = measured.map(({ name, version }) => `${name} ${version}`).join(', ')
  const [cpu] = cpus()
  const lines = [
    '# One run of the bench',
    '',
    `Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: Linux ${release().split('-')[0]},`,
    `${cpus().length} × ${cpu?.model.trim()}, Node ${process.versions.node}. Medians of ${rounds} rounds of ${seconds} s;`,
    `memory is measured once. The origin is ${origin}.`,
    `${versions}.`,
    'What is measured, and how to read it, is in [PERFORMANCE](PERFORMANCE.md).',
    '',
  ]
  for (const { workload, rows } of tables) {
    lines.push(`## ${workload.id}: ${workload.title}`, '')
    lines.push(
      tableLine(['', ...columnsOf(workload)]),
      tableLine(['---', ...columnsOf(workload).map(() => '---:')]),
    )
    for (const row of rows) lines.push(tableLine([nameOf(row), ...cellsOf(workload, row)]))
    lines.push('')
  }
  return lines.join('\n')
}

function nameOf({ name }: Row): string {
  return name.startsWith('Locum') ? `**${name}**` : name
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
