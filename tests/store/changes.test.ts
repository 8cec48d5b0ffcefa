import t from 'tap'
import { SYSTEM } from '../../core/words.ts'
import { editDatabase, makeFolder, openSite } from './site.ts'

t.test('a reader that was away for long is told to forget everything', async (t) => {
  const data = makeFolder(t)
  const { store } = await openSite(t, data)
  const since = await store.head()
  editDatabase(
    data,
    `INSERT INTO changes (kind, id)
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
     SELECT 'principal', 'p' || i FROM n`,
  )
  t.equal((await store.changes(since)).length, 10_000, 'as long as it is kept, every change is told')
  await store.transact(SYSTEM, async () => {
    const ada = { id: 'ada', kind: 'user' as const, projects: [], admin: false, disabled: false }
    for (let n = 0; n < 500; n++) await store.putPrincipal(SYSTEM, ada)
  })
  const head = await store.head()
  t.equal(head, since + 10_500)
  const everything = [{ seq: head, kind: 'site', id: '*' }]
  t.strictSame(await store.changes(since), everything)
  t.strictSame(await store.changes(0), everything)
  const kept = await store.changes(head - 9_000)
  t.equal(kept.length, 9_000, 'what is kept is told one by one')
  t.equal(kept.at(-1)?.seq, head)
})
