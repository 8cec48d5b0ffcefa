import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { mitmproxy, squid } from './intercepting.ts'
import type { Job, Result } from './load.ts'
import { LARGE, type Origin, SMALL, startOrigin } from './origin.ts'
import { haproxy, locum, nginx, type Place, type Running } from './peers.ts'
import { findProgram, nextMessage, type Program, startOnCore } from './processes.ts'
import { directRoute, type Route } from './routes.ts'
import { printTable, type Sample } from './table.ts'
import { WORKLOADS, type Workload } from './workloads.ts'

/** Proxies have this core for themselves; the origin and the load share the other. */
const PROXY_CORE = 0
const LOAD_CORE = 1
/** ms of load before the measurement: at first for compilers, later for caches. */
const FIRST_WARM_UP = 2500
const WARM_UP = 500

const HELP = `Measures Locum beside the proxies that are installed: haproxy, nginx, squid-openssl, mitmproxy.
  npm run bench -- [--only W1,W2,W3] [--rounds 5] [--seconds 2] [--peers haproxy,locum] [--beside CHECKOUT]
--beside measures the Locum of another checkout as well. Workloads:
${WORKLOADS.map(({ id, title }) => `  ${id.padEnd(5)}${title}`).join('\n')}`

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'W1,W2,W3' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    peers: { type: 'string' },
    beside: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})

/** Starts everything, measures in turns so that what disturbs one disturbs all, and stops everything. */
async function main(): Promise<void> {
  if (options.help) {
    console.log(HELP)
    return
  }
  if (process.platform !== 'linux' || !findProgram('taskset') || availableParallelism() < 2)
    throw new Error('The bench needs Linux, taskset and two cores.')
  const workloads = WORKLOADS.filter(({ id }) => options.only.split(',').includes(id))
  const folder = mkdtempSync(join(tmpdir(), 'locum-bench-'))
  const stops: (() => Promise<void>)[] = []
  try {
    const origin = await startOrigin(folder, LOAD_CORE)
    stops.push(() => origin.stop())
    const script = join(import.meta.dirname, 'load.ts')
    const load = startOnCore(LOAD_CORE, 'load', [process.execPath, script], { ipc: true })
    stops.push(() => load.stop())
    await nextMessage(load)
    const running = await startPeers({ folder, core: PROXY_CORE, origin }, stops)
    const samples = await Promise.race([measureAll(load, origin, running, workloads), interruption()])
    console.log(
      `\nMedians of ${options.rounds} rounds of ${options.seconds} s; the origin is ${origin.name}.`,
    )
    for (const workload of workloads)
      printTable(
        workload,
        samples.filter((sample) => sample.workload === workload),
      )
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

async function startPeers(place: Place, stops: (() => Promise<void>)[]): Promise<Running[]> {
  const peers = [
    haproxy,
    nginx,
    squid,
    mitmproxy,
    locum('Locum', join(import.meta.dirname, '..')),
    ...options.beside.map((checkout) => locum(`Locum of ${checkout}`, resolve(checkout))),
  ]
  const asked = options.peers?.toLowerCase().split(',')
  const running: Running[] = []
  for (const peer of peers) {
    if (asked && !asked.some((name) => peer.name.toLowerCase().startsWith(name))) continue
    const started = await peer.start(place)
    if (started) {
      running.push(started)
      stops.push(async () => {
        for (const program of started.programs) await program.stop()
      })
    } else console.log(`${peer.name} is not installed, so it is left out.`)
  }
  return running
}

async function measureAll(
  load: Program,
  origin: Origin,
  running: readonly Running[],
  workloads: readonly Workload[],
): Promise<Sample[]> {
  const samples: Sample[] = []
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const workload of workloads) {
      const routes: [string, Route][] = running.map(({ name, routes }) => [name, routes[workload.entrance]])
      if (workload.load.rate !== undefined) routes.unshift(['nothing between', directRoute(origin)])
      for (const [name, route] of routes) {
        const result = await measure(load, name, workload, route, round === 1 ? FIRST_WARM_UP : WARM_UP)
        samples.push({ name, workload, round, ...result })
        const [figure] = workload.figures
        const told = `${figure.of(result).toFixed(figure.digits)} ${figure.title}`
        process.stderr.write(`round ${round}  ${workload.id.padEnd(4)} ${name.padEnd(16)} ${told}\n`)
      }
    }
  }
  return samples
}

async function measure(
  load: Program,
  name: string,
  workload: Workload,
  route: Route,
  warmMs: number,
): Promise<Result> {
  const request = workload.large ? route.request.replace(SMALL, LARGE) : route.request
  const job: Job = { ...route, ...workload.load, request, warmMs, ms: 1000 * Number(options.seconds) }
  const answer = nextMessage<{ result: Result } | { error: string }>(load)
  load.process.send(job)
  const told = await answer
  if ('error' in told) throw new Error(`${name}, ${workload.id}: ${told.error}`)
  return told.result
}

await main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
