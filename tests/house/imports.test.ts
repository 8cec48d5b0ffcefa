import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { breaches, deadExports, strayImports } from './rules.ts'
import { ROOT, readSource, readSources } from './sources.ts'

const sources = readSources()

t.test('every room sees only the rooms it may see, in short files and without cycles', async (t) => {
  t.ok(sources.length > 50, 'the project was read')
  t.same(breaches(sources), [])
})

t.test('nothing is exported that only tests import', async (t) => {
  t.same(deadExports(sources), [])
})

t.test('what a user runs loads no package that is there for development alone', async (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.same(strayImports(sources, Object.keys(dependencies)), [])
  const found = strayImports(
    [
      readSource('operations/a.ts', "import { b } from 'b/c'\nimport type { D } from 'd'\nawait import('e')"),
      readSource('operations/f.ts', "import 'node:fs'\nimport { g } from '@g/g'\nimport { bb } from 'bb'"),
      readSource('tests/a.ts', "import { e } from 'e'"),
    ],
    ['b', '@g/g'],
  )
  t.same(found, ['operations/a.ts imports e', 'operations/f.ts imports bb'])
})

t.test('each breach is seen', async (t) => {
  const cases: readonly (readonly [string, string, RegExp?])[] = [
    ['core/a.ts', "import { readFile } from 'node:fs/promises'", /core is pure/],
    ['core/a.ts', "import { z } from 'zod'", /core is pure/],
    ['core/a.ts', "import { connect, isIP } from 'node:net'", /isIP alone/],
    ['core/a.ts', "import * as net from 'node:net'", /isIP alone/],
    ['core/a.ts', "import { isIP } from 'node:net'"],
    ['core/a.ts', "import type { Row } from '../store/tables.ts'", /core does not see store/],
    ['core/a.ts', "export { Row } from '../store/tables.ts'", /core does not see store/],
    ['store/a.ts', "const { x } = await import('../broker/broker.ts')", /store does not see broker/],
    ['store/a.ts', "import {\n  type A,\n  b,\n} from '../core/b.ts'"],
    ['store/a.ts', "import { a } from '../tests/kit/a.ts'", /store does not see tests/],
    ['main.ts', "import { a } from './tests/kit/a.ts'", /main.ts does not see tests/],
    ['main.ts', "import { a } from './store/a.ts'"],
    ['proxy/wire/a.ts', "import { LocumError } from '../../core/errors.ts'", /proxy\/wire does not see core/],
    ['proxy/wire/h1/a.ts', "import type { Fields } from '../message.ts'"],
    ['proxy/exchange.ts', "import { Server } from './wire/h1/server.ts'", /never bytes/],
    ['proxy/exchange.ts', "import { Fields } from './wire/message.ts'"],
    ['proxy/listener.ts', "import { Server } from './wire/h1/server.ts'"],
    ['proxy/listener.ts', "import { open } from '../store/open.ts'", /proxy does not see store/],
    ['cli/a.ts', "import { open } from '../store/open.ts'", /cli does not see store/],
    ['cli/a.ts', "import { start } from '../main.ts'"],
    ['shed/a.ts', "import 'node:fs'", /no rule yet/],
    ['core/utils/a.ts', '', /named after nothing/],
    ['core/a.ts', 'x\n'.repeat(401), /401 lines/],
    ['tests/a.ts', 'x\n'.repeat(401)],
  ]
  for (const [path, text, breach] of cases) {
    const found = breaches([readSource(path, text)])
    if (breach) t.match(found, [breach], text.slice(0, 80))
    else t.same(found, [], text.slice(0, 80))
  }
  const round = [
    readSource('core/a.ts', "import { b } from './b.ts'"),
    readSource('core/b.ts', "import { type C } from './c.ts'"),
    readSource('core/c.ts', "import { a } from './a.ts'"),
  ]
  t.match(breaches(round), [/a cycle: core\/a.ts → core\/b.ts → core\/c.ts → core\/a.ts/])
  const types = [
    readSource('core/a.ts', "import { b } from './b.ts'"),
    readSource('core/b.ts', "import type { A } from './a.ts'"),
  ]
  t.same(breaches(types), [], 'a type may point back')
})

t.test('each dead export is seen', async (t) => {
  const text = [
    'export const used = 1',
    'export async function unused() {}',
    'export interface Shape {}',
    'export const reused = () => reused()',
    'export const tested = 2',
  ].join('\n')
  const found = deadExports([
    readSource('core/a.ts', text),
    readSource('store/b.ts', "import { used, type Shape as S } from '../core/a.ts'"),
    readSource('tests/c.ts', "import { tested } from '../core/a.ts'"),
  ])
  t.same(found, ['core/a.ts: unused', 'core/a.ts: tested'])
})
