import { LocumError } from '../core/errors.ts'
import { bindingPlace, noCredentialId } from '../core/provider.ts'
import type { Store } from '../core/store.ts'
import type { Provider } from '../core/words.ts'
import { announce } from './changes.ts'
import { removeGrants } from './grants.ts'
import { column, member, parse, sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { Database, ProviderRow } from './tables.ts'

type ProviderMethods = 'providers' | 'provider' | 'putProvider' | 'removeProvider'
type Definition = Omit<Provider, 'name' | 'managedBy' | 'version' | 'sealed'> & {
  readonly sealed: Readonly<Record<string, string>>
}

/** Providers, their secrets sealed as they came. */
export function providerRows(session: Session): Pick<Store, ProviderMethods> {
  const { stamps } = session

  async function checkedRow(db: Database, name: string): Promise<ProviderRow | undefined> {
    const row = await db.selectFrom('providers').selectAll().where('name', '=', name).executeTakeFirst()
    return row && stamps.check('providers', name, row)
  }

  return {
    async providers(as) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('providers').selectAll().orderBy('name').execute()
      return stamps.keep('providers', rows, (row) => row.name).map(parseProvider)
    },

    async provider(as, name) {
      demandAdmin(as)
      const row = await checkedRow(session.db, name)
      return row && parseProvider(row)
    },

    putProvider: (as, provider) =>
      session.write(as, async (db) => {
        const { name, managedBy, version, ...definition } = provider
        const before = await checkedRow(db, name)
        if (version !== (before?.version ?? 0) + 1) {
          throw new LocumError(
            'bad_request',
            `The provider ${JSON.stringify(name)} was changed by somebody else meanwhile.`,
            { hint: 'Read it again and repeat.' },
          )
        }
        const row = session.stamp('providers', {
          name,
          definition: JSON.stringify({ ...definition, sealed: mapValues(provider.sealed, sealedText) }),
          managed_by: column(managedBy),
          version,
        })
        if (before) await db.updateTable('providers').set(row).where('name', '=', name).execute()
        else await db.insertInto('providers').values(row).execute()
        await removeGrants(session, db, noCredentialId(bindingPlace(name)))
        await announce(db, 'provider', name)
        return parseProvider(row)
      }),

    removeProvider: (as, name) =>
      session.write(as, async (db) => {
        const unbound = await db
          .deleteFrom('bindings')
          .where('connection', '=', bindingPlace(name))
          .returning(['connection', 'scope', 'credential'])
          .execute()
        for (const row of unbound) session.removed('bindings', row)
        for (const id of new Set(unbound.map(({ credential }) => credential))) {
          await removeGrants(session, db, id)
          await db.deleteFrom('credentials').where('id', '=', id).execute()
          session.removed('credentials', { id })
          await announce(db, 'credential', id)
        }
        await removeGrants(session, db, noCredentialId(bindingPlace(name)))
        const { numDeletedRows } = await db
          .deleteFrom('providers')
          .where('name', '=', name)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('providers', { name })
        await announce(db, 'provider', name)
      }),
  }
}

function parseProvider(row: ProviderRow): Provider {
  const { sealed, ...definition } = parse<Definition>(row.definition)
  return {
    name: row.name,
    ...definition,
    sealed: mapValues(sealed, sealedBytes),
    ...member('managedBy', row.managed_by),
    version: row.version,
  }
}

function mapValues<A, B>(
  record: Readonly<Record<string, A>>,
  of: (value: A) => B,
): Readonly<Record<string, B>> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value)]))
}
