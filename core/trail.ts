/** A record of the audit as it stands in its file. `seq` is its number there, `at` its time (ISO 8601, UTC, ms). */
export interface TrailRecord {
  readonly file: string
  readonly record: { readonly seq: number; readonly at: string; readonly event: string } & {
    readonly [member: string]: unknown
  }
}

/** What is wrong with the audit, where, and in words for people. */
export interface TrailFault {
  readonly kind: string
  readonly file: string
  readonly line?: number
  readonly text: string
}

/** The audit of a site. */
export interface Trail {
  /** The records of all processes in time order. */
  read(): AsyncIterable<TrailRecord>
  /** What is wrong with it, and with the rows that it knows: an empty list where nothing is. */
  verify(): Promise<readonly TrailFault[]>
}
