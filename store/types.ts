import { LocumError } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import { parse } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { TypeRow } from './tables.ts'

/** Credential types. They decide which fields are secrets, so that their rows are sealed. */
export function typeRows(session: Session): Pick<Store, 'types' | 'putType' | 'removeType'> {
  const { stamps } = session
  return {
    async types(as) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('credential_types').selectAll().orderBy('name').execute()
      return stamps.keep('credential_types', rows, (row) => row.name).map(parseType)
    },

    putType: (as, { name, schema, version }) =>
      session.write(as, async (db) => {
        const before = await db
          .selectFrom('credential_types')
          .selectAll()
          .where('name', '=', name)
          .executeTakeFirst()
        if (before) stamps.check('credential_types', name, before)
        if (version !== (before?.version ?? 0) + 1) {
          throw new LocumError(
            'bad_request',
            `The type ${JSON.stringify(name)} was changed by somebody else meanwhile.`,
            { hint: 'Read it again and repeat.' },
          )
        }
        const row = session.stamp('credential_types', { name, schema: JSON.stringify(schema), version })
        if (before) await db.updateTable('credential_types').set(row).where('name', '=', name).execute()
        else await db.insertInto('credential_types').values(row).execute()
        return parseType(row)
      }),

    removeType: (as, name) =>
      session.write(as, async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('credential_types')
          .where('name', '=', name)
          .executeTakeFirst()
        if (numDeletedRows > 0n) session.removed('credential_types', { name })
      }),
  }
}

function parseType({ name, schema, version }: TypeRow) {
  return { name, schema: parse<Record<string, never>>(schema), version }
}
