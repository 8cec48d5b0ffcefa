import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { makeFolder, openSite, startChild } from './site.ts'

t.test('a lease is prolonged while its holder lives, and comes free when it is killed', async (t) => {
  const data = makeFolder(t)
  const { store } = await openSite(t, data)
  const child = startChild(t, 'lease', [data, 'k', '400'])
  const fence = Number(await child.line())
  const database = new Sqlite(join(data, 'locum.db'), { readonly: true })
  t.teardown(() => database.close())
  const ends = () =>
    database.prepare('SELECT expires_at FROM leases WHERE fence = ?').pluck().get(fence) as number
  let taken = false
  const waiting = store.lease(SYSTEM, 'k', 400, async (own) => {
    taken = true
    return own
  })
  const first = ends()
  while (ends() < first + 400) await turn()
  t.notOk(taken, 'longer than its time, and still held')
  child.process.kill('SIGKILL')
  t.match(await child.ended(), { signal: 'SIGKILL' })
  t.ok((await waiting) > fence, 'the fence has grown')
})
