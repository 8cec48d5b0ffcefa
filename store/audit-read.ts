import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

const BEGUN = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-/

/** A line of an audit file. */
export interface AuditLine {
  readonly file: string
  /** 1 for the first. */
  readonly line: number
  /** Without its newline. */
  readonly text: string
  /** False for a last line that no newline ends. */
  readonly whole: boolean
}

/** A line that is a record. `seq` is its number in its file, `at` its time (ISO 8601, UTC, ms). */
export interface AuditRecord extends AuditLine {
  readonly record: { readonly seq: number; readonly at: string; readonly event: string } & {
    readonly [member: string]: unknown
  }
}

/** The names of the audit's files in the order in which they were begun; none where there is no folder. */
export async function auditFiles(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw thrown
  }
}

/** The size of each file now, in bytes. */
export async function auditEnds(folder: string): Promise<Map<string, number>> {
  const files = await auditFiles(folder)
  const ends = files.map(async (file) => [file, (await stat(join(folder, file))).size] as const)
  return new Map(await Promise.all(ends))
}

/** The lines of one file, in constant memory. A last line without a newline is given too. */
export async function* auditLines(folder: string, file: string): AsyncGenerator<AuditLine> {
  const input = createReadStream(join(folder, file), { encoding: 'utf8', highWaterMark: 256 * 1024 })
  let line = 0
  let rest = ''
  for await (const chunk of input) {
    const texts = (rest + chunk).split('\n')
    rest = texts.pop() as string
    for (const text of texts) yield { file, line: ++line, text, whole: true }
  }
  if (rest !== '') yield { file, line: ++line, text: rest, whole: false }
}

/**
 * The records of all files in time order; within a file, in their own. What is no record is left
 * out: `verifyAudit` is what judges.
 */
export async function* readAudit(folder: string): AsyncGenerator<AuditRecord> {
  const files = [...(await auditFiles(folder))]
  const open: { reader: AsyncGenerator<AuditRecord>; next: AuditRecord }[] = []
  try {
    for (;;) {
      const first = earliest(open)
      // A file's name is its first time: it need not be opened before its turn.
      while (files.length > 0 && (!first || begun(files[0] as string) <= first.next.record.at)) {
        const reader = records(folder, files.shift() as string)
        const { value, done } = await reader.next()
        if (!done) open.push({ reader, next: value })
      }
      const turn = earliest(open)
      if (!turn) return
      yield turn.next
      const { value, done } = await turn.reader.next()
      if (done) open.splice(open.indexOf(turn), 1)
      else turn.next = value
    }
  } finally {
    for (const { reader } of open) await reader.return(undefined)
  }
}

function earliest(open: readonly { reader: AsyncGenerator<AuditRecord>; next: AuditRecord }[]) {
  let first = open[0]
  for (const each of open) {
    if (first && each.next.record.at < first.next.record.at) first = each
  }
  return first
}

/** `20261125T224820172Z-…` → `2026-11-25T22:48:20.172Z`; before all others where it is another name. */
function begun(file: string): string {
  const [, year, month, day, hour, minute, second, ms] = BEGUN.exec(file) ?? []
  return year === undefined ? '' : `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`
}

async function* records(folder: string, file: string): AsyncGenerator<AuditRecord> {
  for await (const line of auditLines(folder, file)) {
    const record = parseRecord(line.text)
    if (record) yield { ...line, record }
  }
}

/** Undefined where the text is no record. */
export function parseRecord(text: string): AuditRecord['record'] | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined // JSON.parse has no other way to say no.
  }
  const record = value as Partial<AuditRecord['record']> | null
  if (typeof record !== 'object' || record === null) return undefined
  const known = typeof record.seq === 'number' && typeof record.at === 'string'
  return known && typeof record.event === 'string' ? (record as AuditRecord['record']) : undefined
}
