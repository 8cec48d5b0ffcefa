import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { cpuSeconds, residentMiB, treeOf } from './processes.ts'

/** What is asked of the load: sent to this script as a message. */
export interface Job {
  readonly port: number
  /** A whole CONNECT request that is sent first, and must be answered with 200. */
  readonly connect?: string
  readonly tls: boolean
  /** A whole request without a body; its answer says how long it is. */
  readonly request: string
  readonly connections: number
  /** Requests a second over all connections; as many as are answered where it is left out. */
  readonly rate?: number
  /** Each connection sends one request and then stays open. */
  readonly once?: boolean
  /** Before the measurement, and of it. */
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
  /** Memory of the proxy at the end. */
  readonly residentMiB: number
  /** µs of each request; only where a rate was asked for. */
  readonly latencies: readonly number[]
}

/** One connection with one request in flight. It counts the bytes of answers and looks at little else. */
class Client {
  readonly #job: Job
  readonly #socket: Socket
  readonly #counts: Counts
  #head: Buffer | undefined
  #rest = 0
  #sentAt = 0
  busy = false

  constructor(job: Job, socket: Socket, counts: Counts) {
    this.#job = job
    this.#socket = socket
    this.#counts = counts
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', (error) => counts.fail(error))
    socket.on('close', () => counts.fail(new Error('The proxy closed a connection.')))
  }

  send(): void {
    this.busy = true
    if (this.#job.rate !== undefined) this.#sentAt = performance.now()
    this.#socket.write(this.#job.request, 'latin1')
  }

  end(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    this.#counts.bytes += bytes.length
    if (this.#rest > 0) this.#rest -= bytes.length
    else {
      const head = this.#head ? Buffer.concat([this.#head, bytes]) : bytes
      const end = head.indexOf('\r\n\r\n')
      this.#head = end < 0 ? head : undefined
      if (end < 0) return
      const length = lengthOf(head.toString('latin1', 0, end))
      if (typeof length !== 'number') return this.#counts.fail(length)
      this.#rest = end + 4 + length - head.length
    }
    if (this.#rest === 0) this.#done()
    else if (this.#rest < 0) this.#counts.fail(new Error('An answer was longer than it said.'))
  }

  #done(): void {
    this.busy = false
    this.#counts.requests++
    if (this.#job.rate === undefined) {
      if (!this.#job.once) this.send()
    } else this.#counts.latencies.push(1000 * (performance.now() - this.#sentAt))
  }
}

interface Counts {
  requests: number
  bytes: number
  latencies: number[]
  fail(error: Error): void
}

/** The length that a head states; else what is wrong with it: whoever gets no 200 did not put the secret in. */
function lengthOf(head: string): number | Error {
  if (!head.startsWith('HTTP/1.1 200')) return new Error(`An answer was not 200: ${head.slice(0, 200)}`)
  const at = head.search(/content-length:/i)
  if (at < 0) return new Error(`An answer does not state its length: ${head.slice(0, 200)}`)
  return Number.parseInt(head.slice(at + 15), 10)
}

/** A connection on which requests can be sent. The load measures the proxy, it does not judge its certificate. */
function open(job: Job): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port: job.port, host: '127.0.0.1', noDelay: true })
    const secure = () => {
      if (!job.tls) return resolve(socket)
      const inner = connectTls({ socket, servername: 'localhost', rejectUnauthorized: false })
      inner.once('secureConnect', () => resolve(inner))
      inner.once('error', reject)
    }
    socket.once('error', reject)
    socket.once('connect', () => {
      if (job.connect === undefined) return secure()
      socket.write(job.connect)
      socket.once('data', (answer: Buffer) => {
        if (/^HTTP\/1\.[01] 200/.test(answer.toString('latin1', 0, 12))) secure()
        else reject(new Error(`CONNECT was refused: ${answer.toString('latin1', 0, 200)}`))
      })
    })
  })
}

/** Puts the load on and measures. Rejects with the first thing that goes wrong. */
async function run(job: Job): Promise<Result> {
  const clients: Client[] = []
  let fail = (_: Error): void => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {})
  const counts: Counts = { requests: 0, bytes: 0, latencies: [], fail: (error) => fail(error) }
  const wait = (ms: number) => Promise.race([failed, new Promise((resolve) => setTimeout(resolve, ms))])
  let pacing: NodeJS.Timeout | undefined
  try {
    for (let i = 0; i < job.connections; i++) {
      const client = new Client(job, await open(job), counts)
      clients.push(client)
      if (job.once) client.send()
    }
    if (job.rate === undefined && !job.once) for (const client of clients) client.send()
    else if (job.rate !== undefined)
      pacing = setInterval(() => clients.find((client) => !client.busy)?.send(), 1000 / job.rate)
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
    const seconds = (performance.now() - begun.at) / 1000
    return {
      requests: counts.requests - begun.requests,
      bytes: counts.bytes - begun.bytes,
      seconds,
      cpu: cpuSeconds(pids) - begun.cpu,
      residentMiB: residentMiB(pids),
      latencies: counts.latencies,
    }
  } finally {
    clearInterval(pacing)
    for (const client of clients) client.end()
  }
}

process.on('message', (job: Job) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
process.send?.('ready')
