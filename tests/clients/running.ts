import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a program was run for. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly errors: string
}

/** Whatever a client waits for is here at once; what takes longer will not come, ms. */
const PATIENCE = 60_000

/** Runs a program to its end, with an environment of its own and nothing of ours. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; cwd?: string; input?: string } = {},
): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH as string, HOME: '/nonexistent', LC_ALL: 'C.UTF-8', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
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

/** Runs curl, quietly but for its errors. */
export function runCurl(args: readonly string[]): Promise<Ran> {
  return runProgram('curl', ['--silent', '--show-error', ...args])
}

/** Why a program cannot be tried here; undefined where it runs. */
export function absent(command: string, args: readonly string[], what: string): string | undefined {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? undefined : `${what} is not installed`
}

export const PYTHON = '/usr/bin/python3'

/** Where the clients' own programs lie. */
export const PROGRAMS = join(import.meta.dirname, 'programs')

/** Node's own clients read the proxy's variables from here on. */
export const NODE_MISSING =
  Number(process.versions.node.split('.')[0]) >= 24 ? undefined : 'Node 24 is not installed'

/** A folder that is gone when this process is. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'locum-client-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A folder that is gone when the work is done. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'locum-client-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
