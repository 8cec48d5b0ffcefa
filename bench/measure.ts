import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import type { Job, Result } from './load.ts'
import { LARGE, type Origin, SMALL } from './origin.ts'
import type { Peer, Place, Running } from './peers.ts'
import { nextMessage, type Program, startOnCore } from './processes.ts'
import { profileWhile } from './profile.ts'
import { directRoute, type Route } from './routes.ts'
import type { Sample } from './table.ts'
import type { Workload } from './workloads.ts'

/** Proxies have the other for themselves; the origin, the load and slow clients share this one. */
export const LOAD_CORE = 1

/** ms of load before the measurement: at first for compilers, later for caches. */
const FIRST_WARM_UP = 2500
const WARM_UP = 500

export interface Bench {
  readonly load: Program
  readonly origin: Origin
  readonly place: Place
  readonly peers: readonly (readonly [Peer, Running])[]
  readonly rounds: number
  /** Of one measurement. */
  readonly ms: number
  /** Where the CPU profiles of the last round go. */
  readonly profiles?: string
}

/** Measures everything in turns, so that what disturbs one disturbs all. Rejects with the first failure. */
export async function measureAll(bench: Bench, workloads: readonly Workload[]): Promise<Sample[]> {
  const samples: Sample[] = []
  const failed = new Set<string>()
  for (let round = 1; round <= bench.rounds; round++) {
    for (const workload of workloads) {
      if (workload.anew && round > 1) continue
      for (const [name, measure] of turnsOf(bench, workload, round)) {
        if (failed.has(`${workload.id} ${name}`)) continue
        let result: Result
        try {
          result = await measure()
        } catch (error) {
          // A peer that cannot do it does not keep the others from being measured.
          if (name.startsWith('Locum')) throw error
          failed.add(`${workload.id} ${name}`)
          console.log(`${(error as Error).message}; it is left out.`)
          continue
        }
        samples.push({ name, workload, round, ...result })
        const [figure] = workload.figures
        const told = `${figure.of(result).toFixed(figure.digits)} ${figure.title}`
        process.stderr.write(`round ${round}  ${workload.id.padEnd(4)} ${name.padEnd(16)} ${told}\n`)
      }
    }
  }
  return samples
}

type Turn = readonly [name: string, measure: () => Promise<Result>]

/** Those that have the workload's entrance, each with what measures it. */
function turnsOf(bench: Bench, workload: Workload, round: number): Turn[] {
  const { entrance } = workload
  const turns: Turn[] = []
  if (workload.load.rate !== undefined)
    turns.push([
      'nothing between',
      () => measure(bench, 'nothing between', workload, directRoute(bench.origin), round),
    ])
  for (const [peer, running] of bench.peers) {
    const route = running.routes[entrance]
    if (!route) continue
    const { name, inspector } = running
    const start = () => measure(bench, name, workload, route, round, inspector)
    turns.push([name, workload.anew ? () => measureAnew(bench, peer, workload) : start])
  }
  return turns
}

/** While so many clients hold on to their connections, from a process beside the load's. */
async function besideSlow<T>(clients: number, { port }: Route, work: () => Promise<T>): Promise<T> {
  const script = join(import.meta.dirname, 'slow.ts')
  const slow = startOnCore(LOAD_CORE, 'slow clients', [process.execPath, script], { ipc: true })
  try {
    const ready = nextMessage(slow)
    slow.process.send({ port, clients })
    await ready
    return await work()
  } finally {
    await slow.stop()
  }
}

/** On a process of its own. */
async function measureAnew(bench: Bench, peer: Peer, workload: Workload): Promise<Result> {
  const folder = mkdtempSync(join(bench.place.folder, 'anew-'))
  const running = await peer.start({ ...bench.place, folder })
  const route = running?.routes[workload.entrance]
  if (!running || !route) throw new Error(`${peer.name} did not start again.`)
  try {
    return await measure(bench, peer.name, workload, route, 1)
  } finally {
    for (const program of running.programs) await program.stop()
  }
}

async function measure(
  bench: Bench,
  name: string,
  workload: Workload,
  route: Route,
  round: number,
  inspector?: number,
): Promise<Result> {
  const { load, ms, profiles } = bench
  const request = workload.large ? route.request.replace(SMALL, LARGE) : route.request
  const warmMs = Math.min(round === 1 ? FIRST_WARM_UP : WARM_UP, 2 * ms)
  const job: Job = { ...route, ...workload.load, request, warmMs, ms }
  const run = () => (workload.slow === undefined ? ask() : besideSlow(workload.slow, route, ask))
  const ask = async (): Promise<Result> => {
    const answer = nextMessage<{ result: Result } | { error: string }>(load)
    load.process.send(job)
    const told = await answer
    if ('error' in told) throw new Error(`${name}, ${workload.id}: ${told.error}`)
    return told.result
  }
  if (profiles === undefined || inspector === undefined || round < bench.rounds) return run()
  const file = join(profiles, `${workload.id}-${name.replace(/\W+/g, '-')}.cpuprofile`)
  return profileWhile(inspector, file, run)
}
