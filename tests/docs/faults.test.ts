import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FAULTS, type Seen } from '../kit/fault-proxy.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/FAULTS.md'), 'utf8')

function told(seen: Seen): string {
  if ('status' in seen) return `${seen.status} \`${seen.code}\``
  return 'broken' in seen ? `broken off, \`${seen.code}\`` : 'the answer, whole'
}

t.test('the table of faults says what is tested', async (t) => {
  const rows = text.split('\n').filter((line) => /^\| (?!fault)[^-]/.test(line))
  t.equal(rows.length, Object.keys(FAULTS).length)
  t.ok(new Set(Object.values(FAULTS).map(({ fault }) => fault)).size >= 12)
  for (const [name, { fault, does, seen }] of Object.entries(FAULTS))
    t.ok(rows.includes(`| ${fault} | ${does} | ${told(seen)} |`), name)
})
