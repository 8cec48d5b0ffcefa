import type { Store } from '../core/store.ts'
import type { Project } from '../core/words.ts'
import { parse } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { ProjectRow } from './tables.ts'

/** Projects. Who edits one decides who is a member, so that their rows are sealed. */
export function projectRows(session: Session): Pick<Store, 'projects' | 'putProject' | 'removeProject'> {
  const { stamps, clock } = session
  return {
    async projects(as) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('projects').selectAll().orderBy('name').execute()
      return stamps.keep('projects', rows, (row) => row.name).map(parseProject)
    },

    putProject: (as, { name, editors }) =>
      session.write(as, async (db) => {
        const before = await db.selectFrom('projects').selectAll().where('name', '=', name).executeTakeFirst()
        if (before) stamps.check('projects', name, before)
        const created_at = before?.created_at ?? clock.now()
        const row = session.stamp('projects', { name, editors: JSON.stringify(editors), created_at })
        if (before) await db.updateTable('projects').set(row).where('name', '=', name).execute()
        else await db.insertInto('projects').values(row).execute()
        return parseProject(row)
      }),

    removeProject: (as, name) =>
      session.write(as, async (db) => {
        const { numDeletedRows } = await db.deleteFrom('projects').where('name', '=', name).executeTakeFirst()
        if (numDeletedRows > 0n) session.removed('projects', { name })
      }),
  }
}

function parseProject({ name, editors, created_at }: ProjectRow): Project {
  return { name, editors: parse<string[]>(editors), createdAt: created_at }
}
