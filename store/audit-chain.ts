import { createHash, type Hash, hash } from 'node:crypto'

/** What the last line of a write ends with: `,"hash":"`, 64 hex digits, `"}`. */
const TAIL = /^(.*),"hash":"([0-9a-f]{64})"\}$/s

/** The hash before a file's first record: binds the chain to its site and its file's name. */
export function chainStart(site: string, file: string): string {
  return hash('sha256', `locum audit 1\n${site}\n${file}`)
}

/**
 * The hash of what one write adds: SHA-256 over the hash before it and the text of its records up to
 * their hash, which stands in the last of them and covers them all.
 */
export function chainStep(beforeAndRecords: Uint8Array): string {
  return hash('sha256', beforeAndRecords)
}

/** Follows one file's chain, line by line, in constant memory. */
export class ChainFollower {
  #hash: Hash | undefined

  /** From `before` on; what comes up to the next hash is not judged where that is unknown. */
  begin(before: string | undefined): void {
    this.#hash = before === undefined ? undefined : createHash('sha256').update(before)
  }

  /** A line whose hash stands in a later one. */
  take(text: string): void {
    this.#hash?.update(`${text}\n`)
  }

  /** Whether everything since `begin` is what this line's hash says; goes on from there. */
  close({ record, hash }: HashedLine): boolean {
    const follows = this.#hash === undefined || this.#hash.update(record).digest('hex') === hash
    this.begin(hash)
    return follows
  }
}

/** The text that was hashed last, and the hash. */
export interface HashedLine {
  readonly record: string
  readonly hash: string
}

/** A line without its newline, split. Undefined where it has no hash. */
export function splitLine(line: string): HashedLine | undefined {
  const match = TAIL.exec(line)
  return match ? { record: match[1] as string, hash: match[2] as string } : undefined
}
