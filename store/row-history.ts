import type { AuditRecord } from './audit-read.ts'
import type { AuditFault } from './audit-verify.ts'

/** What a transaction said it did to one row, and where it said so. */
interface Written {
  readonly write: number
  /** It is known to have happened. */
  kept: boolean
  readonly mark: string | null
  readonly file: string
  readonly line: number
}

/** Where a row that no record knows is: in no file of the audit. */
const NOWHERE = 'database'

/** Of rows that are made before there is an audit. */
const BEFORE_THE_AUDIT = /^(?:site\/|certificates\/audit-signing$)/

/**
 * What the audit says of each stamped row, held against the rows that are there. Finds a row that was
 * put back whole from an earlier time, removed or changed outside Locum, and one that was removed and
 * is there again; whoever has only the database cannot avoid it. Not found: a row put back as it was
 * before the last change of it, where the process that made this change was killed before it could
 * say that it was done; the next change of the row ends that.
 *
 * Others may write while it is read: first the files' ends are noted, then the rows are read, then the
 * records. What stands behind the ends may or may not have happened when the rows were read.
 */
export class RowHistory {
  readonly #ends: ReadonlyMap<string, number>
  /** Bytes of each file that were taken. A record is ASCII. */
  readonly #taken = new Map<string, number>()
  /** Of each row, what may still count: the last that is known to have happened, and the later ones. */
  readonly #written = new Map<string, Written[]>()
  /** `FILE WRITE` → the rows of a transaction that is not yet known to have happened. */
  readonly #open = new Map<string, readonly string[]>()

  /** `ends`: the size of each file, in bytes, before the rows were read. */
  constructor(ends: ReadonlyMap<string, number>) {
    this.#ends = ends
  }

  /** Takes a record, of whatever event; those of a file in their order. */
  take({ file, line, text, record }: Pick<AuditRecord, 'file' | 'line' | 'text' | 'record'>): void {
    const taken = (this.#taken.get(file) ?? 0) + text.length + 1
    this.#taken.set(file, taken)
    const { event, write, rows } = record
    if (typeof write !== 'number') return
    const transaction = `${file} ${write}`
    if (event === 'rows-kept') {
      if (taken > (this.#ends.get(file) ?? 0)) return
      for (const name of this.#open.get(transaction) ?? []) this.#keep(name, file, write)
      this.#open.delete(transaction)
    } else if (event === 'rows' && typeof rows === 'object' && rows !== null) {
      this.#open.set(transaction, Object.keys(rows))
      for (const [name, mark] of Object.entries(rows)) {
        const one = { write, kept: false, mark: typeof mark === 'string' ? mark : null, file, line }
        this.#written.set(name, [...(this.#written.get(name) ?? []), one])
      }
    }
  }

  #keep(name: string, file: string, write: number): void {
    const written = this.#written.get(name) ?? []
    for (const one of written) if (one.file === file && one.write === write) one.kept = true
    const last = Math.max(...written.filter(({ kept }) => kept).map((one) => one.write))
    this.#written.set(
      name,
      written.filter((one) => one.write >= last),
    )
  }

  /** The faults of the rows, `TABLE/ID` → mark. */
  faults(marks: ReadonlyMap<string, string>): readonly AuditFault[] {
    const faults: AuditFault[] = []
    for (const [name, written] of this.#written) {
      const now = marks.get(name) ?? null
      const { last, believed } = this.#believed(written)
      if (believed.has(now)) continue
      const { file, line, mark } = last
      faults.push({ kind: 'row', file, line, text: `${describe(name)} ${wrong(mark, now)}` })
    }
    for (const name of marks.keys()) {
      if (this.#written.has(name) || BEFORE_THE_AUDIT.test(name)) continue
      faults.push({ kind: 'row', file: NOWHERE, text: `${describe(name)} is in no record of the audit.` })
    }
    return faults
  }

  /** What the row may be: as the last transaction that is known to have happened left it, or as a later one. */
  #believed(written: readonly Written[]): { last: Written; believed: ReadonlySet<string | null> } {
    const inOrder = [...written].sort((a, b) => a.write - b.write)
    const kept = inOrder.findLastIndex((one) => one.kept)
    const later = inOrder.slice(Math.max(kept, 0))
    const believed = new Set(later.map(({ mark }) => mark))
    // Where none is known to have happened, the row may never have been there.
    if (kept < 0) believed.add(null)
    return { last: later[0] as Written, believed }
  }
}

function describe(name: string): string {
  const at = name.indexOf('/')
  return `The row ${JSON.stringify(name.slice(at + 1))} in ${name.slice(0, at)}`
}

function wrong(recorded: string | null, now: string | null): string {
  if (now === null) return 'is not there: it was removed outside Locum.'
  if (recorded === null) return 'was removed by then and is there again: it was put back outside Locum.'
  return 'is not as it was left then: it was put back from an earlier time, or changed outside Locum.'
}
