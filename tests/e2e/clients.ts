import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Entrance, Goal } from '../kit/raw.ts'
import type { TestSite } from '../kit/site.ts'

/** A request that a real client makes, and what it got. */
export interface Job {
  readonly entrance: Entrance
  readonly as: string
}

export interface Got {
  readonly status: number
  readonly body: string
  /** The answer's `X-Echo`. */
  readonly echo: string
}

/** A program that people use, driven as they do. */
export interface Client {
  readonly name: string
  /** Why it cannot be tried here; undefined where it can. */
  readonly missing: string | undefined
  ask(site: TestSite, goal: Goal, job: Job): Promise<Got>
}

const PLACEHOLDER = 'Bearer <<$Auth.API_Key>>'

/** The proxy's URL with a principal's id and key in it. */
export function proxyFor(site: TestSite, id: string): string {
  return `http://${id}:${site.keys[id]}@127.0.0.1:${site.port}`
}

/** What a client is told to ask for: at the forward entrance it says http, and Locum goes there by https. */
export function urlFor(site: TestSite, goal: Goal, entrance: Entrance, path: string): string {
  if (entrance === 'gateway') return `http://127.0.0.1:${site.port}/c/${goal.name}${path}`
  return `${entrance === 'forward' ? 'http' : 'https'}://${goal.authority}${path}`
}

/** The path that a client's job asks for, its own alone. */
export function pathOf({ name }: Pick<Client, 'name'>, { entrance, as }: Job): string {
  return `/${name.replace(/\W+/g, '-')}/${entrance}/${as}`
}

/** Runs a program to its end, with an environment of its own. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<{ code: number; out: string; errors: string }> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH as string, HOME: '/nonexistent', LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  return { code, out, errors }
}

/** Whether a program runs here. */
export function absent(command: string, args: readonly string[], what: string): string | undefined {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? undefined : `${what} is not installed`
}

const curl: Client = {
  name: 'curl',
  missing: absent('curl', ['--version'], 'curl'),
  async ask(site, goal, job) {
    const { entrance, as } = job
    const how =
      entrance === 'gateway'
        ? ['-H', `Locum-Authorization: Bearer ${site.keys[as]}`]
        : ['-x', proxyFor(site, as), '--cacert', site.caFile]
    const { code, out, errors } = await runProgram('curl', [
      ...['-q', '-sS', '-i', '--suppress-connect-headers', '-H', `Authorization: ${PLACEHOLDER}`, ...how],
      urlFor(site, goal, entrance, pathOf(this, job)),
    ])
    if (code !== 0) throw new Error(`curl ended with ${code}: ${errors}`)
    const end = out.indexOf('\r\n\r\n')
    return {
      status: Number(out.split(' ')[1]),
      body: out.slice(end + 4),
      echo: /^x-echo: (.*)\r$/im.exec(out)?.[1] ?? '',
    }
  },
}

const PYTHON = '/usr/bin/python3'

const requests: Client = {
  name: "Python's requests",
  missing: absent(PYTHON, ['-c', 'import requests'], 'python3-requests'),
  async ask(site, goal, job) {
    const { entrance, as } = job
    const env: Record<string, string> =
      entrance === 'gateway'
        ? { KEY: site.keys[as] as string }
        : { HTTP_PROXY: proxyFor(site, as), HTTPS_PROXY: proxyFor(site, as), REQUESTS_CA_BUNDLE: site.caFile }
    env.URL = urlFor(site, goal, entrance, pathOf(this, job))
    env.PLACEHOLDER = PLACEHOLDER
    return parsed(await runProgram(PYTHON, [join(import.meta.dirname, 'requests-client.py')], { env }))
  },
}

const nodeFetch: Client = {
  name: "Node's fetch",
  missing: Number(process.versions.node.split('.')[0]) >= 24 ? undefined : 'Node 24 is not installed',
  async ask(site, goal, job) {
    const { entrance, as } = job
    const env: Record<string, string> =
      entrance === 'gateway'
        ? { KEY: site.keys[as] as string }
        : {
            NODE_USE_ENV_PROXY: '1',
            HTTP_PROXY: proxyFor(site, as),
            HTTPS_PROXY: proxyFor(site, as),
            NODE_EXTRA_CA_CERTS: site.caFile,
          }
    env.URL = urlFor(site, goal, entrance, pathOf(this, job))
    env.PLACEHOLDER = PLACEHOLDER
    return parsed(
      await runProgram(process.execPath, [join(import.meta.dirname, 'fetch-client.mjs')], { env }),
    )
  },
}

function parsed({ code, out, errors }: { code: number; out: string; errors: string }): Got {
  if (code !== 0) throw new Error(`the client ended with ${code}: ${errors}`)
  return JSON.parse(out) as Got
}

export const CLIENTS: readonly Client[] = [curl, requests, nodeFetch]
