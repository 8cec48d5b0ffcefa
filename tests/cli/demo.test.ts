import { readdirSync } from 'node:fs'
import t from 'tap'
import { startProgram } from './kit.ts'

t.setTimeout(120_000)

t.test('the demo holds all that it claims, and leaves nothing behind', async (t) => {
  const folder = t.testdir()
  const demo = startProgram(t, ['demo', '--once'], { TMPDIR: folder })
  t.same(await demo.ended(), { code: 0, signal: null })
  t.match(demo.said.out, /All of it held\.\n$/)
  t.equal(demo.said.out.split('✓').length - 1, 15)
  t.notMatch(demo.said.out, /✗|demo_|lcm_/)
  t.equal(demo.said.err, '')
  t.same(readdirSync(folder), [])
})
