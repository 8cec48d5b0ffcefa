import { createHmac } from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import { encodeCanonically, type Part } from './canonical.ts'
import { type DataKey, type Keyring, sameBytes } from './keyring.ts'
import type { StampedTable } from './tables.ts'

type Row = { readonly stamp: string }

/** Told of each row that a list leaves out because it was changed outside Locum. */
export type OnTampered = (table: StampedTable, id: string) => void

/**
 * Seals rows that hold no secret of their own but decide where one goes: HMAC-SHA-256 over table and
 * columns, under a key derived from a data key. Whoever has only the database can make none.
 * A row that is deleted, or put back whole from an earlier time, is not found here but by the audit
 * (row-history.ts).
 */
export class Stamps {
  readonly #keyring: Keyring
  readonly #onTampered: OnTampered | undefined

  constructor(keyring: Keyring, onTampered?: OnTampered) {
    this.#keyring = keyring
    this.#onTampered = onTampered
  }

  /** The row with its stamp. */
  add<R extends object>(table: StampedTable, row: R): R & Row {
    const key = this.#keyring.current
    return { ...row, stamp: `${key.id}:${this.#digest(key, table, row).toString('base64')}` }
  }

  /** The row as it is. Throws internal where it does not carry the seal of its own content. */
  check<R extends Row>(table: StampedTable, id: string, row: R): R {
    if (this.holds(table, row)) return row
    throw new LocumError(
      'internal',
      `The row ${JSON.stringify(id)} in ${table} does not carry this site's seal: it was changed outside Locum.`,
      { hint: 'Enter it again, or restore the database from a backup; and find out who can write to it.' },
    )
  }

  /** The rows that carry their seal. Of the others `onTampered` is told; without it this throws internal. */
  keep<R extends Row>(table: StampedTable, rows: readonly R[], id: (row: R) => string): R[] {
    return rows.filter((row) => {
      if (!this.#onTampered) return this.check(table, id(row), row)
      if (this.holds(table, row)) return true
      this.#onTampered(table, id(row))
      return false
    })
  }

  /** Whether the row carries the seal of its own content. */
  holds(table: StampedTable, row: Row): boolean {
    const [id, digest, ...more] = String(row.stamp).split(':')
    const key = this.#keyring.find(id as string)
    if (!key || digest === undefined || more.length > 0) return false
    return sameBytes(Buffer.from(digest, 'base64'), this.#digest(key, table, row))
  }

  /** Empty columns are left out, so that a later column that is empty leaves older stamps valid. */
  #digest(key: DataKey, table: StampedTable, row: object): Buffer {
    const columns = Object.entries(row as Record<string, Part>)
      .filter(([name, value]) => name !== 'stamp' && value !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const bytes = encodeCanonically(['locum row', this.#keyring.site, table, columns])
    return createHmac('sha256', key.stampKey).update(bytes).digest()
  }
}
