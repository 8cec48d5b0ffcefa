import type { Code, Entrance, LocumError } from './errors.ts'
import type { Principal } from './words.ts'

/** Who acted: a person, a program of somebody's, or Locum itself. `unknown`: nobody had said who they are. */
export type Actor = 'human' | 'service' | 'program' | 'unknown'

export function actorOf(by: Pick<Principal, 'kind' | 'via'> | undefined): Actor {
  if (!by) return 'unknown'
  if (by.via === 'system') return 'program'
  return by.kind === 'service' ? 'service' : 'human'
}

/** What a change says of whoever made it. */
export function doneBy(by: Pick<Principal, 'id' | 'kind' | 'via'>) {
  return { caller: by.id, via: by.via, actor: actorOf(by) }
}

/**
 * One line of the audit. Never a secret, never a query string. Times are added by the writer, and where no `actor` is
 * said here that it was Locum itself.
 */
export type AuditEntry =
  | {
      readonly event: 'use'
      /** Joins the use to its outcome. */
      readonly request: string
      /** Who called, and for whom where that is another. */
      readonly caller: string
      readonly for?: string
      readonly via: string
      readonly actor: Actor
      readonly entrance: Entrance
      readonly connection: string
      readonly destination: string
      readonly method: string
      /** The path without its query. */
      readonly path: string
      /** The credential's id and version, and for whom it is bound; none where nothing was injected. */
      readonly credential?: string
      readonly credentialVersion?: number
      readonly scope?: string
      /** Where values were put: lower-case header names. */
      readonly slots: readonly string[]
      /** A tunnel whose bytes are not read: by a connection that says so, or to a host that none names. */
      readonly passes?: 'untouched' | 'unmatched'
    }
  | {
      readonly event: 'outcome'
      readonly request: string
      readonly actor: Actor
      readonly status: number
      readonly code?: Code
      /** How many echoes were masked. */
      readonly masked?: number
      /** Why an answer to a secret was not searched, or not all of what it is a part of: off, media, partial. */
      readonly unsearched?: string
      /** ms from the request's head to the response's end. */
      readonly ms: number
      /** Bytes to and from the upstream, of a tunnel that passes. */
      readonly sent?: number
      readonly received?: number
    }
  | {
      readonly event: 'refused'
      readonly request: string
      readonly caller?: string
      readonly actor: Actor
      /** For whom it was asked, allowed or not. */
      readonly for?: string
      readonly entrance: Entrance
      readonly connection?: string
      readonly destination?: string
      readonly method: string
      readonly path?: string
      readonly code: Code
    }
  | {
      readonly event: 'change'
      /** Who did it, and whether that is a person or a program. */
      readonly caller: string
      readonly via: string
      readonly actor: Actor
      /** `principal.add`, `credential.set`… */
      readonly operation: string
      readonly subject: string
      readonly outcome: 'done' | 'failed'
    }
  | {
      /** What a transaction of the store is about to do to the rows that decide something. */
      readonly event: 'rows'
      /** Grows from one such transaction to the next, over all processes. */
      readonly write: number
      /** `TABLE/ID` → a digest of the row, null where it is removed. */
      readonly rows: Readonly<Record<string, string | null>>
    }
  | {
      /** The transaction of that number has happened. */
      readonly event: 'rows-kept'
      readonly write: number
    }
  | { readonly event: 'start' | 'stop'; readonly version: string; readonly node: string }

/** Takes records. */
export interface Audit {
  /** Returns when the operating system has the bytes. Throws internal where it did not take them. */
  record(entry: AuditEntry): void
  /**
   * As `record`, in one write with everything else of this turn of the event loop; `then` is called
   * behind it, with the error where the operating system did not take it. Nothing may leave before.
   */
  recordThen(entry: AuditEntry, then: (error: LocumError | undefined) => void): void
  /** As `record`, but the bytes may wait until the end of this turn of the event loop: for outcomes. */
  recordSoon(entry: AuditEntry): void
}
