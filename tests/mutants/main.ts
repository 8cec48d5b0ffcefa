/**
 * `npm run mutants`: breaks the house in known ways, one at a time, and looks whether a test notices.
 *
 *   npm run mutants                                  a sample of every room
 *   npm run mutants -- --sample 40 --seed 7          so many of each room, the same ones again
 *   npm run mutants -- --files core/redact.ts --all  every mutant of these files or folders
 *   npm run mutants -- --tests 8                     each tried by so many tests: sooner, and finds more survivors
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Random } from '../fuzz/random.ts'
import { EQUIVALENT } from './equivalent.ts'
import { apply, type Mutant, mutantsOf } from './mutate.ts'
import { type Reach, ROOT, reaches, reachOfAll, runTest } from './runs.ts'

/** Rooms in which at least this share has to be noticed. */
const ROOMS = ['core', 'broker', 'proxy/wire', 'store']
const WANTED = 0.9
/** Tests that are tried on one mutant: those of its own room first, then the quickest. */
const MOST_TESTS = 60

const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '100' },
    seed: { type: 'string' },
    files: { type: 'string' },
    all: { type: 'boolean', default: false },
    tests: { type: 'string', default: String(MOST_TESTS) },
    workers: { type: 'string', default: String(Math.max(1, availableParallelism())) },
  },
})

interface Candidate extends Mutant {
  readonly file: string
  readonly room: string
}

function sourcesOf(room: string): string[] {
  return readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('migrations/'))
    .map((name) => `${room}/${name}`)
    .sort()
}

function readSource(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}

/** The line on which a mutant stands, before and after. */
function linesOf({ file, ...mutant }: Candidate): { number: number; line: string; becomes: string } {
  const source = readSource(file)
  const number = source.slice(0, mutant.from).split('\n').length
  const line = source.split('\n')[number - 1] ?? ''
  const becomes = apply(source, mutant).split('\n')[number - 1] ?? ''
  return { number, line: line.trim(), becomes: becomes.trim() }
}

/** A survivor, as soon as it is known to be one. */
function tell(candidate: Candidate): void {
  const { number, line, becomes } = linesOf(candidate)
  process.stdout.write(`${candidate.file}:${number} ${candidate.kind}\n  - ${line}\n  + ${becomes}\n`)
}

function isEquivalent(candidate: Candidate): boolean {
  const { line, becomes } = linesOf(candidate)
  const { file } = candidate
  return EQUIVALENT.some(
    (one) => one.file === file && line.includes(one.line) && becomes.includes(one.becomes),
  )
}

/** The test that notices it; undefined where none does. */
async function noticedBy(
  candidate: Candidate,
  reach: ReadonlyMap<string, Reach>,
): Promise<string | undefined> {
  const { file, from, to, text, kind, room } = candidate
  const own = `tests/${room.split('/').at(-1)}/`
  const tests = [...reach]
    .filter(([, one]) => reaches(one, file, from))
    .sort(([a, x], [b, y]) => Number(b.startsWith(own)) - Number(a.startsWith(own)) || x.ms - y.ms)
    .slice(0, Number(values.tests))
  const env = {
    MUTANT: JSON.stringify({ file: join(ROOT, file), from, to, text, kind }),
    NODE_COMPILE_CACHE: join(ROOT, 'node_modules/.cache/locum-compiled'),
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'serve.ts')}`,
  }
  for (const [test, { ms }] of tests) {
    const limit = 5000 + 4 * ms
    const tried = await runTest(test, { env, ms: limit })
    if (tried.passed) continue
    // On a busy machine a test may be late, or fail, by itself: one that took long has to pass without the mutant.
    if (tried.ms < 2 * ms || (await runTest(test, { ms: limit })).passed) return test
  }
  return undefined
}

const rooms = ROOMS.map((room) => ({ room, sources: sourcesOf(room) }))
const wanted = values.files?.split(',')
const isWanted = (file: string): boolean =>
  wanted?.some((one) => file === one || file.startsWith(`${one}/`)) ?? true
const all = rooms.flatMap(({ sources }) => sources)
const reach = await reachOfAll({
  sources: all,
  asked: all.filter(isWanted),
  workers: Number(values.workers),
  told: (line) => process.stderr.write(`${line}\n`),
})
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
process.stdout.write(`seed ${seed}\n`)
const results: { candidate: Candidate; by: string | undefined }[] = []
for (const [i, { room, sources }] of rooms.entries()) {
  const random = new Random(seed, i)
  let candidates = sources
    .filter(isWanted)
    .flatMap((file) => mutantsOf(readSource(file)).map((mutant) => ({ ...mutant, file, room })))
    .filter((candidate) => !isEquivalent(candidate))
  if (!values.all) {
    const drawn: Candidate[] = []
    while (drawn.length < Number(values.sample) && candidates.length > 0)
      drawn.push(...candidates.splice(random.below(candidates.length), 1))
    candidates = drawn
  }
  const queue = [...candidates]
  const work = async () => {
    for (let candidate = queue.shift(); candidate; candidate = queue.shift()) {
      const by = await noticedBy(candidate, reach)
      results.push({ candidate, by })
      if (by === undefined) tell(candidate)
      process.stderr.write('.')
    }
  }
  await Promise.all(Array.from({ length: Number(values.workers) }, work))
}
process.stderr.write('\n')

process.stdout.write('\n| room | mutants | noticed | survived | |\n|---|---|---|---|---|\n')
for (const room of ROOMS) {
  const own = results.filter(({ candidate }) => candidate.room === room)
  if (own.length === 0) continue
  const noticed = own.filter(({ by }) => by !== undefined).length
  process.stdout.write(
    `| ${room} | ${own.length} | ${noticed} | ${own.length - noticed} | ${((100 * noticed) / own.length).toFixed(1)} % |\n`,
  )
  if (noticed / own.length < WANTED) process.exitCode = 1
}
