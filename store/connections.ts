import type { Store } from '../core/store.ts'
import type { Connection } from '../core/words.ts'
import { announce } from './changes.ts'
import { column, member, parse } from './rows.ts'
import type { Session } from './session.ts'
import type { ConnectionRow, Database } from './tables.ts'

type ConnectionMethods = 'connections' | 'connection' | 'putConnection' | 'removeConnection'
type Definition = Omit<Connection, 'name' | 'managedBy' | 'version'>

/** Connections. They hold no secret, so every principal may read them. */
export function connectionRows(session: Session): Pick<Store, ConnectionMethods> {
  const { stamps } = session

  async function checkedRow(db: Database, name: string): Promise<ConnectionRow | undefined> {
    const row = await db.selectFrom('connections').selectAll().where('name', '=', name).executeTakeFirst()
    return row && stamps.check('connections', name, row)
  }

  return {
    async connections() {
      const rows = await session.db.selectFrom('connections').selectAll().orderBy('name').execute()
      return stamps.keep('connections', rows, (row) => row.name).map(parseConnection)
    },

    async connection(_as, name) {
      const row = await checkedRow(session.db, name)
      return row && parseConnection(row)
    },

    putConnection: (as, connection) =>
      session.write(as, async (db) => {
        const before = await checkedRow(db, connection.name)
        const { name, managedBy, ...rest } = connection
        const { version: _, ...definition } = rest as Definition & { version?: number }
        const row = session.stamp('connections', {
          name,
          definition: JSON.stringify(definition),
          managed_by: column(managedBy),
          version: (before?.version ?? 0) + 1,
        })
        if (before) await db.updateTable('connections').set(row).where('name', '=', name).execute()
        else await db.insertInto('connections').values(row).execute()
        await announce(db, 'connection', name)
        return parseConnection(row)
      }),

    removeConnection: (as, name) =>
      session.write(as, async (db) => {
        const unbound = await db
          .deleteFrom('bindings')
          .where('connection', '=', name)
          .returning(['connection', 'scope'])
          .execute()
        for (const row of unbound) session.removed('bindings', row)
        if (unbound.length > 0) await announce(db, 'binding', name)
        await db.deleteFrom('uses').where('connection', '=', name).execute()
        const { numDeletedRows } = await db
          .deleteFrom('connections')
          .where('name', '=', name)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('connections', { name })
        await announce(db, 'connection', name)
      }),
  }
}

function parseConnection(row: ConnectionRow): Connection {
  return {
    name: row.name,
    ...parse<Definition>(row.definition),
    ...member('managedBy', row.managed_by),
    version: row.version,
  }
}
