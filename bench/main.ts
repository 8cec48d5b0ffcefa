import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { chartOf } from './chart.ts'
import { mitmproxy, squid } from './intercepting.ts'
import { LOAD_CORE, measureAll } from './measure.ts'
import { httpMitmProxy, httpProxy, mockttp } from './node-peers.ts'
import { startOrigin } from './origin.ts'
import { haproxy, locum, nginx, type Peer, type Place, type Running } from './peers.ts'
import { findProgram, nextMessage, startOnCore } from './processes.ts'
import { markdownOf } from './report.ts'
import { LOCUM, printTable, rowsOf, searchOf, slowedBy, UNSEARCHED } from './table.ts'
import { WORKLOADS } from './workloads.ts'

const PROXY_CORE = 0
/** What the picture shows. */
const SHOWN = ['W1', 'W2', 'W3', 'W5']

const HELP = `Measures Locum beside the proxies that are installed: haproxy, nginx, squid-openssl, mitmproxy;
and mockttp, http-proxy, http-mitm-proxy behind npm ci --prefix bench/peers.
  npm run bench -- [--only W1,W2,W3] [--rounds 5] [--seconds 2] [--peers haproxy,locum] [--beside CHECKOUT]
                   [--off] [--markdown FILE] [--svg FILE] [--profile FOLDER]
--beside measures the Locum of another checkout as well, --off one that searches no answers. --markdown writes
all tables, --svg a picture of
${SHOWN.join(', ')}. --profile writes a V8 CPU profile of each Locum and workload; its figures are then not to be
compared. Workloads, all of them where --only is left out:
${WORKLOADS.map(({ id, title }) => `  ${id.padEnd(5)}${title}`).join('\n')}`

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    peers: { type: 'string' },
    off: { type: 'boolean', default: false },
    beside: { type: 'string', multiple: true, default: [] },
    markdown: { type: 'string' },
    svg: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

type Stops = (() => Promise<void>)[]

/** Starts everything, has it measured, stops everything, and tells. */
async function main(): Promise<void> {
  if (options.help) {
    console.log(HELP)
    return
  }
  if (process.platform !== 'linux' || !findProgram('taskset') || availableParallelism() < 2)
    throw new Error('The bench needs Linux, taskset and two cores.')
  const [rounds, seconds] = [Number(options.rounds), Number(options.seconds)]
  const asked = options.only?.split(',')
  const workloads = WORKLOADS.filter(({ id }) => !asked || asked.includes(id))
  const folder = mkdtempSync(join(tmpdir(), 'locum-bench-'))
  const stops: Stops = []
  try {
    const origin = await startOrigin(folder, LOAD_CORE)
    stops.push(() => origin.stop())
    const script = join(import.meta.dirname, 'load.ts')
    const load = startOnCore(LOAD_CORE, 'load', [process.execPath, script], { ipc: true })
    stops.push(() => load.stop())
    await nextMessage(load)
    const place = { folder, core: PROXY_CORE, origin }
    const peers = await startPeers(place, stops)
    const profiles = options.profile
    if (profiles !== undefined) mkdirSync(profiles, { recursive: true })
    const bench = { load, origin, place, peers, rounds, ms: 1000 * seconds, profiles }
    const samples = await Promise.race([measureAll(bench, workloads), interruption()])
    const tables = workloads
      .map((workload) => ({ workload, rows: rowsOf(workload, samples) }))
      .filter(({ rows }) => rows.length > 0)
    console.log(`\nMedians of ${rounds} rounds of ${seconds} s; the origin is ${origin.name}.`)
    for (const { workload, rows } of tables) {
      printTable(workload, rows)
      const search = searchOf(workload, samples)
      if (search !== undefined) console.log(search)
    }
    for (const told of slowedBy('W8', 'W6', samples)) console.log(told)
    const measured = peers.map(([, running]) => running)
    if (options.markdown !== undefined)
      writeFileSync(options.markdown, markdownOf({ rounds, seconds, origin: origin.name, measured, tables }))
    if (options.svg !== undefined)
      writeFileSync(options.svg, chartOf(tables.filter(({ workload }) => SHOWN.includes(workload.id))))
  } finally {
    for (const stop of stops.reverse()) await stop()
    rmSync(folder, { recursive: true })
  }
}

/** Rejects when somebody wants the bench to end, so that what it started ends too. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'])
      process.once(signal, () => reject(new Error(`Ended by ${signal}.`)))
  })
}

async function startPeers(place: Place, stops: Stops): Promise<(readonly [Peer, Running])[]> {
  const inspected = options.profile !== undefined
  // Next to what it is compared with, in time too.
  const peers = [
    haproxy,
    locum(LOCUM, join(import.meta.dirname, '..'), inspected),
    ...(options.off ? [locum(UNSEARCHED, join(import.meta.dirname, '..'), inspected, 'off')] : []),
    ...options.beside.map((checkout) => locum(`Locum of ${checkout}`, resolve(checkout), inspected)),
    nginx,
    squid,
    mitmproxy,
    mockttp,
    httpProxy,
    httpMitmProxy,
  ]
  const asked = options.peers?.toLowerCase().split(',')
  const started: (readonly [Peer, Running])[] = []
  for (const peer of peers) {
    if (asked && !asked.some((name) => peer.name.toLowerCase().startsWith(name))) continue
    const running = await peer.start(place)
    if (running) {
      started.push([peer, running])
      stops.push(async () => {
        for (const program of running.programs) await program.stop()
      })
    } else console.log(`${peer.name} is not installed (${peer.install}), so it is left out.`)
  }
  return started
}

await main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
