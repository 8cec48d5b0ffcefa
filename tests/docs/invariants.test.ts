import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')

t.test('every invariant names a test that is there', (t) => {
  const text = readFileSync(join(ROOT, 'docs/INVARIANTS.md'), 'utf8')
  const named = [...text.matchAll(/`(tests\/[\w/.-]+\.test\.ts)`: (.+?)(?= · | \|$)/gm)]
  t.ok(named.length > 40, `${named.length} are named`)
  for (const [, file, title] of named as unknown as [string, string, string][]) {
    const path = join(ROOT, file)
    const found = existsSync(path) && readFileSync(path, 'utf8').replaceAll("\\'", "'").includes(title)
    t.ok(found, `${file}: ${title}`)
  }
  t.end()
})
