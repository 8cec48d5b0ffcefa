import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'

/** ms that a program may take until it listens. */
const START_WITHIN = 20_000
/** Linux tells times in /proc by this clock, whatever its own (USER_HZ). */
const TICKS_A_SECOND = 100

/** The file of a program on PATH, or where Debian keeps daemons. */
export function findProgram(name: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const file = join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not there: the next folder may have it.
    }
  }
  return undefined
}

/** The first number with a point in it that a program says of itself. */
export function versionOf(file: string, flag: string): string {
  const { stdout, stderr } = spawnSync(file, [flag], { encoding: 'utf8' })
  return /\d+(?:\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? ''
}

/** Below those that Linux gives to outgoing connections, one of which could take it before it is used. */
const PORTS = { from: 20_000, to: 32_768 } as const

/** A port of loopback that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw error
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

/** A program of the bench. */
export interface Program {
  readonly name: string
  readonly process: ChildProcess
  readonly pid: number
  /** What it said on its error stream, for a start that fails. */
  errors(): string
  stop(): Promise<void>
}

interface StartOptions {
  /** With a channel for messages, for scripts of our own. */
  readonly ipc?: boolean
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a program on one core. */
export function startOnCore(
  core: number,
  name: string,
  command: readonly string[],
  options: StartOptions = {},
): Program {
  return startProgram(name, ['taskset', '-c', String(core), ...command], options)
}

/** Starts a program wherever the system likes. */
export function startProgram(
  name: string,
  [file, ...args]: readonly string[],
  options: StartOptions = {},
): Program {
  const child = spawn(file as string, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...(options.ipc ? (['ipc'] as const) : [])],
    env: { ...process.env, ...options.env },
  })
  const closed = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
  let errors = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000)
  })
  return {
    name,
    process: child,
    pid: child.pid ?? 0,
    errors: () => errors,
    async stop() {
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
      child.kill('SIGTERM')
      await closed
      clearTimeout(timer)
    },
  }
}

/** Resolves when somebody listens on the port. Throws where the program ended or took too long. */
export async function untilListening(program: Program, port: number): Promise<void> {
  const until = Date.now() + START_WITHIN
  while (Date.now() < until && program.process.exitCode === null) {
    if (await answers(port)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${program.name} did not start: ${program.errors()}`)
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** The next message of a script of our own. Rejects where it ended instead. */
export function nextMessage<T>(program: Program): Promise<T> {
  return new Promise((resolve, reject) => {
    const onmessage = (message: T) => {
      program.process.off('exit', onexit)
      resolve(message)
    }
    const onexit = () => {
      program.process.off('message', onmessage)
      reject(new Error(`${program.name} ended: ${program.errors()}`))
    }
    program.process.once('message', onmessage)
    program.process.once('exit', onexit)
  })
}

/** A process and its descendants. */
export function treeOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const parent = Number(statOf(Number(entry))?.[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const found: number[] = []
  for (let open = [pid]; open.length > 0; ) {
    const next = open.pop() as number
    found.push(next)
    open.push(...(children.get(next) ?? []))
  }
  return found
}

/** CPU that these processes and all their threads took so far, s; to 10 ms each (proc(5), utime and stime). */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const stat = statOf(pid)
    if (stat) ticks += Number(stat[11]) + Number(stat[12])
  }
  return ticks / TICKS_A_SECOND
}

/** What these processes hold in memory, MiB. */
export function residentMiB(pids: readonly number[]): number {
  const pages = pids.reduce((sum, pid) => sum + Number(statOf(pid)?.[21] ?? 0), 0)
  return (pages * 4096) / 2 ** 20
}

/** The fields behind the name of a process, which may hold anything: [0] is its state. */
function statOf(pid: number): string[] | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    // It ended meanwhile.
    return undefined
  }
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}
