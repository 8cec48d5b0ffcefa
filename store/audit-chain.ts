import { hash } from 'node:crypto'

/** What every line ends with: `,"hash":"`, 64 hex digits, `"}`. */
const TAIL = /^(.*),"hash":"([0-9a-f]{64})"\}$/s

/** The hash before a file's first record: binds the chain to its site and its file's name. */
export function chainStart(site: string, file: string): string {
  return hash('sha256', `locum audit 1\n${site}\n${file}`)
}

/** The hash of a record: SHA-256 over the hash before it and the record's own text up to its hash. */
export function chainStep(before: string, record: string): string {
  return hash('sha256', `${before}${record}`)
}

/** A line without its newline → the text that was hashed, and the hash. Undefined where it has none. */
export function splitLine(line: string): { record: string; hash: string } | undefined {
  const match = TAIL.exec(line)
  return match ? { record: match[1] as string, hash: match[2] as string } : undefined
}
