import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = join(import.meta.dirname, '../..')
/** What each test reaches, kept from one run to the next. */
const KEPT = join(ROOT, 'node_modules/.cache/locum-mutants.json')

/** What a test file reaches of the house: pieces of sources that ran, and how long it took, ms. */
export interface Reach {
  readonly ms: number
  /** File → [from, to] of each piece that ran at least once. */
  readonly ran: Readonly<Record<string, readonly (readonly [number, number])[]>>
  readonly not: Readonly<Record<string, readonly (readonly [number, number])[]>>
}

interface V8Range {
  startOffset: number
  endOffset: number
  count: number
}

/** Runs one test file by itself. `passed`: it ended with 0 in time. */
export function runTest(
  file: string,
  x: { env?: Readonly<Record<string, string>>; ms: number; args?: readonly string[] },
): Promise<{ passed: boolean; ms: number }> {
  const begun = performance.now()
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...(x.args ?? []), join(ROOT, file)], {
      cwd: ROOT,
      env: { ...process.env, TAP_BAIL: '1', TAP_SNAPSHOT: '0', ...x.env },
      stdio: 'ignore',
      detached: true,
    })
    // What it started goes with it.
    const timer = setTimeout(() => kill(child.pid), x.ms)
    child.on('close', (code) => {
      clearTimeout(timer)
      kill(child.pid)
      resolve({ passed: code === 0, ms: performance.now() - begun })
    })
  })
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Tests of these drive other programs, for seconds each: what only they would notice counts as not noticed. */
const LEFT_OUT = /^tests\/(?:clients|docs|bench|mutants|fuzz|house)\/|table\.test|demo\.test|canary\.test/
/** ms: longer ones are left out as well. */
const LONGEST = 20_000

interface Kept {
  /** Of every source: where one changes, all is measured again. */
  readonly sources: string
  /** Test file → what it was, and what it reaches; none where it does not pass by itself. */
  readonly tests: Readonly<Record<string, { readonly stamp: string; readonly reach?: Reach | undefined }>>
}

function stampOf(files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(file).update(readFileSync(join(ROOT, file)))
  return hash.digest('hex')
}

/** What every test reaches; measured where the test or a source has changed since. */
export async function reachOfAll(
  sources: readonly string[],
  told: (line: string) => void,
): Promise<Map<string, Reach>> {
  const files = readdirSync(join(ROOT, 'tests'), { recursive: true, encoding: 'utf8' })
    .map((name) => `tests/${name}`)
    .filter((name) => name.endsWith('.test.ts') && !LEFT_OUT.test(name))
    .sort()
  const stamp = stampOf(sources)
  const before = existsSync(KEPT) ? (JSON.parse(readFileSync(KEPT, 'utf8')) as Kept) : undefined
  const known = before?.sources === stamp ? before.tests : {}
  const tests: Record<string, { stamp: string; reach?: Reach | undefined }> = {}
  mkdirSync(join(KEPT, '..'), { recursive: true })
  for (const [i, file] of files.entries()) {
    const own = stampOf([file])
    const kept = known[file]
    if (kept?.stamp === own) tests[file] = kept
    else {
      told(`${i + 1} of ${files.length}: what ${file} reaches`)
      tests[file] = { stamp: own, reach: await measure(file, sources) }
    }
  }
  writeFileSync(KEPT, JSON.stringify({ sources: stamp, tests } satisfies Kept))
  return new Map(Object.entries(tests).flatMap(([file, { reach }]) => (reach ? [[file, reach]] : [])))
}

async function measure(file: string, sources: readonly string[]): Promise<Reach | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'locum-reach-'))
  try {
    const { passed, ms } = await runTest(file, { env: { NODE_V8_COVERAGE: folder }, ms: LONGEST })
    if (!passed) return undefined
    const ran: Record<string, [number, number][]> = {}
    const not: Record<string, [number, number][]> = {}
    for (const name of readdirSync(folder)) {
      const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
        result: { url: string; functions: { ranges: V8Range[] }[] }[]
      }
      for (const { url, functions } of result) {
        if (!url.startsWith('file:')) continue
        const source = fileURLToPath(url).slice(ROOT.length + 1)
        if (!sources.includes(source)) continue
        ran[source] ??= []
        not[source] ??= []
        for (const { ranges } of functions)
          for (const { startOffset, endOffset, count } of ranges)
            (count > 0 ? ran : not)[source]?.push([startOffset, endOffset])
      }
    }
    return { ms, ran, not }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether a test runs what stands there: the smallest piece around it decides. */
export function reaches({ ran, not }: Reach, source: string, at: number): boolean {
  const size = (pieces: readonly (readonly [number, number])[] | undefined) =>
    Math.min(...(pieces ?? []).filter(([from, to]) => from <= at && at < to).map(([from, to]) => to - from))
  const [yes, no] = [size(ran[source]), size(not[source])]
  return Number.isFinite(yes) && yes <= no
}
