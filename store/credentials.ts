import { LocumError } from '../core/errors.ts'
import { providerOf } from '../core/provider.ts'
import type { Store } from '../core/store.ts'
import type { Binding, Credential, Offer, Scope } from '../core/words.ts'
import { announce } from './changes.ts'
import { removeGrants } from './grants.ts'
import { column, flag, member, parse, sealedBytes, sealedText } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { BindingRow, CredentialRow, Database } from './tables.ts'

type CredentialMethods =
  | 'credential'
  | 'credentials'
  | 'putCredential'
  | 'setCredentialDisabled'
  | 'setCredentialProjects'
  | 'setCredentialBlocked'
  | 'setCredentialName'
  | 'setCredentialOffer'
  | 'removeCredential'
  | 'bindings'
  | 'bind'
  | 'unbind'
  | 'bound'

/** Credentials, sealed as they came, and whom they serve. */
export function credentialRows(session: Session): Pick<Store, CredentialMethods> {
  const { stamps } = session

  async function checkedRow(db: Database, id: string): Promise<CredentialRow | undefined> {
    const row = await db.selectFrom('credentials').selectAll().where('id', '=', id).executeTakeFirst()
    return row && stamps.check('credentials', id, row)
  }

  async function existing(db: Database, id: string): Promise<CredentialRow> {
    const row = await checkedRow(db, id)
    if (row) return row
    throw new LocumError('bad_request', `There is no credential ${JSON.stringify(id)}.`)
  }

  /** What is sealed stays as it is, and so does the version. */
  async function amend(db: Database, id: string, columns: Partial<CredentialRow>): Promise<void> {
    const { stamp: _, ...row } = await existing(db, id)
    const next = session.stamp('credentials', { ...row, ...columns })
    await db.updateTable('credentials').set(next).where('id', '=', id).execute()
    await announce(db, 'credential', id)
  }

  return {
    async credential(as, id) {
      demandAdmin(as)
      const row = await checkedRow(session.db, id)
      return row && parseCredential(row)
    },

    async credentials(as) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('credentials').selectAll().orderBy('id').execute()
      return stamps.keep('credentials', rows, (row) => row.id).map(parseCredential)
    },

    putCredential: (as, credential) =>
      session.write(as, async (db) => {
        const before = await checkedRow(db, credential.id)
        if (credential.version !== (before?.version ?? 0) + 1) throw lost('credential', credential.id)
        const row = session.stamp('credentials', credentialColumns(credential))
        if (before) await removeGrants(session, db, row.id)
        if (before) await db.updateTable('credentials').set(row).where('id', '=', row.id).execute()
        else await db.insertInto('credentials').values(row).execute()
        await announce(db, 'credential', row.id)
        return parseCredential(row)
      }),

    setCredentialDisabled: (as, id, disabled) =>
      session.write(as, (db) => amend(db, id, { disabled: flag(disabled) })),

    setCredentialProjects: (as, id, projects) =>
      session.write(as, (db) => amend(db, id, { projects: JSON.stringify(projects) })),

    setCredentialBlocked: (as, id, blocked) =>
      session.write(as, (db) => amend(db, id, { blocked: blocked ? 1 : null })),

    setCredentialName: (as, id, name) => session.write(as, (db) => amend(db, id, { name })),

    setCredentialOffer: (as, id, offer) => session.write(as, (db) => amend(db, id, offerColumns(offer))),

    removeCredential: (as, id) =>
      session.write(as, async (db) => {
        const unbound = await db
          .deleteFrom('bindings')
          .where('credential', '=', id)
          .returning(['connection', 'scope'])
          .execute()
        for (const row of unbound) session.removed('bindings', row)
        for (const name of new Set(unbound.map((row) => row.connection))) await announce(db, 'binding', name)
        await removeGrants(session, db, id)
        const { numDeletedRows } = await db.deleteFrom('credentials').where('id', '=', id).executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('credentials', { id })
        await announce(db, 'credential', id)
      }),

    async bindings(as, connection) {
      demandAdmin(as)
      let query = session.db.selectFrom('bindings').selectAll().orderBy('connection').orderBy('scope')
      if (connection !== undefined) query = query.where('connection', '=', connection)
      return stamps.keep('bindings', await query.execute(), bindingId).map(parseBinding)
    },

    bind: (as, binding) =>
      session.write(as, async (db) => {
        await existing(db, binding.credential)
        await demandPlace(db, binding.connection)
        const row = session.stamp('bindings', {
          connection: binding.connection,
          scope: binding.scope as string,
          credential: binding.credential,
        })
        await db
          .insertInto('bindings')
          .values(row)
          .onConflict((conflict) => conflict.columns(['connection', 'scope']).doUpdateSet(row))
          .execute()
        await announce(db, 'binding', binding.connection)
      }),

    unbind: (as, connection, scope) =>
      session.write(as, async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('bindings')
          .where('connection', '=', connection)
          .where('scope', '=', scope)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('bindings', { connection, scope })
        await announce(db, 'binding', connection)
      }),

    async bound(as, connection, scopes) {
      demandAdmin(as)
      if (scopes.length === 0) return undefined
      const { db } = session
      const rows = await db
        .selectFrom('bindings')
        .selectAll()
        .where('connection', '=', connection)
        .where('scope', 'in', scopes)
        .execute()
      const row = scopes.flatMap((scope) => rows.filter((each) => each.scope === scope))[0]
      if (!row) return undefined
      stamps.check('bindings', bindingId(row), row)
      const credential = await checkedRow(db, row.credential)
      if (!credential) {
        throw new LocumError('internal', `The credential bound to ${bindingId(row)} is gone.`, {
          hint: 'The database was changed outside Locum: bind a credential again.',
        })
      }
      return { binding: parseBinding(row), credential: parseCredential(credential) }
    },
  }
}

/** Throws bad_request where there is no such connection or provider. */
async function demandPlace(db: Database, place: string): Promise<void> {
  const provider = providerOf(place)
  const table = provider === undefined ? 'connections' : 'providers'
  const query = db
    .selectFrom(table)
    .select('name')
    .where('name', '=', provider ?? place)
  if (await query.executeTakeFirst()) return
  const what = provider === undefined ? 'connection' : 'provider'
  throw new LocumError('bad_request', `There is no ${what} ${JSON.stringify(provider ?? place)}.`)
}

function lost(what: string, id: string): LocumError {
  return new LocumError(
    'bad_request',
    `The ${what} ${JSON.stringify(id)} was changed by somebody else meanwhile.`,
    {
      hint: 'Read it again and repeat.',
    },
  )
}

function credentialColumns(credential: Credential): Omit<CredentialRow, 'stamp'> {
  const { sealed } = credential
  const named = [...credential.fieldNames].sort().join('\0')
  if (Object.keys(sealed).sort().join('\0') !== named) {
    throw new LocumError('bad_request', "A credential's field names are not those of its sealed fields.")
  }
  return {
    id: credential.id,
    name: credential.name,
    owner: credential.owner,
    audience: JSON.stringify(credential.audience),
    field_names: JSON.stringify(credential.fieldNames),
    plain: credential.plain === undefined ? null : JSON.stringify(credential.plain),
    disabled: flag(credential.disabled),
    projects: JSON.stringify(credential.projects),
    managed_by: column(credential.managedBy),
    version: credential.version,
    fingerprint: column(credential.fingerprint),
    sealed: JSON.stringify(Object.entries(sealed).map(([name, value]) => [name, sealedText(value)])),
    created_at: credential.createdAt,
    changed_at: credential.changedAt,
    blocked: credential.blocked ? 1 : null,
    ...offerColumns(credential.offer),
  }
}

function offerColumns(offer: Offer | undefined): Pick<CredentialRow, 'offered_to' | 'offered_until'> {
  return { offered_to: column(offer?.to), offered_until: column(offer?.until) }
}

function parseCredential(row: CredentialRow): Credential {
  const sealed = parse<[string, string][]>(row.sealed).map(([name, text]) => [name, sealedBytes(text)])
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    audience: parse<string[]>(row.audience),
    fieldNames: parse<string[]>(row.field_names),
    ...(row.plain === null ? {} : { plain: parse<string[]>(row.plain) }),
    disabled: row.disabled === 1,
    ...(row.blocked === 1 ? { blocked: true } : {}),
    projects: parse<string[]>(row.projects),
    ...offerOf(row),
    ...member('managedBy', row.managed_by),
    version: row.version,
    ...member('fingerprint', row.fingerprint),
    sealed: Object.fromEntries(sealed),
    createdAt: row.created_at,
    changedAt: row.changed_at,
  }
}

function offerOf({ offered_to: to, offered_until: until }: CredentialRow): Pick<Credential, 'offer'> {
  return to === null || until === null ? {} : { offer: { to, until } }
}

function bindingId(row: BindingRow): string {
  return `${row.connection} for ${row.scope}`
}

function parseBinding(row: BindingRow): Binding {
  return { connection: row.connection, scope: row.scope as Scope, credential: row.credential }
}
