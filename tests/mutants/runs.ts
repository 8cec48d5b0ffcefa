import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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

/** What is kept of one test file. */
interface Known {
  /** What the test file was. */
  readonly stamp: string
  /** Source it reaches → what that was. */
  readonly sources: Readonly<Record<string, string>>
  /** None where it does not pass by itself. */
  readonly reach?: Reach | undefined
}

function stampOf(file: string): string {
  return createHash('sha256')
    .update(readFileSync(join(ROOT, file)))
    .digest('hex')
}

function keep(tests: Readonly<Record<string, Known>>): void {
  mkdirSync(join(KEPT, '..'), { recursive: true })
  writeFileSync(`${KEPT}.new`, JSON.stringify(tests))
  renameSync(`${KEPT}.new`, KEPT)
}

/**
 * What every test reaches; measured where the test has changed since, or one of the `asked` sources that it
 * reaches. A source that is new is reached by no test that has not changed.
 */
export async function reachOfAll(x: {
  sources: readonly string[]
  asked: readonly string[]
  workers: number
  told: (line: string) => void
}): Promise<Map<string, Reach>> {
  const files = readdirSync(join(ROOT, 'tests'), { recursive: true, encoding: 'utf8' })
    .map((name) => `tests/${name}`)
    .filter((name) => name.endsWith('.test.ts') && !LEFT_OUT.test(name))
    .sort()
  const stamps = Object.fromEntries(x.sources.map((source) => [source, stampOf(source)]))
  const before = existsSync(KEPT) ? (JSON.parse(readFileSync(KEPT, 'utf8')) as Record<string, Known>) : {}
  const tests: Record<string, Known> = {}
  const queue: string[] = []
  for (const file of files) {
    const known = before[file]
    if (
      known?.stamp === stampOf(file) &&
      x.asked.every((source) => (known.sources[source] ?? stamps[source]) === stamps[source])
    )
      tests[file] = known
    else queue.push(file)
  }
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      x.told(`${queue.length} more, now what ${file} reaches`)
      const stamp = stampOf(file)
      const reach = await measure(file, x.sources)
      const sources = Object.fromEntries(
        Object.keys(reach?.ran ?? stamps).map((one) => [one, stamps[one] ?? '']),
      )
      tests[file] = { stamp, sources, reach }
      keep(tests)
    }
  }
  await Promise.all(Array.from({ length: x.workers }, work))
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
