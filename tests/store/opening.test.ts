import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { LocumError } from '../../core/errors.ts'
import { SYSTEM } from '../../core/words.ts'
import { findMasterKey } from '../../store/master-key.ts'
import { openStore } from '../../store/open.ts'
import { explainSqlite, whileBusy } from '../../store/sqlite-dialect.ts'
import { connection } from '../contract/store.ts'
import { editDatabase, makeFolder, openSite, startChild } from './site.ts'

const KEY = Buffer.alloc(32, 7)
const WRONG_KEY = { code: 'internal', detail: /^The master key does not open this site's data keys\.$/ }

t.test('the first opening makes what is missing, and the next finds it', async (t) => {
  const data = join(makeFolder(t), 'new', 'data')
  const first = await openSite(t, data)
  const site = await first.store.site()
  first.audit.record({ event: 'start', version: '1', node: '24' })
  const mode = (path: string) => (statSync(join(data, path)).mode & 0o777).toString(8)
  t.equal(mode('.'), '700')
  t.equal(mode('audit'), '700')
  for (const file of ['locum.db', 'locum.db-wal', 'locum.db-shm', 'master.key'])
    t.equal(mode(file), '600', file)
  for (const file of readdirSync(join(data, 'audit'))) t.equal(mode(join('audit', file)), '600')
  t.strictSame(readdirSync(data).sort(), ['audit', 'locum.db', 'locum.db-shm', 'locum.db-wal', 'master.key'])
  await first.close()
  const second = await openSite(t, data)
  t.strictSame(await second.store.site(), site)
})

t.test('an umask that is open to all makes nothing readable to others', async (t) => {
  const before = process.umask(0)
  const data = join(makeFolder(t), 'data')
  try {
    const site = await openSite(t, data)
    site.audit.record({ event: 'start', version: '1', node: '24' })
  } finally {
    process.umask(before)
  }
  for (const name of readdirSync(data, { recursive: true }) as string[]) {
    t.equal(statSync(join(data, name)).mode & 0o077, 0, name)
  }
})

t.test('the master key is taken from the environment, then a named file, then the data folder', async (t) => {
  for (const text of [KEY.toString('base64'), KEY.toString('hex'), KEY.toString('base64url')]) {
    const data = makeFolder(t)
    const site = await openSite(t, data, {
      env: { LOCUM_MASTER_KEY: text, LOCUM_MASTER_KEY_FILE: '/nonexistent' },
    })
    await site.close()
    t.notOk(existsSync(join(data, 'master.key')), 'none is made where one is given')
    const file = join(data, 'key')
    for (const content of [KEY, `${KEY.toString('base64')}\n`, KEY.toString('hex').toUpperCase()]) {
      writeFileSync(file, content)
      const again = await openSite(t, data, { env: { LOCUM_MASTER_KEY_FILE: file } })
      await again.close()
    }
  }
})

t.test('what is no master key is refused, and is in no error', async (t) => {
  const data = makeFolder(t)
  for (const text of [
    '',
    'short',
    KEY.toString('hex').slice(2),
    `${KEY.toString('base64')}AAAA`,
    'é'.repeat(32),
  ]) {
    const error = await failure(openStore({ data, env: { LOCUM_MASTER_KEY: text } }))
    t.match(error, { code: 'bad_request', detail: 'LOCUM_MASTER_KEY does not hold a master key.' })
    if (text) t.notOk(`${error.message} ${error.hint}`.includes(text))
  }
  const named = { LOCUM_MASTER_KEY_FILE: join(data, 'none') }
  t.match(await failure(openStore({ data, env: named })), {
    code: 'internal',
    detail: /^The master key is missing/,
  })
  t.notOk(existsSync(join(data, 'none')))
  t.notOk(existsSync(join(data, 'master.key')))
})

t.test('a wrong master key opens nothing and overwrites nothing', async (t) => {
  const data = makeFolder(t)
  await (await openSite(t, data)).close()
  const path = join(data, 'master.key')
  const right = readFileSync(path)
  writeFileSync(path, KEY.toString('base64'))
  const database = readFileSync(join(data, 'locum.db'))
  t.match(await failure(openStore({ data })), WRONG_KEY)
  t.match(await failure(openStore({ data, env: { LOCUM_MASTER_KEY: KEY.toString('hex') } })), WRONG_KEY)
  t.strictSame(readFileSync(path, 'utf8'), KEY.toString('base64'))
  t.strictSame(readFileSync(join(data, 'locum.db')), database)
  writeFileSync(path, right)
  await t.resolves(openSite(t, data), 'the right one still does')
})

t.test('a missing master key is not made anew for a database that has data keys', async (t) => {
  const data = makeFolder(t)
  await (await openSite(t, data)).close()
  rmSync(join(data, 'master.key'))
  const error = await failure(openStore({ data }))
  t.match(error, { code: 'internal', detail: /^The master key is missing: .*master\.key\.$/ })
  t.notOk(error.detail.includes('\n'), 'in one line')
  t.notOk(existsSync(join(data, 'master.key')))
})

t.test('a master key that another process makes meanwhile is taken', async (t) => {
  const data = makeFolder(t)
  const other = Buffer.alloc(32, 7)
  const path = join(data, 'master.key')
  const random = (size: number) => {
    if (size === 6) writeFileSync(path, `${other.toString('base64')}\n`)
    return randomBytes(size)
  }
  t.same(findMasterKey({ env: {}, data, random, mayMake: true }).export(), other)
  t.same(readdirSync(data), ['master.key'], 'and no draft is left')
})

t.test('a master key that is there is kept for a new database', async (t) => {
  const data = makeFolder(t)
  writeFileSync(join(data, 'master.key'), KEY.toString('base64'))
  await (await openSite(t, data)).close()
  t.equal(readFileSync(join(data, 'master.key'), 'utf8'), KEY.toString('base64'))
})

t.test('a data key of another site, or none at all, is refused', async (t) => {
  const data = makeFolder(t)
  await (await openSite(t, data)).close()
  editDatabase(data, "UPDATE site SET id = '00000000-0000-4000-8000-000000000000'")
  t.match(await failure(openStore({ data })), WRONG_KEY)
  editDatabase(data, 'DELETE FROM data_keys')
  t.match(await failure(openStore({ data })), { code: 'internal', detail: /lost its data keys/ })
  editDatabase(data, 'DELETE FROM site')
  t.match(await failure(openStore({ data })), { code: 'internal', detail: /lost its site/ })
})

t.test('processes that start at once on an empty folder agree on one site', async (t) => {
  const data = join(makeFolder(t), 'data')
  const children = [1, 2].map(() => startChild(t, 'open', [data]))
  const said = await Promise.all(children.map((child) => child.line()))
  t.equal(new Set(said).size, 1, said.join('\n'))
  for (const child of children) t.match(await child.ended(), { code: 0, errors: '' })
  t.strictSame(
    readdirSync(data).filter((name) => name.startsWith('master')),
    ['master.key'],
  )
})

t.test('openings of one process at once agree as well', async (t) => {
  const data = makeFolder(t)
  const sites = await Promise.all([1, 2, 3].map(() => openSite(t, data)))
  const ids = await Promise.all(sites.map(async ({ store }) => (await store.site()).id))
  t.equal(new Set(ids).size, 1)
})

t.test('a database of a newer program is refused and left alone', async (t) => {
  const data = makeFolder(t)
  await (await openSite(t, data)).close()
  editDatabase(data, "INSERT INTO kysely_migration VALUES ('9999-later', '2030-01-01T00:00:00.000Z')")
  t.match(await failure(openStore({ data })), {
    code: 'store_unavailable',
    detail: 'The database was made by a newer Locum than this one.',
    hint: /9999-later/,
  })
})

t.test('a file that is damaged or no database is said to be so', async (t) => {
  const data = makeFolder(t)
  const file = join(data, 'locum.db')
  writeFileSync(file, 'this is a letter to my aunt, and no database at all'.repeat(100))
  const before = readFileSync(file)
  t.match(await failure(openStore({ data })), {
    code: 'store_unavailable',
    detail: 'The database file is not an SQLite database.',
  })
  t.strictSame(readFileSync(file), before)
  rmSync(file)
  const site = await openSite(t, data)
  for (let n = 0; n < 200; n++) await site.store.putConnection(SYSTEM, connection(`c${n}`))
  await site.close()
  const whole = readFileSync(file)
  for (let at = 4_096; at < whole.length; at += 4_096) whole.fill(0xff, at, at + 100)
  writeFileSync(file, whole)
  t.match(await failure(use(data)), { code: 'store_unavailable', detail: 'The database file is damaged.' })
  truncateSync(file, 8_192)
  t.match(await failure(use(data)), { code: 'store_unavailable', detail: 'The database file is damaged.' })

  async function use(folder: string) {
    const { store } = await openSite(t, folder)
    await store.connections(SYSTEM)
  }
})

t.test('a full disk changes nothing, and reading goes on', async (t) => {
  const data = makeFolder(t)
  await (await openSite(t, data)).close()
  // 512-byte blocks: room for the -shm and a little more.
  const child = startChild(t, 'fill', [data], 'ulimit -f 1500')
  const said = JSON.parse(await child.line())
  t.match(said.audit, { code: 'internal', detail: 'The use could not be recorded, so it did not happen.' })
  t.match(said.store, { code: 'store_unavailable', detail: /disk/ })
  t.ok(said.audit.written > 10 && said.store.written > 1, 'after some that went well')
  t.equal(said.reads, true)
  const { store } = await openSite(t, data)
  t.match(await store.site(), { contact: /^x+$/ }, 'the last that was committed is there')
})

t.test("SQLite's failures are told apart by their code alone, and say what to do", async (t) => {
  const explain = (code: string) => explainSqlite(new Sqlite.SqliteError('words that mean nothing', code))
  const table: Record<string, readonly [says: RegExp, next: RegExp]> = {
    SQLITE_FULL: [/full/, /Free some space/],
    SQLITE_BUSY: [/busy in another process/, /Try again/],
    SQLITE_BUSY_SNAPSHOT: [/busy in another process/, /Try again/],
    SQLITE_LOCKED_SHAREDCACHE: [/busy in another process/, /Try again/],
    SQLITE_READONLY_DBMOVED: [/cannot be written/, /permissions/],
    SQLITE_CANTOPEN_ISDIR: [/cannot be opened/, /permissions/],
    SQLITE_PERM: [/cannot be opened/, /permissions/],
    SQLITE_CORRUPT_VTAB: [/damaged/, /backup/],
    SQLITE_NOTADB: [/not an SQLite database/, /right file/],
    SQLITE_IOERR_FSYNC: [/disk failed/, /Look at the disk/],
    SQLITE_NOMEM: [/out of memory/, /more memory/],
    SQLITE_ERROR: [/database failed/, /log/],
  }
  for (const [code, [detail, hint]] of Object.entries(table)) {
    t.match(explain(code), { code: 'store_unavailable', detail, hint, cause: { code } }, code)
  }
  const other = new TypeError('ours')
  t.equal(explainSqlite(other), other)
})

t.test('a database of limited size that is full says so', async (t) => {
  const data = makeFolder(t)
  const { store } = await openSite(t, data)
  const probe = new Sqlite(join(data, 'locum.db'))
  t.teardown(() => probe.close())
  probe.pragma('max_page_count = 1')
  const fails = () => probe.exec('CREATE TABLE more (x)')
  t.match(explainSqlite(caught(fails)), {
    code: 'store_unavailable',
    detail: 'The disk that holds the database is full.',
  })
  await t.resolves(store.setSite(SYSTEM, { contact: 'it@example.com' }))
})

t.test('a writer waits for another process without stopping this one, and gives up in words', async (t) => {
  const data = makeFolder(t)
  const { store } = await openSite(t, data)
  const other = new Sqlite(join(data, 'locum.db'))
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  let done = false
  const write = store.setSite(SYSTEM, { contact: 'it@example.com' }).then(() => {
    done = true
  })
  for (let n = 0; n < 20; n++) await store.site()
  t.notOk(done, 'the write waits while reads are answered')
  other.exec('ROLLBACK')
  await write
  t.equal((await store.site()).contact, 'it@example.com')
  let tries = 0
  const busy = new Sqlite.SqliteError('database is locked', 'SQLITE_BUSY_SNAPSHOT')
  const step = () => {
    if (++tries < 3) throw tries === 1 ? busy : new LocumError('store_unavailable', 'Busy.', { cause: busy })
    return tries
  }
  t.equal(await whileBusy(step), 3, 'as SQLite says it, and as it was explained')
  const full = new Sqlite.SqliteError('disk is full', 'SQLITE_FULL')
  await t.rejects(
    whileBusy(() => {
      throw full
    }),
    full,
    'nothing else is waited for',
  )
})

t.test('a folder or a file that cannot be used is named', async (t) => {
  const folder = makeFolder(t)
  writeFileSync(join(folder, 'file'), '')
  t.match(await failure(openStore({ data: join(folder, 'file', 'data') })), {
    code: 'store_unavailable',
    detail: /cannot be opened or made at .*locum\.db/,
  })
  mkdirSync(join(folder, 'taken', 'locum.db'), { recursive: true })
  t.match(await failure(openStore({ data: join(folder, 'taken') })), { code: 'store_unavailable' })
})

t.test(
  'a folder that may not be written is named',
  { skip: process.getuid?.() === 0 && 'root may write anywhere' },
  async (t) => {
    const folder = makeFolder(t)
    chmodSync(folder, 0o500)
    t.match(await failure(openStore({ data: join(folder, 'data') })), { code: 'store_unavailable' })
  },
)

t.test('a store elsewhere than the data folder is opened by its url; other urls are refused', async (t) => {
  const data = makeFolder(t)
  const path = join(makeFolder(t), 'deep', 'other.db')
  await openSite(t, data, { url: `sqlite:${path}` })
  t.ok(existsSync(path))
  t.notOk(existsSync(join(data, 'locum.db')))
  for (const url of [
    'postgres://user:pass@db/locum',
    'sqlite:',
    'sqlite::memory:',
    'sqlite://x',
    '/a.db',
    '',
  ]) {
    const error = await failure(openStore({ data, url }))
    t.match(error, { code: 'bad_request', hint: /sqlite:PATH/ }, url)
    t.notOk(error.message.includes('pass'))
  }
})

interface Failure {
  code: string
  detail: string
  message: string
  hint?: string
}

async function failure(work: Promise<unknown>): Promise<Failure> {
  try {
    await work
  } catch (thrown) {
    return thrown as Failure
  }
  throw new Error('It did not fail.')
}

function caught(work: () => unknown): unknown {
  try {
    work()
  } catch (thrown) {
    return thrown
  }
  throw new Error('It did not fail.')
}
