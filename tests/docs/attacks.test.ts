import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readAttacks } from '../attacks/table.ts'
import { missingTests } from './named.ts'

const ROOT = join(import.meta.dirname, '../..')
const text = readFileSync(join(ROOT, 'docs/ATTACKS.md'), 'utf8')

t.test('the table has every attack, and no other', async (t) => {
  const rows = text.split('\n').filter((line) => /^\| .* \| R\d+ \|/.test(line))
  const attacks = await readAttacks()
  t.equal(rows.length, attacks.length)
  for (const { name, published = name, rule, title } of attacks)
    t.ok(
      rows.some((row) => row.startsWith(`| ${published} | ${rule} | ${title} | held |`)),
      name,
    )
})

t.test('what was published names files and tests that are there', async (t) => {
  const files = readdirSync(join(ROOT, 'tests/attacks/portable'))
  const named = [...text.matchAll(/`tests\/attacks\/portable\/([\w-]+\.ts)`/g)].map(
    ([, file]) => file as string,
  )
  t.ok(named.length > 20)
  for (const file of named) t.ok(files.includes(file), file)
  for (const { name, published } of await readAttacks())
    if (published !== undefined) t.ok(named.includes(`${name}.ts`), published)
  t.same(missingTests(text), [])
})
