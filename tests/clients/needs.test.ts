import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NEEDS, needsTable } from './needs.ts'

const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')

t.test('the README shows what each client needs, as the tests set it', async (t) => {
  t.ok(Object.keys(NEEDS).length >= 20)
  t.ok(README.includes(`\n${needsTable()}`), needsTable())
})
