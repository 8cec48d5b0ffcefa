import { LocumError } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import { announce } from './changes.ts'
import { demandLease } from './leases.ts'
import { column, member, sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { Database, GrantRow } from './tables.ts'

/** What was acquired with a credential goes with it. */
export async function removeGrants(session: Session, db: Database, credential: string): Promise<void> {
  const gone = await db.deleteFrom('grants').where('credential', '=', credential).returning('key').execute()
  for (const row of gone) session.removed('grants', row)
}

/** What methods acquired. Written only under the lease `grant:KEY`. */
export function grantRows(session: Session): Pick<Store, 'grant' | 'intend' | 'replaceGrant'> {
  const { stamps } = session

  async function checkedRow(db: Database, key: string): Promise<GrantRow | undefined> {
    const row = await db.selectFrom('grants').selectAll().where('key', '=', key).executeTakeFirst()
    return row && stamps.check('grants', key, row)
  }

  /** Throws bad_request where the lease or the version is no longer the caller's. */
  async function uncontested(db: Database, key: string, version: number, fence: number) {
    await demandLease(db, `grant:${key}`, fence)
    const row = await checkedRow(db, key)
    if ((row?.version ?? 0) !== version) {
      throw new LocumError('bad_request', 'The grant was renewed by somebody else meanwhile.', {
        hint: 'Read it again.',
      })
    }
    return row
  }

  async function put(db: Database, columns: Omit<GrantRow, 'stamp'>): Promise<void> {
    const row = session.stamp('grants', columns)
    await db
      .insertInto('grants')
      .values(row)
      .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
      .execute()
  }

  return {
    async grant(as, key) {
      demandAdmin(as)
      const row = await checkedRow(session.db, key)
      if (!row || row.sealed === null) return undefined
      return {
        key,
        version: row.version,
        sealed: sealedBytes(row.sealed),
        ...member('expiresAt', row.expires_at),
        ...member('intended', row.intended),
      }
    },

    intend: (as, key, version, fence) =>
      session.write(as, async (db) => {
        const row = await uncontested(db, key, version, fence)
        const { sealed = null, expires_at = null, credential = null } = row ?? {}
        await put(db, { key, version, sealed, expires_at, intended: version, credential })
      }),

    replaceGrant: (as, key, version, fence, next) =>
      session.write(as, async (db) => {
        await uncontested(db, key, version, fence)
        await put(db, {
          key,
          version: version + 1,
          sealed: sealedText(next.sealed),
          expires_at: column(next.expiresAt),
          intended: null,
          credential: column(next.credential),
        })
        await announce(db, 'grant', key)
        const { sealed, expiresAt } = next
        return { key, version: version + 1, sealed, ...(expiresAt === undefined ? {} : { expiresAt }) }
      }),
  }
}
