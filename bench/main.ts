import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Job, Result } from './load.ts'
import { startOrigin } from './origin.ts'
import { locum, PEERS, type Running } from './peers.ts'
import { findProgram, nextMessage, type Program, startOnCore } from './processes.ts'
import { printTable, type Sample } from './table.ts'
import { WORKLOADS, type Workload } from './workloads.ts'

/** Proxies have this core for themselves; the origin and the load share the other. */
const PROXY_CORE = 0
const LOAD_CORE = 1
const CONNECTIONS = 64

const HELP = `Measures Locum beside the proxies that are installed (haproxy, nginx, mitmproxy).
  npm run bench -- [--rounds 5] [--seconds 3] [--only W1,W3] [--peers locum,haproxy] [--beside CHECKOUT]
--beside measures the Locum of another checkout as well.`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: WORKLOADS.join() },
    peers: { type: 'string' },
    beside: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})

/** Starts everything, measures in turns so that what disturbs disturbs all, and stops everything. */
async function main(): Promise<void> {
  if (options.help) return console.log(HELP)
  if (process.platform !== 'linux' || !findProgram('taskset') || availableParallelism() < 2)
    throw new Error('The bench needs Linux, taskset and two cores.')
  const workloads = WORKLOADS.filter((workload) => options.only.split(',').includes(workload))
  const folder = mkdtempSync(join(tmpdir(), 'locum-bench-'))
  const stops: (() => Promise<void>)[] = []
  try {
    const origin = await startOrigin(folder, LOAD_CORE)
    stops.push(() => origin.stop())
    const load = startOnCore(LOAD_CORE, 'load', [process.execPath, join(import.meta.dirname, 'load.ts')], {
      ipc: true,
    })
    stops.push(() => load.stop())
    await nextMessage(load)
    const running = await startPeers({ folder, core: PROXY_CORE, origin }, stops)
    const samples = await measure(load, running, workloads)
    console.log(
      `\nOrigin: ${origin.name}. ${CONNECTIONS} connections, medians of ${options.rounds} rounds of ${options.seconds} s.`,
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

async function startPeers(
  place: Parameters<(typeof PEERS)[number]['start']>[0],
  stops: (() => Promise<void>)[],
): Promise<Running[]> {
  const all = [
    ...PEERS,
    locum('Locum', join(import.meta.dirname, '..')),
    ...options.beside.map((checkout) => locum(`Locum of ${checkout}`, resolve(checkout))),
  ]
  const asked = options.peers?.toLowerCase().split(',')
  const running: Running[] = []
  for (const peer of all) {
    if (asked && !asked.some((name) => peer.name.toLowerCase().startsWith(name))) continue
    const started = await peer.start(place)
    if (started) {
      stops.push(started.stop)
      running.push(started)
    } else console.log(`${peer.name} is not installed, so it is left out.`)
  }
  return running
}

async function measure(
  load: Program,
  running: readonly Running[],
  workloads: readonly Workload[],
): Promise<Sample[]> {
  const samples: Sample[] = []
  const ms = 1000 * Number(options.seconds)
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const workload of workloads) {
      for (const { name, routes } of running) {
        const route = routes[workload]
        if (!route) continue
        const job: Job = { ...route, connections: CONNECTIONS, warmMs: round === 1 ? 2500 : 700, ms }
        const answer = nextMessage<{ result: Result } | { error: string }>(load)
        load.process.send(job)
        const told = await answer
        if ('error' in told) throw new Error(`${name}, ${workload}: ${told.error}`)
        samples.push({ name, workload, ...told.result })
        const { requests, seconds, cpu } = told.result
        process.stderr.write(
          `round ${round}  ${workload}  ${name.padEnd(12)} ${((1e6 * cpu) / requests).toFixed(1)} µs/request  ${Math.round(requests / seconds)}/s\n`,
        )
      }
    }
  }
  return samples
}

await main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
