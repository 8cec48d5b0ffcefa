import { LocumError } from '../core/errors.ts'
import type { Store, VaultItem } from '../core/store.ts'
import type { Site } from '../core/words.ts'
import { announce } from './changes.ts'
import { column, member, parse, sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { CertificateRow, Database, SiteRow } from './tables.ts'

type SiteMethods =
  | 'site'
  | 'setSite'
  | 'vaultItem'
  | 'vaultNames'
  | 'addVaultItem'
  | 'replaceVaultItem'
  | 'removeVaultItem'
  | 'addCheckpoint'
  | 'checkpoints'

/** Whose site it is, and its vault items. */
export function siteRows(session: Session): Pick<Store, SiteMethods> {
  const { stamps } = session

  async function siteRow(db: Database): Promise<SiteRow> {
    const row = await db.selectFrom('site').selectAll().executeTakeFirst()
    if (!row) throw new LocumError('internal', 'The database has lost its site.')
    return stamps.check('site', row.id, row)
  }

  return {
    async site(): Promise<Site> {
      const row = await siteRow(session.db)
      return {
        id: row.id,
        ...member('url', row.url),
        ...member('contact', row.contact),
        createdAt: row.created_at,
      }
    },

    setSite: (as, { url, contact }) =>
      session.write(as, async (db) => {
        const { stamp: _, ...row } = await siteRow(db)
        const next = session.stamp('site', { ...row, url: column(url), contact: column(contact) })
        await db.updateTable('site').set(next).where('id', '=', row.id).execute()
        await announce(db, 'site', row.id)
      }),

    async vaultItem(as, name) {
      demandAdmin(as)
      const row = await vaultRow(session.db, name)
      return row && parseVaultItem(stamps.check('certificates', name, row))
    },

    async vaultNames(as, prefix) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('certificates').select('name').orderBy('name').execute()
      return rows.map(({ name }) => name).filter((name) => name.startsWith(prefix))
    },

    addVaultItem: (as, name, item) =>
      session.write(as, async (db) => {
        const there = await vaultRow(db, name)
        if (there) return parseVaultItem(stamps.check('certificates', name, there))
        const row = session.stamp('certificates', vaultColumns(name, { ...item, version: 1 }))
        await db.insertInto('certificates').values(row).execute()
        await announce(db, 'site', `vault:${name}`)
        return parseVaultItem(row)
      }),

    replaceVaultItem: (as, name, version, next) =>
      session.write(as, async (db) => {
        const there = await vaultRow(db, name)
        if (there) stamps.check('certificates', name, there)
        if (there?.version !== version) {
          throw new LocumError('bad_request', `Somebody else has changed ${JSON.stringify(name)} meanwhile.`)
        }
        const row = session.stamp('certificates', vaultColumns(name, { ...next, version: version + 1 }))
        await db.updateTable('certificates').set(row).where('name', '=', name).execute()
        await announce(db, 'site', `vault:${name}`)
        return parseVaultItem(row)
      }),

    removeVaultItem: (as, name) =>
      session.write(as, async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('certificates')
          .where('name', '=', name)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('certificates', { name })
        await announce(db, 'site', `vault:${name}`)
      }),

    async addCheckpoint({ final, ...rest }) {
      const row = { ...rest, final: final ? 1 : 0 }
      // The newest stands for all before it: its hash covers the whole chain up to there.
      await session.record((db) =>
        db
          .insertInto('audit_checkpoints')
          .values(row)
          .onConflict((conflict) =>
            conflict.column('file').doUpdateSet(row).where('audit_checkpoints.records', '<=', rest.records),
          )
          .execute(),
      )
    },

    async checkpoints() {
      const rows = await session.db.selectFrom('audit_checkpoints').selectAll().orderBy('file').execute()
      return rows.map((row) => ({ ...row, final: row.final === 1 }))
    },
  }
}

function vaultRow(db: Database, name: string): Promise<CertificateRow | undefined> {
  return db.selectFrom('certificates').selectAll().where('name', '=', name).executeTakeFirst()
}

function vaultColumns(name: string, item: VaultItem): Omit<CertificateRow, 'stamp'> {
  const { version, sealed, open } = item
  return { name, version, sealed: sealedText(sealed), open: JSON.stringify(open) }
}

function parseVaultItem(row: CertificateRow): VaultItem {
  return {
    version: row.version,
    sealed: sealedBytes(row.sealed),
    open: parse<Record<string, string>>(row.open),
  }
}
