import { LocumError } from '../core/errors.ts'
import { checkFederated, refuseFederated } from '../core/identity.ts'
import type { Limits } from '../core/limits.ts'
import { CONSOLE_KEY, PAGE_KEY } from '../core/proxy-key.ts'
import type { Store } from '../core/store.ts'
import type { KeyBounds, PrincipalRecord, ProxyKeyRecord } from '../core/words.ts'
import { announce } from './changes.ts'
import { column, flag, member, parse } from './rows.ts'
import { demandAdmin, type Session } from './session.ts'
import type { Database, PrincipalRow, ProxyKeyRow } from './tables.ts'

type PrincipalMethods =
  | 'principals'
  | 'principal'
  | 'putPrincipal'
  | 'removePrincipal'
  | 'keys'
  | 'addKey'
  | 'setKeyEnd'
  | 'removeKeys'
  | 'keyHolder'

/** Principals and their proxy keys. */
export function principalRows(session: Session): Pick<Store, PrincipalMethods> {
  const { stamps, clock } = session

  async function checkedRow(db: Database, id: string): Promise<PrincipalRow | undefined> {
    const row = await db.selectFrom('principals').selectAll().where('id', '=', id).executeTakeFirst()
    return row && stamps.check('principals', id, row)
  }

  return {
    async principals(as) {
      demandAdmin(as)
      const rows = await session.db.selectFrom('principals').selectAll().orderBy('id').execute()
      return stamps.keep('principals', rows, (row) => row.id).map(parsePrincipal)
    },

    async principal(as, id) {
      if (as.id !== id) demandAdmin(as)
      const row = await checkedRow(session.db, id)
      return row && parsePrincipal(row)
    },

    putPrincipal: (as, record) =>
      session.write(as, async (db) => {
        checkFederated(record)
        const before = await checkedRow(db, record.id)
        const row = session.stamp('principals', {
          id: record.id,
          kind: record.kind,
          profile: column(record.profile),
          email: column(record.email),
          projects: JSON.stringify(record.projects),
          admin: flag(record.admin),
          disabled: flag(record.disabled),
          managed_by: column(record.managedBy),
          version: (before?.version ?? 0) + 1,
          created_at: before?.created_at ?? clock.now(),
          may_act_for: record.mayActFor === undefined ? null : JSON.stringify(record.mayActFor),
          revoked_at: column(record.revokedAt),
          limits: record.limits === undefined ? null : JSON.stringify(record.limits),
          issuer: column(record.federated?.issuer),
          subject_claim: column(record.federated?.claim),
          subject: column(record.federated?.subject),
        })
        if (before) await db.updateTable('principals').set(row).where('id', '=', row.id).execute()
        else await db.insertInto('principals').values(row).execute()
        await announce(db, 'principal', row.id)
        return parsePrincipal(row)
      }),

    removePrincipal: (as, id) =>
      session.write(as, async (db) => {
        await removeKeys(session, db, id)
        const { numDeletedRows } = await db.deleteFrom('principals').where('id', '=', id).executeTakeFirst()
        if (numDeletedRows === 0n) return
        session.removed('principals', { id })
        await announce(db, 'principal', id)
      }),

    async keys(as, principal) {
      demandAdmin(as)
      const rows = await session.db
        .selectFrom('proxy_keys')
        .selectAll()
        .where('principal', '=', principal)
        .orderBy('created_at')
        .orderBy('hash')
        .execute()
      return stamps.keep('proxy_keys', rows, (row) => row.hash).map(parseKey)
    },

    addKey: (as, key) =>
      session.write(as, async (db) => {
        if (key.managedBy !== CONSOLE_KEY && key.managedBy !== PAGE_KEY) refuseFederated(key.principal)
        if (!(await checkedRow(db, key.principal))) {
          throw new LocumError('bad_request', `There is no principal ${JSON.stringify(key.principal)}.`)
        }
        const row = session.stamp('proxy_keys', {
          hash: key.hash,
          principal: key.principal,
          created_at: key.createdAt,
          expires_at: column(key.expiresAt),
          managed_by: column(key.managedBy),
          only: key.only === undefined ? null : JSON.stringify(key.only),
        })
        const added = await db
          .insertInto('proxy_keys')
          .values(row)
          .onConflict((conflict) => conflict.column('hash').doNothing())
          .executeTakeFirst()
        if (added.numInsertedOrUpdatedRows === 0n) {
          throw new LocumError('bad_request', 'This proxy key is in use already.')
        }
        await announce(db, 'key', key.hash)
      }),

    setKeyEnd: (as, principal, hash, expiresAt) =>
      session.write(as, async (db) => {
        const there = await db
          .selectFrom('proxy_keys')
          .selectAll()
          .where('hash', '=', hash)
          .where('principal', '=', principal)
          .executeTakeFirst()
        if (!there) return false
        const { stamp: _, ...columns } = stamps.check('proxy_keys', hash, there)
        const row = session.stamp('proxy_keys', { ...columns, expires_at: expiresAt })
        await db.updateTable('proxy_keys').set(row).where('hash', '=', hash).execute()
        await announce(db, 'key', hash)
        return true
      }),

    removeKeys: (as, principal, hash) => session.write(as, (db) => removeKeys(session, db, principal, hash)),

    async keyHolder(as, hash) {
      demandAdmin(as)
      const { db } = session
      const key = await db.selectFrom('proxy_keys').selectAll().where('hash', '=', hash).executeTakeFirst()
      if (!key) return undefined
      stamps.check('proxy_keys', hash, key)
      const principal = await checkedRow(db, key.principal)
      return principal && { key: parseKey(key), principal: parsePrincipal(principal) }
    },
  }
}

async function removeKeys(session: Session, db: Database, principal: string, hash?: string): Promise<number> {
  let removal = db.deleteFrom('proxy_keys').where('principal', '=', principal)
  if (hash !== undefined) removal = removal.where('hash', '=', hash)
  const gone = await removal.returning('hash').execute()
  for (const row of gone) {
    session.removed('proxy_keys', row)
    await announce(db, 'key', row.hash)
  }
  return gone.length
}

function parsePrincipal(row: PrincipalRow): PrincipalRecord {
  return {
    id: row.id,
    kind: row.kind as PrincipalRecord['kind'],
    ...member('profile', row.profile),
    ...member('email', row.email),
    projects: parse<string[]>(row.projects),
    admin: row.admin === 1,
    disabled: row.disabled === 1,
    ...(row.may_act_for === null ? {} : { mayActFor: parse<string[]>(row.may_act_for) }),
    ...member('revokedAt', row.revoked_at),
    ...(row.limits === null ? {} : { limits: parse<Limits>(row.limits) }),
    ...member('managedBy', row.managed_by),
    ...federatedOf(row),
    version: row.version,
    createdAt: row.created_at,
  }
}

function federatedOf({ issuer, subject_claim, subject }: PrincipalRow): Pick<PrincipalRecord, 'federated'> {
  if (issuer === null || subject === null) return {}
  return { federated: { issuer, ...member('claim', subject_claim), subject } }
}

function parseKey(row: ProxyKeyRow): ProxyKeyRecord {
  return {
    hash: row.hash,
    principal: row.principal,
    createdAt: row.created_at,
    ...member('expiresAt', row.expires_at),
    ...member('managedBy', row.managed_by),
    ...(row.only === null ? {} : { only: parse<KeyBounds>(row.only) }),
  }
}
