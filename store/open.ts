import { randomBytes, randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import { type Clock, systemClock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Sealer, Store } from '../core/store.ts'
import type { AuditOptions } from './audit.ts'
import { auditSigningKey, type CheckpointedAudit, openAudit } from './checkpoints.ts'
import { Keyring, makeDataKey, type Random } from './keyring.ts'
import { findMasterKey } from './master-key.ts'
import { isCurrent, migrate } from './migrations/migrate.ts'
import { openRowJournal } from './row-journal.ts'
import { readMarks } from './row-marks.ts'
import { makeSealer } from './sealing.ts'
import { type Connections, openSqlite } from './sqlite.ts'
import { type OnTampered, Stamps } from './stamps.ts'
import { makeStore } from './store.ts'
import type { Database } from './tables.ts'

export interface OpenOptions {
  /** The data folder, made (0700) where it is missing. */
  readonly data: string
  /** `sqlite:PATH`; `DATA/locum.db` unless told. */
  readonly url?: string
  /** `LOCUM_MASTER_KEY`, `LOCUM_MASTER_KEY_FILE`; nothing else is read. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
  readonly random?: Random
  /** Told of each row that a list leaves out because it was changed outside Locum; without it lists throw. */
  readonly onTampered?: OnTampered
  readonly audit?: Pick<AuditOptions, 'write' | 'sync' | 'syncNow'>
}

export interface OpenStore {
  readonly store: Store
  readonly sealer: Sealer
  readonly audit: CheckpointedAudit
  /** Every stamped row that is there: `TABLE/ID` → its mark, to be held against the audit. */
  rowMarks(): Promise<ReadonlyMap<string, string>>
  /** Ends the audit with its last checkpoint and closes the database. */
  close(): Promise<void>
}

/**
 * Opens a site's store, making what is missing: the folder, the tables, the site's id, the master
 * key, the first data key, the audit's signing key. Any number of processes may do so at once.
 * Throws bad_request (an unusable url or master key), store_unavailable (the database), internal
 * (the master key is missing or another one, a row was changed).
 */
export async function openStore(options: OpenOptions): Promise<OpenStore> {
  const { env = {}, clock = systemClock, random = randomBytes, onTampered } = options
  const data = resolve(options.data)
  const connections = await openSqlite(databasePath(data, options.url))
  try {
    const keyring = await openKeyring(connections, { data, env, clock, random })
    const owner = random(16).toString('hex')
    const stamps = new Stamps(keyring, onTampered)
    let opened: CheckpointedAudit | undefined
    const journal = openRowJournal(() => opened, clock)
    const store = makeStore({ connections, stamps, clock, journal, owner })
    const site = await store.site()
    const sealer = makeSealer(keyring, random)
    const signingKey = await auditSigningKey(store, sealer)
    const folder = join(data, 'audit')
    const audit = openAudit(
      { ...options.audit, folder, site: site.id, clock, random },
      store,
      signingKey,
      clock,
    )
    opened = audit
    const rowMarks = () => readMarks(connections.reads, stamps)
    const close = async () => {
      try {
        await audit.close()
      } finally {
        await store.close()
      }
    }
    return { store, sealer, audit, rowMarks, close }
  } catch (thrown) {
    await connections.close()
    throw thrown
  }
}

function databasePath(data: string, url: string | undefined): string {
  if (url === undefined) return join(data, 'locum.db')
  const path = /^sqlite:(?!\/\/)(?!:memory:)(.+)$/s.exec(url)?.[1]
  if (path !== undefined) return resolve(path)
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0]
  const named = scheme === undefined || scheme === 'sqlite' ? 'This' : `\`${scheme}:\``
  throw new LocumError('bad_request', `${named} is not a store that this Locum can open.`, {
    hint: 'Write sqlite:PATH, for example sqlite:./locum-data/locum.db',
  })
}

interface Surroundings {
  readonly data: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
}

async function openKeyring(connections: Connections, surroundings: Surroundings): Promise<Keyring> {
  const { reads, writes } = connections
  const ready = (await isCurrent(reads)) && (await readKeyring(reads, surroundings))
  if (ready) return ready
  // The write lock makes processes that start together take turns: the second finds what the first has made.
  return writes.transaction().execute(async (db) => {
    await migrate(db)
    return (await readKeyring(db, surroundings)) ?? (await makeSite(db, surroundings))
  })
}

/** Undefined where the site was never made. */
async function readKeyring(db: Database, { data, env, random }: Surroundings): Promise<Keyring | undefined> {
  const site = await db.selectFrom('site').select('id').executeTakeFirst()
  const rows = await db.selectFrom('data_keys').selectAll().execute()
  if (!site && rows.length === 0 && (await isEmpty(db))) return undefined
  if (!site || rows.length === 0) {
    throw new LocumError('internal', `The database has lost its ${site ? 'data keys' : 'site'}.`, {
      hint: 'It was changed outside Locum: restore it from a backup.',
    })
  }
  const keyring = new Keyring(site.id, findMasterKey({ env, data, random, mayMake: false }))
  keyring.load(rows)
  return keyring
}

async function isEmpty(db: Database): Promise<boolean> {
  for (const table of ['certificates', 'principals', 'connections', 'credentials'] as const) {
    if (await db.selectFrom(table).select('stamp').limit(1).executeTakeFirst()) return false
  }
  return true
}

async function makeSite(db: Database, { data, env, clock, random }: Surroundings): Promise<Keyring> {
  const id = randomUUID()
  const master = findMasterKey({ env, data, random, mayMake: true })
  const dataKey = makeDataKey(master, id, random, clock.now())
  const keyring = new Keyring(id, master)
  keyring.load([dataKey])
  const row = { id, url: null, contact: null, created_at: clock.now() }
  await db.insertInto('site').values(new Stamps(keyring).add('site', row)).execute()
  await db.insertInto('data_keys').values(dataKey).execute()
  return keyring
}
