import { hash } from 'node:crypto'

/** A record that follows a line correctly: the chain alone needs no key. */
export function forge(line: string): string {
  const { seq, hash: before } = JSON.parse(line)
  return chained(before, `{"seq":${seq + 1},"at":"2030-01-01T00:00:00.000Z","event":"stop"`)
}

/** All lines with another caller, and hashes that fit from the second line on. */
export function forgeAll(lines: readonly string[]): string[] {
  const forged: string[] = [lines[0] as string]
  for (const line of lines.slice(1)) {
    const { hash: before } = JSON.parse(forged.at(-1) as string)
    forged.push(chained(before, line.replace(/,"hash":.*$/, '').replace('"ada"', '"eve"')))
  }
  return forged
}

function chained(before: string, record: string): string {
  return `${record},"hash":"${hash('sha256', before + record)}"}`
}
