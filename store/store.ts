import type { Clock } from '../core/clock.ts'
import type { Store } from '../core/store.ts'
import { changeFeed } from './changes.ts'
import { connectionRows } from './connections.ts'
import { credentialRows } from './credentials.ts'
import { flowRows } from './flows.ts'
import { grantRows } from './grants.ts'
import { leaseRows } from './leases.ts'
import { principalRows } from './principals.ts'
import { projectRows } from './projects.ts'
import { providerRows } from './providers.ts'
import type { RowJournal } from './row-journal.ts'
import { Session } from './session.ts'
import { siteRows } from './site.ts'
import type { Stamps } from './stamps.ts'
import type { Database } from './tables.ts'
import { typeRows } from './types.ts'
import { useRows } from './uses.ts'

export interface StoreParts {
  readonly connections: {
    /** Never waits for a transaction of `writes`; for a database with a pool both are the same. */
    readonly reads: Database
    readonly writes: Database
    close(): Promise<void>
  }
  readonly stamps: Stamps
  readonly clock: Clock
  /** Told of every stamped row that is written. */
  readonly journal: RowJournal
  /** This opening's own random name, for its leases. */
  readonly owner: string
}

/** The store over an open database whose tables are up to date. */
export function makeStore({ connections, stamps, clock, journal, owner }: StoreParts): Store {
  const session = new Session(connections, stamps, clock, journal)
  const closing = new AbortController()
  const store: Store = {
    ...siteRows(session),
    ...principalRows(session),
    ...projectRows(session),
    ...connectionRows(session),
    ...providerRows(session),
    ...typeRows(session),
    ...credentialRows(session),
    ...grantRows(session),
    ...leaseRows(session, owner, closing.signal),
    ...useRows(session),
    ...flowRows(session),
    ...changeFeed(session),
    transact: (as, work) => session.write(as, () => work(store)),
    async close() {
      closing.abort()
      await connections.close()
    },
  }
  return store
}
