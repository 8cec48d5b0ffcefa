import type { Terminal } from './terminal.ts'

const UNITS: readonly (readonly [string, number])[] = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
]

/** `3 days ago`, `in 2 hours`, `just now`. Both in Unix ms. */
export function relativeTime(at: number, now: number): string {
  const distance = Math.abs(at - now)
  const [unit, size] = UNITS.find(([, size]) => distance >= size) ?? ['second', 1000]
  const count = Math.floor(distance / size)
  if (unit === 'second' && count < 10) return at > now ? 'now' : 'just now'
  const text = `${count} ${unit}${count === 1 ? '' : 's'}`
  return at > now ? `in ${text}` : `${text} ago`
}

/** For people relative, for programs ISO 8601. */
export function timeText(terminal: Terminal, at: number | undefined, now: number): string {
  if (at === undefined) return '-'
  return terminal.isInteractive ? relativeTime(at, now) : new Date(at).toISOString()
}

/**
 * Rows under their heads: aligned on a terminal and cut to its width, else with tabs between and
 * no head, as programs like it.
 */
export function table(
  terminal: Terminal,
  heads: readonly string[] | undefined,
  rows: readonly (readonly string[])[],
): string {
  if (!terminal.isInteractive) return rows.map((row) => `${row.join('\t')}\n`).join('')
  const all = heads ? [heads.map((head) => head.toUpperCase()), ...rows] : rows
  const widths = (all[0] ?? []).map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all
    .map((row) => {
      const line = row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd()
      return line.length > terminal.columns ? `${line.slice(0, terminal.columns - 1)}…\n` : `${line}\n`
    })
    .join('')
}

/** Names with their values, aligned; what has none is left out. */
export function facts(pairs: readonly (readonly [string, string | undefined])[]): string {
  const known = pairs.filter(
    (pair): pair is readonly [string, string] => pair[1] !== undefined && pair[1] !== '',
  )
  const width = Math.max(0, ...known.map(([name]) => name.length))
  return known.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('')
}

/** What a shell puts the content of a file in for, whatever the file is called. */
export function contentOf(file: string): string {
  return `$(cat ${shellText(file)})`
}

/** A text as a shell takes it for one word, in quotes where it has to be. */
export function shellWord(text: string): string {
  return /^[\w./:=@+-]+$/.test(text) ? text : shellText(text)
}

/** A text as a shell takes it for one word, in quotes. */
export function shellText(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** One value as JSON on one line. */
export function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** How people see what they should know although it was done. */
export function noteLine(line: string): string {
  return `locum: note: ${line}`
}
