import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { type OpenStore, openStore } from '../../store/open.ts'
import { RowHistory } from '../../store/row-history.ts'
import { verifyTrail } from '../../store/trail-verify.ts'
import { connection, credential } from '../contract/store.ts'
import { editDatabase, makeFolder, openSite, startChild, type Test } from './site.ts'

const ADA = { id: 'ada', kind: 'user' as const, projects: [], admin: false, disabled: false }

/** What each table is tried with: how to find the row, and what Locum does to it. */
const ROWS: Readonly<
  Record<string, { name: string; where: string; change(site: OpenStore): Promise<unknown> }>
> = {
  principals: {
    name: 'ada',
    where: "id = 'ada'",
    change: ({ store }) => store.putPrincipal(SYSTEM, { ...ADA, disabled: true }),
  },
  proxy_keys: {
    name: 'hash-ada',
    where: "hash = 'hash-ada'",
    change: ({ store }) =>
      store.transact(SYSTEM, async () => {
        await store.removeKeys(SYSTEM, 'ada', 'hash-ada')
        await store.addKey(SYSTEM, { hash: 'hash-ada', principal: 'ada', createdAt: 1, expiresAt: 2 })
      }),
  },
  projects: {
    name: 'north',
    where: "name = 'north'",
    change: ({ store }) => store.putProject(SYSTEM, { name: 'north', editors: ['ada'] }),
  },
  connections: {
    name: 'stripe',
    where: "name = 'stripe'",
    change: ({ store }) => store.putConnection(SYSTEM, connection('stripe', { allow: { paths: ['/v2/*'] } })),
  },
  credentials: {
    name: 'c1',
    where: "id = 'c1'",
    change: ({ store }) => store.setCredentialDisabled(SYSTEM, 'c1', true),
  },
  bindings: {
    name: 'stripe for shared',
    where: "connection = 'stripe'",
    change: ({ store }) => store.bind(SYSTEM, { connection: 'stripe', scope: 'shared', credential: 'c2' }),
  },
  grants: {
    name: 'g',
    where: "key = 'g'",
    change: ({ store }) => renew(store, 1),
  },
  site: {
    name: '',
    where: '1',
    change: ({ store }) => store.setSite(SYSTEM, { url: 'https://locum.example' }),
  },
}

function renew(store: OpenStore['store'], version: number): Promise<unknown> {
  return store.lease(SYSTEM, 'grant:g', 5_000, async (fence) => {
    await store.intend(SYSTEM, 'g', version, fence)
    await store.replaceGrant(SYSTEM, 'g', version, fence, { sealed: Buffer.alloc(40, version) })
  })
}

/** A site with one of everything, closed. */
async function makeSite(t: Test): Promise<string> {
  const data = makeFolder(t)
  await work(data, async ({ store, sealer }) => {
    await store.putPrincipal(SYSTEM, ADA)
    await store.addKey(SYSTEM, { hash: 'hash-ada', principal: 'ada', createdAt: 1 })
    await store.putProject(SYSTEM, { name: 'north', editors: [] })
    await store.putConnection(SYSTEM, connection('stripe'))
    for (const id of ['c1', 'c2']) await store.putCredential(SYSTEM, credential(sealer, id))
    await store.bind(SYSTEM, { connection: 'stripe', scope: 'shared', credential: 'c1' })
    await renew(store, 0)
  })
  return data
}

/** What one process does. */
async function work(data: string, does: (site: OpenStore) => Promise<unknown>): Promise<void> {
  const site = await openStore({ data })
  try {
    await does(site)
  } finally {
    await site.close()
  }
}

/** The faults as another process finds them: `KIND TEXT`, with `FILE:LINE` where it is not the database. */
async function verify(data: string): Promise<string[]> {
  let faults: string[] = []
  await work(data, async (site) => {
    const found = await verifyTrail(join(data, 'audit'), site)
    faults = found.map(({ kind, file, line, text }) => {
      const known = readdirSync(join(data, 'audit')).includes(file) && (line ?? 0) > 0
      return `${kind} ${known ? 'record' : file}: ${text}`
    })
  })
  return faults
}

function readRow(data: string, table: string, where: string): Record<string, unknown> {
  const database = new Sqlite(join(data, 'locum.db'))
  try {
    return database.prepare(`SELECT * FROM ${table} WHERE ${where}`).get() as Record<string, unknown>
  } finally {
    database.close()
  }
}

function putRow(data: string, table: string, row: Record<string, unknown>): void {
  const database = new Sqlite(join(data, 'locum.db'))
  try {
    database.pragma('foreign_keys = OFF')
    const columns = Object.keys(row)
    database
      .prepare(`INSERT OR REPLACE INTO ${table} VALUES (${columns.map(() => '?').join()})`)
      .run(...Object.values(row))
  } finally {
    database.close()
  }
}

const called = (table: string, row: Record<string, unknown>) =>
  `The row ${JSON.stringify(ROWS[table]?.name || row.id)} in ${table}`
const PUT_BACK = 'is not as it was left then: it was put back from an earlier time, or changed outside Locum.'
const REMOVED = 'is not there: it was removed outside Locum.'
const AGAIN = 'was removed by then and is there again: it was put back outside Locum.'

for (const [table, { where, change }] of Object.entries(ROWS)) {
  t.test(`a whole row of ${table} put back from an earlier time is found and named`, async (t) => {
    const data = await makeSite(t)
    const before = readRow(data, table, where)
    await work(data, change)
    t.strictSame(await verify(data), [])
    const after = readRow(data, table, where)
    t.not(after.stamp, before.stamp, 'it was changed')
    putRow(data, table, before)
    t.strictSame(await verify(data), [`row record: ${called(table, before)} ${PUT_BACK}`])
    putRow(data, table, after)
    t.strictSame(await verify(data), [], 'and no more once it is as it was')
  })

  if (table === 'site') continue // Without its row nothing opens.
  t.test(`a row of ${table} removed outside is found and named`, async (t) => {
    const data = await makeSite(t)
    const before = readRow(data, table, where)
    editDatabase(data, `DELETE FROM ${table} WHERE ${where}`)
    t.strictSame(await verify(data), [`row record: ${called(table, before)} ${REMOVED}`])
  })
}

t.test('a row that Locum removed and somebody put back is found and named', async (t) => {
  const removals: [tables: string[], remove: (site: OpenStore) => Promise<unknown>][] = [
    [['principals', 'proxy_keys'], ({ store }) => store.removePrincipal(SYSTEM, 'ada')],
    [['proxy_keys'], ({ store }) => store.removeKeys(SYSTEM, 'ada')],
    [['bindings', 'connections'], ({ store }) => store.removeConnection(SYSTEM, 'stripe')],
    [['bindings', 'credentials'], ({ store }) => store.removeCredential(SYSTEM, 'c1')],
    [['bindings'], ({ store }) => store.unbind(SYSTEM, 'stripe', 'shared')],
  ]
  for (const [tables, remove] of removals) {
    const data = await makeSite(t)
    const rows = tables.map((table) => [table, readRow(data, table, ROWS[table]?.where as string)] as const)
    await work(data, remove)
    t.strictSame(await verify(data), [], tables.join())
    for (const [table, row] of rows) putRow(data, table, row)
    const faults = rows.map(([table, row]) => `row record: ${called(table, row)} ${AGAIN}`)
    t.strictSame((await verify(data)).sort(), faults.sort(), tables.join())
  }
})

t.test('a row with a column changed, and one that no record knows, are found', async (t) => {
  const data = await makeSite(t)
  editDatabase(data, "UPDATE principals SET admin = 1 WHERE id = 'ada'")
  t.strictSame(await verify(data), [`row record: The row "ada" in principals ${PUT_BACK}`])
  const other = makeFolder(t)
  await work(other, ({ store }) => store.putPrincipal(SYSTEM, ADA))
  for (const file of readdirSync(join(other, 'audit'))) rmSync(join(other, 'audit', file))
  editDatabase(other, 'DELETE FROM audit_checkpoints')
  t.strictSame(await verify(other), [
    'row database: The row "ada" in principals is in no record of the audit.',
  ])
})

t.test('a whole database put back from a backup is found', async (t) => {
  const data = await makeSite(t)
  copyFileSync(join(data, 'locum.db'), join(data, 'backup'))
  await work(data, ({ store }) => store.putPrincipal(SYSTEM, { ...ADA, disabled: true }))
  await work(data, ({ store }) => store.removeKeys(SYSTEM, 'ada'))
  copyFileSync(join(data, 'backup'), join(data, 'locum.db'))
  t.strictSame(await verify(data), [
    `row record: The row "ada" in principals ${PUT_BACK}`,
    `row record: The row "hash-ada" in proxy_keys ${AGAIN}`,
  ])
  await work(data, async ({ store }) => {
    await store.putPrincipal(SYSTEM, ADA)
    await store.removeKeys(SYSTEM, 'ada')
  })
  t.strictSame(await verify(data), [], 'and what is entered again is good again')
})

t.test('what fails, and what changes nothing, leaves nothing to find', async (t) => {
  const data = await makeSite(t)
  await work(data, async ({ store }) => {
    await t.rejects(
      store.transact(SYSTEM, async () => {
        await store.putPrincipal(SYSTEM, { ...ADA, disabled: true })
        throw new Error('stop')
      }),
      { message: 'stop' },
    )
    await t.rejects(store.addKey(SYSTEM, { hash: 'hash-ada', principal: 'ada', createdAt: 9 }))
    await store.removePrincipal(SYSTEM, 'nobody')
    await store.removeConnection(SYSTEM, 'nothing')
    await store.removeCredential(SYSTEM, 'nothing')
    await store.unbind(SYSTEM, 'stripe', 'user:nobody')
  })
  t.strictSame(await verify(data), [])
})

t.test('a row that cannot be recorded is not written', async (t) => {
  const data = await makeSite(t)
  let full = true
  const write = () => {
    if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    return 0
  }
  const site = await openSite(t, data, { audit: { write } })
  await t.rejects(site.store.putPrincipal(SYSTEM, { ...ADA, disabled: true }), { code: 'internal' })
  t.match(await site.store.principal(SYSTEM, 'ada'), { disabled: false })
  full = false
  t.strictSame(await verify(data), [])
})

t.test('several processes, and a clock that goes back, keep the order of what was written', async (t) => {
  const data = await makeSite(t)
  const clock = { time: Date.now() + 1_000, now: () => clock.time }
  const one = await openSite(t, data, { clock })
  const two = await openSite(t, data, { clock })
  const rows: Record<string, unknown>[] = []
  for (const [n, { store }] of [one, two, two, one, two, one, one].entries()) {
    clock.time -= n === 3 ? 600_000 : 0
    await store.setCredentialDisabled(SYSTEM, 'c1', n % 2 === 0)
    await store.putPrincipal(SYSTEM, { ...ADA, email: `${n}@example.com` })
    rows.push(readRow(data, 'principals', "id = 'ada'"))
  }
  await turn()
  t.strictSame(await verify(data), [])
  const last = rows.pop() as Record<string, unknown>
  for (const row of rows) {
    putRow(data, 'principals', row)
    t.strictSame(await verify(data), [`row record: The row "ada" in principals ${PUT_BACK}`])
  }
  putRow(data, 'principals', last)
  t.strictSame(await verify(data), [])
})

for (const moment of ['before', 'after'] as const) {
  t.test(`a process killed ${moment} its commit raises no alarm, and the next change is held`, async (t) => {
    const data = await makeSite(t)
    const before = readRow(data, 'principals', "id = 'ada'")
    const child = startChild(t, 'change', [data, moment])
    t.match(await child.ended(), { signal: 'SIGKILL', errors: '' })
    const after = readRow(data, 'principals', "id = 'ada'")
    t.equal(after.stamp === before.stamp, moment === 'before')
    t.strictSame(await verify(data), [])
    await work(data, ({ store }) => store.putPrincipal(SYSTEM, { ...ADA, disabled: true }))
    t.strictSame(await verify(data), [])
    for (const row of [before, after]) {
      putRow(data, 'principals', row)
      t.strictSame(await verify(data), [`row record: The row "ada" in principals ${PUT_BACK}`])
    }
  })
}

t.test('processes killed in the middle of their work, while others verify, raise no alarm', async (t) => {
  const data = await makeSite(t)
  for (let round = 0; round < 2; round++) {
    const children = [1, 2].map(() => startChild(t, 'change', [data]))
    for (const child of children) await child.line()
    for (let n = 0; n < 3; n++) t.strictSame(await verify(data), [], 'at work')
    for (const child of children) child.process.kill('SIGKILL')
    for (const child of children) await child.ended()
    t.strictSame(await verify(data), [], 'killed')
  }
})

t.test('what is written while it is read may or may not have happened', async (t) => {
  const text = 'x'.repeat(9)
  /** `f` had two lines when the rows were read, and `g` one. */
  const history = new RowHistory(
    new Map([
      ['f', 20],
      ['g', 10],
    ]),
  )
  const say = (file: string, line: number, record: Record<string, unknown>) =>
    history.take({ file, line, text, record: { seq: line, at: '', event: 'rows', ...record } })
  const judge = (...marks: (string | undefined)[]) =>
    marks.map((mark) => history.faults(new Map(mark === undefined ? [] : [['principals/a', mark]])).length)
  say('f', 1, { write: 1, rows: { 'principals/a': 'A' } })
  t.strictSame(judge(undefined, 'A', 'B'), [0, 0, 1], 'not known to have happened')
  say('f', 2, { write: 1, event: 'rows-kept' })
  t.strictSame(judge(undefined, 'A', 'B'), [1, 0, 1], 'it is now')
  say('g', 1, { write: 0, rows: { 'principals/a': 'Z' } })
  t.strictSame(judge('A', 'Z'), [0, 1], 'older, and not known to have happened')
  say('f', 3, { write: 3, rows: { 'principals/a': 'C' } })
  say('g', 2, { write: 2, rows: { 'principals/a': 'B' } })
  say('f', 4, { write: 3, event: 'rows-kept' })
  say('g', 3, { write: 2, event: 'rows-kept' })
  t.strictSame(judge(undefined, 'Z', 'A', 'B', 'C', 'D'), [1, 1, 0, 0, 0, 1], 'behind the ends')
  t.match(history.faults(new Map([['principals/a', 'D']])), [{ kind: 'row', file: 'f', line: 1 }])
})

t.test('records hold no secret, and say who is meant', async (t) => {
  const data = await makeSite(t)
  await work(data, ({ store }) => store.putPrincipal(SYSTEM, { ...ADA, email: 'MARKED@example.com' }))
  const text = readdirSync(join(data, 'audit'))
    .map((file) => readFileSync(join(data, 'audit', file), 'utf8'))
    .join('')
  t.match(text, /"event":"rows","write":\d+,"rows":\{"principals\/ada":"[\w-]{22}"\}/)
  t.notMatch(text, /MARKED|secret c1/)
})
