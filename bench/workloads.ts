import type { Job, Result } from './load.ts'
import type { Entrance } from './routes.ts'

/** One column of a workload's table. */
export interface Figure {
  readonly title: string
  readonly digits: number
  of(result: Result): number
}

/** What is asked of every proxy, and what is told of it. Letters and numbers as in docs/PERFORMANCE.md. */
export interface Workload {
  readonly id: string
  readonly title: string
  readonly entrance: Entrance
  /** The large answer instead of the small one. */
  readonly large?: boolean
  readonly load: Pick<Job, 'connections' | 'rate' | 'once' | 'fresh'>
  /** So many other clients whose heads never end, from before the load to behind it. */
  readonly slow?: number
  /** Measured once, on a proxy that has just been started: memory tells what came before. */
  readonly anew?: boolean
  /** The first is what proxies are compared by. */
  readonly figures: readonly [Figure, ...Figure[]]
}

const cpu: Figure = { title: 'µs CPU/request', digits: 1, of: (x) => (1e6 * x.cpu) / x.requests }
const rate: Figure = { title: 'requests/s', digits: 0, of: (x) => x.requests / x.seconds }
const busy: Figure = { title: '% of its core', digits: 0, of: (x) => (100 * x.cpu) / x.seconds }
const speed: Figure = { title: 'MB/s', digits: 0, of: (x) => x.bytes / x.seconds / 1e6 }
const bulk: Figure = { title: 'µs CPU/MB', digits: 0, of: (x) => (1e6 * x.cpu) / (x.bytes / 1e6) }
const memory: Figure = { title: 'MiB', digits: 0, of: (x) => x.residentMiB }
const atStart: Figure = { title: 'MiB at start', digits: 0, of: (x) => x.startMiB }
const each: Figure = {
  title: 'KiB a connection',
  digits: 1,
  of: (x) => (1024 * (x.residentMiB - x.startMiB)) / x.connections,
}
const latency = (share: number, title: string): Figure => ({
  title,
  digits: 0,
  of: ({ latencies }) =>
    [...latencies].sort((a, b) => a - b)[Math.floor(share * latencies.length)] ?? Number.NaN,
})

const STEADY = { connections: 64 }
/** Each sends one request, and then nothing. */
const IDLE = { connections: 2000, once: true }
const MANY_IDLE = { connections: 10_000, once: true }
const FRESH = { connections: 8, fresh: true }

export const WORKLOADS: readonly Workload[] = [
  {
    id: 'W1',
    title: 'forward proxy, absolute form, http origin, small answers',
    entrance: 'forward',
    load: STEADY,
    figures: [cpu, rate, busy],
  },
  {
    id: 'W2',
    title: 'gateway, https origin, small answers',
    entrance: 'gateway',
    load: STEADY,
    figures: [cpu, rate, busy],
  },
  {
    id: 'W2s',
    title: 'W2, each request signed for AWS',
    entrance: 'signed',
    load: STEADY,
    figures: [cpu, rate, busy],
  },
  {
    id: 'W3',
    title: 'CONNECT and interception, https origin, small answers',
    entrance: 'connect',
    load: STEADY,
    figures: [cpu, rate, busy],
  },
  {
    id: 'W4',
    title: '64 MiB answers, forward proxy, http origin, one connection',
    entrance: 'forward',
    large: true,
    load: { connections: 1 },
    figures: [bulk, speed, busy],
  },
  {
    id: 'W4i',
    title: '64 MiB answers, intercepted, https origin, one connection',
    entrance: 'connect',
    large: true,
    load: { connections: 1 },
    figures: [bulk, speed, busy],
  },
  {
    id: 'W5',
    title: 'a new connection for each request, CONNECT, full handshake',
    entrance: 'connect',
    load: FRESH,
    figures: [cpu, latency(0.5, 'p50 µs'), rate],
  },
  {
    id: 'W5c',
    title: 'CONNECT and full handshake with a name that was never asked for',
    entrance: 'cold',
    load: { connections: 1, fresh: true },
    figures: [cpu, latency(0.5, 'p50 µs'), rate],
  },
  {
    id: 'W6',
    title: 'latency of W1 at 200 requests/s',
    entrance: 'forward',
    load: { connections: 8, rate: 200 },
    figures: [latency(0.5, 'p50 µs'), latency(0.99, 'p99 µs'), cpu],
  },
  {
    id: 'W8',
    title: 'latency of W6 beside 5,000 clients whose heads never end',
    entrance: 'forward',
    load: { connections: 8, rate: 200 },
    slow: 5000,
    figures: [latency(0.99, 'p99 µs'), latency(0.5, 'p50 µs'), cpu],
  },
  {
    id: 'W7',
    title: 'memory with 2,000 idle connections',
    entrance: 'forward',
    load: IDLE,
    anew: true,
    figures: [memory, each, atStart],
  },
  {
    id: 'W7i',
    title: 'memory with 2,000 idle connections, intercepted',
    entrance: 'connect',
    load: IDLE,
    anew: true,
    figures: [memory, each, atStart],
  },
  {
    id: 'W7x',
    title: 'memory with 10,000 idle connections',
    entrance: 'forward',
    load: MANY_IDLE,
    anew: true,
    figures: [memory, each, atStart],
  },
]
