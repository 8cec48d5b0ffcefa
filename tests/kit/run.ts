/**
 * `node tests/kit/run.ts [FILE]…`: the tests, quietly. What failed is printed where it failed, what
 * was skipped with its reason, and at the end one line of figures. With LOCUM_STRICT_SKIPS set, a
 * skip that has no permitted reason fails the run.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Summary, tapReader } from './tap-reader.ts'

const ROOT = join(import.meta.dirname, '../..')
const TAP = realpathSync(join(ROOT, 'node_modules/.bin/tap'))
const PLUGINS = join(ROOT, 'node_modules/@tapjs/test/test-built/dist/esm/index.js')

/**
 * Vectors that were borrowed are not part of the project; they are tried where they lie at hand. What
 * is forbidden to everybody else is not forbidden to root, who runs CI.
 */
const PERMITTED_SKIP = /\bvectors\b|^root /

/** tap comes with a TypeScript plugin that needs a compiler API; .taprc leaves it out, which takes a build once. */
function buildPlugins(): void {
  if (!readFileSync(PLUGINS, 'utf8').includes('@tapjs/typescript')) return
  const built = spawnSync(process.execPath, [TAP, 'build'], { cwd: ROOT, encoding: 'utf8' })
  if (built.status === 0) return
  process.stderr.write(`${built.stdout}${built.stderr}tap could not build its plugin set.\n`)
  process.exit(1)
}

async function runTap(files: readonly string[]): Promise<{ summary: Summary; exit: number }> {
  const tap = spawn(process.execPath, [TAP, '--reporter=tap', ...files], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = new Promise<number>((resolve) => tap.on('close', (code) => resolve(code ?? 1)))
  const reader = tapReader((failure) => process.stdout.write(`${failure}\n\n`))
  for await (const line of createInterface({ input: tap.stdout })) reader.line(line)
  return { summary: reader.end(), exit: await exit }
}

buildPlugins()
const { summary, exit } = await runTap(process.argv.slice(2))
const { passed, failed, skipped, skips } = summary
const unfit = [...skips].filter(([reason]) => !PERMITTED_SKIP.test(reason))
for (const [reason, names] of skips) {
  process.stdout.write(`skipped, ${reason}: ${names.length === 1 ? names[0] : `${names.length} tests`}\n`)
}
const strict = process.env.LOCUM_STRICT_SKIPS !== undefined && unfit.length > 0
if (strict) process.stdout.write('Some tests were skipped that have to run here.\n')
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exitCode = exit !== 0 || failed > 0 || passed === 0 || strict ? 1 : 0
