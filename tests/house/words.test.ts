import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { projectFiles, ROOT } from './sources.ts'

interface Rule {
  readonly word: RegExp
  readonly why: string
  /** Whether the rule holds for a file. */
  readonly where?: (path: string) => boolean
}

const isModule = (path: string) => path.endsWith('.ts')
const isText = (path: string) => !/\.(?:png|ico|gz|bin|p12|der)$/.test(path)
const isOwn = (path: string) => path !== 'package-lock.json' && path !== 'LICENSE'

/** Letters in classes, so that this file does not hold what it looks for. */
const RULES: readonly Rule[] = [
  {
    word: /\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/,
    why: 'work is finished or is an issue, not a note in a file',
  },
  { word: /(?<![\w.}/-])\/w[o]rk\//, why: 'a path of the machine on which it was written' },
  { word: /registry\.(?!example)[a-z]+\.(?:org|com|dev)/, why: 'the name of a package registry' },
  {
    word: /(?:^|[^.\w])\.\.\/sh[a]red(?![-\w.])/,
    why: 'a folder beside the project',
    where: (path) => !path.startsWith('tests/'),
  },
  {
    word: /\b(?:class|interface|type|function)\s+\w*(?:Manager|Helper|Util|Utils|Impl|Service)\b/,
    why: 'a name that says nothing',
    where: isModule,
  },
  {
    word: /\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}/,
    why: 'an error that is swallowed without a word',
    where: isModule,
  },
  {
    word: /\bt(?:est)?\.only\(|\bonly: true/,
    why: 'a test that keeps the others from running',
    where: isModule,
  },
  { word: /@ts-(?:ignore|nocheck)\b/, why: 'a fault hidden from the compiler', where: isModule },
]

function findings(path: string, text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, i) =>
      RULES.filter(({ word, where }) => (where?.(path) ?? true) && word.test(line)).map(
        ({ why }) => `${path}:${i + 1}: ${why}`,
      ),
    )
}

t.test('no file holds a word that does not belong in it', async (t) => {
  const files = projectFiles().filter((path) => isText(path) && isOwn(path))
  t.ok(files.length > 50, 'the project was read')
  t.same(
    files.flatMap((path) => findings(path, readFileSync(join(ROOT, path), 'utf8'))),
    [],
  )
})

t.test('each such word is seen', async (t) => {
  for (const line of [
    `// ${'TO'}${'DO'}: later`,
    `see ${'/wo'}rk/main/core`,
    `at https://${'registry.'}npmjs.org/locum`,
    `read ../${'sha'}red/design`,
    `class Connection${'Manager'} {`,
    `try { a() } ${'catch'} {}`,
    `t.${'only'}('a', async () => {})`,
    `// @ts-${'ignore'}`,
  ]) {
    t.equal(findings('core/a.ts', line).length, 1, line)
  }
  for (const line of [
    'network/work',
    'the framework/ folder',
    "import '../shared-key.ts'",
    "kind: 'service'",
  ]) {
    t.same(findings('core/a.ts', line), [], line)
  }
})
