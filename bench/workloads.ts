import type { Job } from './load.ts'

/** The secret that every proxy puts into every request; the origin answers 401 without it. */
export const SECRET = 'sk_bench_4f8Kq2Zt7Wm1Xc9Lr5Vb'
export const PLACEHOLDER = '<<$Auth.API_Key>>'

/** W1 forward proxy in absolute form; W2 gateway to an https origin; W3 interception to an https origin. */
export const WORKLOADS = ['W1', 'W2', 'W3'] as const
export type Workload = (typeof WORKLOADS)[number]

/** How a proxy is spoken to in one workload: what of a job depends on it. */
export type Route = Pick<Job, 'port' | 'connect' | 'tls' | 'request' | 'pid'>

/** A request's text: a small GET as a program's HTTP library writes it. */
export function requestText(target: string, host: string, fields: Readonly<Record<string, string>>): string {
  const all = { Host: host, 'User-Agent': 'bench/1', Accept: '*/*', ...fields }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** What a client sends where the proxy has a fixed value to set. */
export const STAND_IN = { Authorization: `Bearer ${PLACEHOLDER}` }
