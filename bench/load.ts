import { Client, type Counts, open } from './client.ts'
import { cpuSeconds, residentMiB, treeOf } from './processes.ts'

/** What is asked of the load: sent to this script as a message. */
export interface Job {
  readonly port: number
  /** A whole CONNECT request that is sent first, and must be answered with 200. */
  readonly connect?: string
  readonly tls: boolean
  /** The TLS server name. A `*` in it and in `connect` is another number for each connection. */
  readonly serverName: string
  /** A whole request without a body; its answer says how long it is. Empty: the handshake is all. */
  readonly request: string
  readonly connections: number
  /** Each request gets a connection of its own, so many at a time. */
  readonly fresh?: boolean
  /** Requests a second over all connections; as many as are answered where it is left out. */
  readonly rate?: number
  /** Each connection sends one request and then stays open. */
  readonly once?: boolean
  /** Before the measurement, and of it, which lasts until something was answered. */
  readonly warmMs: number
  readonly ms: number
  /** The proxy, whose CPU counts. */
  readonly pid: number
}

export interface Result {
  readonly requests: number
  readonly bytes: number
  readonly seconds: number
  /** CPU of the proxy, s. */
  readonly cpu: number
  /** Memory of the proxy before the first connection, and at the end. */
  readonly startMiB: number
  readonly residentMiB: number
  readonly connections: number
  /** µs of each request; only where a rate or fresh connections were asked for. */
  readonly latencies: readonly number[]
}

/** Connections are opened so many at a time. */
const OPENING = 16

/** Everything that a job does, from `begin` to `end`. */
class Load {
  readonly #clients: Client[] = []
  readonly #job: Job
  readonly #counts: Counts
  readonly #pacing: NodeJS.Timeout[] = []
  #isOver = false

  constructor(job: Job, counts: Counts) {
    this.#job = job
    this.#counts = counts
  }

  async begin(): Promise<void> {
    const { connections, fresh, once, rate } = this.#job
    if (fresh) {
      for (let i = 0; i < connections; i++) this.#renew().catch((error) => this.#counts.fail(error))
      return
    }
    let left = connections
    const opening = Array.from({ length: OPENING }, async () => {
      while (left-- > 0) await this.#open()
    })
    await Promise.all(opening)
    if (once) return
    if (rate === undefined) for (const client of this.#clients) this.#repeat(client)
    else this.#pacing.push(setInterval(() => this.#sendTimed(), 1000 / rate))
  }

  end(): void {
    this.#isOver = true
    for (const timer of this.#pacing) clearInterval(timer)
    for (const client of this.#clients) client.end()
  }

  async #open(): Promise<void> {
    const client = new Client(await open(this.#job), this.#counts)
    this.#clients.push(client)
    if (this.#job.once) await new Promise<void>((answered) => client.send(this.#job.request, answered))
  }

  #repeat(client: Client): void {
    if (!this.#isOver) client.send(this.#job.request, () => this.#repeat(client))
  }

  #sendTimed(): void {
    const begun = performance.now()
    const idle = this.#clients.find((client) => !client.busy)
    idle?.send(this.#job.request, () => this.#counts.latencies.push(1000 * (performance.now() - begun)))
  }

  async #renew(): Promise<void> {
    const { request } = this.#job
    while (!this.#isOver) {
      const begun = performance.now()
      const client = new Client(await open(this.#job), this.#counts)
      if (request === '') this.#counts.requests++
      else await new Promise<void>((answered) => client.send(request, answered))
      this.#counts.latencies.push(1000 * (performance.now() - begun))
      client.end()
    }
  }
}

/** Puts the load on and measures. Rejects with the first thing that goes wrong. */
async function run(job: Job): Promise<Result> {
  let fail = (_: Error): void => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {})
  const counts: Counts = { requests: 0, bytes: 0, latencies: [], fail: (error) => fail(error) }
  const wait = (ms: number) => Promise.race([failed, new Promise((resolve) => setTimeout(resolve, ms))])
  const load = new Load(job, counts)
  const startMiB = residentMiB(treeOf(job.pid))
  try {
    await Promise.race([failed, load.begin()])
    await wait(job.warmMs)
    const pids = treeOf(job.pid)
    const begun = {
      cpu: cpuSeconds(pids),
      at: performance.now(),
      requests: counts.requests,
      bytes: counts.bytes,
    }
    counts.latencies = []
    await wait(job.ms)
    // On a machine that has no time for it: a figure needs something to be of.
    while (!job.once && counts.requests === begun.requests) await wait(10)
    const seconds = (performance.now() - begun.at) / 1000
    return {
      requests: counts.requests - begun.requests,
      bytes: counts.bytes - begun.bytes,
      seconds,
      cpu: cpuSeconds(pids) - begun.cpu,
      startMiB,
      residentMiB: residentMiB(pids),
      connections: job.connections,
      latencies: counts.latencies,
    }
  } finally {
    load.end()
  }
}

process.on('message', (job: Job) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
process.send?.('ready')
