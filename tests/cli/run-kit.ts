import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Run {
  readonly pid: number
  readonly said: { out: string; err: string }
  /** Resolves once standard output matches; rejects where the run ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

/** Starts a program and ends it with the test. */
export function start(
  t: { teardown(work: () => unknown): void },
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input?: 'pipe',
): Run & { write(text: string): void } {
  const PATH = process.env.PATH as string
  const child = spawn(command, args, {
    env: { PATH, HOME: '/nonexistent', ...env },
    stdio: [input ?? 'ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  child.stdin?.on('error', () => {})
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, ...said })))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    pid: child.pid as number,
    said,
    ended,
    kill: (signal) => void child.kill(signal),
    write: (text) => void child.stdin?.write(text),
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(said.out)
          if (match) resolve(match)
        }
        child.stdout?.on('data', look)
        void ended.then(() => reject(new Error(`it ended: ${said.out}${said.err}`)))
        look()
      }),
  }
}

/** `locum --data DATA ARG…` in a process of its own. */
export function locum(
  t: { teardown(work: () => unknown): void },
  data: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Run {
  return start(t, process.execPath, [MAIN, '--data', data, ...args], env)
}

/** As one line for a shell. */
export function locumLine(data: string, args: readonly string[]): string {
  return [process.execPath, MAIN, '--data', data, ...args].map((word) => `'${word}'`).join(' ')
}
