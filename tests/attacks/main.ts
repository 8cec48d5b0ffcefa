/**
 * `npm run attacks`: what the published faults of this kind of software, and the rules of docs/ATTACKS.md, do
 * to a proxy that injects secrets.
 *
 *   npm run attacks                                        Locum, started here
 *   npm run attacks -- --peers mitmproxy,mockttp,squid     and these beside it, where they are installed
 *   npm run attacks -- --plot DIR                          lays out what a proxy has to be set up for
 *   npm run attacks -- --plot DIR --proxy URL [--key KEY] [--ca FILE] [--offers forward,connect,…]
 *                                                          … and attacks the proxy that was
 *   --only NAME,…   these attacks alone      --markdown   the table for docs/ATTACKS.md
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Need } from './attack.ts'
import { layPlot, type Plot, readPlot } from './ground.ts'
import { startLocum } from './subjects/locum.ts'
import { startMitmproxy } from './subjects/mitmproxy.ts'
import { startMockttp } from './subjects/mockttp.ts'
import { startSquid } from './subjects/squid.ts'
import type { Started } from './subjects/started.ts'
import { attackAll, type Named, readAttacks, type Target, type Verdict } from './table.ts'

/** Who can be started here, and what brings them. A start gives undefined where its program is not there. */
const SUBJECTS: Readonly<
  Record<string, { install: string; start(plot: Plot): Promise<Started | undefined> }>
> = {
  locum: { install: 'npm ci', start: startLocum },
  mitmproxy: { install: 'apt install mitmproxy', start: startMitmproxy },
  mockttp: { install: 'npm ci --prefix bench/peers', start: startMockttp },
  squid: { install: 'apt install squid-openssl', start: startSquid },
}

const { values } = parseArgs({
  options: {
    peers: { type: 'string' },
    plot: { type: 'string' },
    proxy: { type: 'string' },
    key: { type: 'string' },
    ca: { type: 'string' },
    offers: { type: 'string', default: 'forward,connect,placeholders' },
    only: { type: 'string' },
    markdown: { type: 'boolean', default: false },
  },
})

const only = values.only?.split(',')
const attacks = (await readAttacks()).filter(({ name }) => only?.includes(name) ?? true)
if (only && attacks.length < only.length) fail(`No attack of that name: there are ${await names()}.`)

if (values.proxy !== undefined) await attackAddress(values.proxy)
else if (values.plot !== undefined) await explainPlot(values.plot)
else await attackStarted(['locum', ...(values.peers?.split(',') ?? [])])

async function names(): Promise<string> {
  return (await readAttacks()).map(({ name }) => name).join(', ')
}

function fail(why: string): never {
  process.stderr.write(`${why}\n`)
  process.exit(2)
}

async function explainPlot(folder: string): Promise<void> {
  const { sinks, placeholder, caFile } = existsSync(join(folder, 'plot.json'))
    ? readPlot(folder)
    : await layPlot(folder)
  process.stdout.write(
    `Set the proxy up so that it puts a secret in place of ${placeholder} in Authorization:\n\n`,
  )
  for (const { scheme, host, port, secret } of Object.values(sinks))
    process.stdout.write(
      `  ${scheme}://${host}:${port}  ${secret ?? '(nothing: it is not to know this one)'}\n`,
    )
  process.stdout.write(`\nEvery name is 127.0.0.1. The certificates are of ${caFile}; Locum's own file is`)
  process.stdout.write(
    ` ${join(folder, 'locum.json')}. Then: npm run attacks -- --plot ${folder} --proxy URL\n`,
  )
}

async function attackAddress(proxy: string): Promise<void> {
  if (values.plot === undefined)
    fail('Which plot is it set up for? npm run attacks -- --plot DIR lays one out.')
  const url = URL.canParse(proxy) ? new URL(proxy) : fail(`${proxy} is no URL: http://127.0.0.1:8080`)
  if (url.hostname !== '127.0.0.1' && url.hostname !== 'localhost')
    fail('The proxy has to be on this machine, as its upstreams are.')
  const keys: Record<string, string> = values.key === undefined ? {} : { caller: values.key }
  const subject = {
    name: url.host,
    version: '',
    port: Number(url.port),
    ca: values.ca === undefined ? '' : readFileSync(values.ca, 'utf8'),
    keys,
    offers: new Set(values.offers.split(',') as Need[]),
  }
  report([{ subject, verdicts: await carryOut({ subject }, readPlot(values.plot)) }])
}

async function attackStarted(wanted: readonly string[]): Promise<void> {
  const results: Result[] = []
  for (const name of wanted) {
    const known = SUBJECTS[name]
    if (!known) fail(`${name} cannot be started here: ${Object.keys(SUBJECTS).join(', ')} can.`)
    const folder = mkdtempSync(join(tmpdir(), 'locum-attacks-'))
    let running: Started | undefined
    try {
      const plot = await layPlot(folder)
      const begin = async (): Promise<Target | undefined> => {
        await running?.stop()
        running = await known.start(plot)
        const again = async () => (await begin()) as Target
        return running && { subject: running, again }
      }
      const target = await begin()
      if (target) results.push({ subject: target.subject, verdicts: await carryOut(target, plot) })
      else process.stdout.write(`${name} is not installed: ${known.install}\n`)
    } finally {
      await running?.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
  report(results)
}

function carryOut(target: Target, plot: Plot): Promise<Verdict[]> {
  return attackAll(target, plot, attacks, ({ attack, state, why }) => {
    if (values.markdown) return
    process.stdout.write(`${target.subject.name}: ${attack}: ${state}\n`)
    if (state === 'broken') for (const one of why) process.stdout.write(`    ${one}\n`)
  })
}

interface Result {
  readonly subject: { readonly name: string; readonly version: string }
  readonly verdicts: readonly Verdict[]
}

/** The table; the exit code says whether Locum, or the proxy at the address, withstood every attack. */
function report(results: readonly Result[]): void {
  const title = ({ subject }: Result) => `${subject.name} ${subject.version}`.trim()
  const cell = (result: Result, { name }: Named) => {
    const verdict = result.verdicts.find(({ attack }) => attack === name)
    if (verdict?.lost) return '**secret lost**'
    return verdict?.state === 'held' ? 'held' : verdict?.state === 'broken' ? '**broken**' : '–'
  }
  const count = (result: Result) => {
    const broken = result.verdicts.filter(({ state }) => state === 'broken').length
    const tried = result.verdicts.filter(({ state }) => state !== 'not tried').length
    return `${broken} of ${tried} broken`
  }
  const rows = [
    ['attack', 'rule', 'what must hold', ...results.map(title)],
    ['---', '---', '---', ...results.map(() => '---')],
    ...attacks.map((attack) => [
      attack.published ?? attack.name,
      attack.rule,
      attack.title,
      ...results.map((result) => cell(result, attack)),
    ]),
    ['', '', '', ...results.map(count)],
  ]
  process.stdout.write(`\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`)
  const [first] = results
  if (!first || first.verdicts.some(({ state }) => state === 'broken')) process.exitCode = 1
}
