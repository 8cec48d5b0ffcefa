import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { missingTests, namedTests } from './named.ts'

const ROOT = join(import.meta.dirname, '../..')

t.test('every invariant names a test that is there', async (t) => {
  const text = readFileSync(join(ROOT, 'docs/INVARIANTS.md'), 'utf8')
  const named = namedTests(text)
  t.ok(named.length > 40, `${named.length} are named`)
  t.same(missingTests(text), [])
})
