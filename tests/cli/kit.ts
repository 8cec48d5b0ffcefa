import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { runCommand } from '../../cli/program.ts'
import type { Terminal } from '../../cli/terminal.ts'

/** What a command line came to. */
export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Shell {
  readonly data: string
  readonly env: Record<string, string>
  /** Runs a command line in this process; a text is split at its blanks. */
  run(line: string | readonly string[], terminal?: Partial<Terminal> & { input?: string }): Promise<Outcome>
  /** As `run`, with `--json`: the one value on standard output. */
  // biome-ignore lint/suspicious/noExplicitAny: each test looks for its own shape
  json(line: string | readonly string[], terminal?: { input?: string }): Promise<any>
}

/** A data folder of its own, which is not there yet. */
export function openShell(t: Test): Shell {
  const data = `${t.testdir()}/data`
  const env: Record<string, string> = {}
  const run: Shell['run'] = async (line, { input = '', ...terminal } = {}) => {
    const out: Buffer[] = []
    const err: string[] = []
    const args = typeof line === 'string' ? line.split(' ') : line
    const code = await runCommand(
      ['--data', data, ...args],
      {
        env,
        isInteractive: false,
        columns: 120,
        write: (text) => out.push(Buffer.from(text)),
        note: (text) => err.push(`${text}\n`),
        readInput: async () => input,
        untilStopped: () => Promise.reject(new Error('nobody stops this')),
        ...terminal,
      },
      '0.0.0-test',
    )
    return { code, out: Buffer.concat(out).toString(), err: err.join('') }
  }
  return {
    data,
    env,
    run,
    async json(line, terminal) {
      const outcome = await run([...(typeof line === 'string' ? line.split(' ') : line), '--json'], terminal)
      if (outcome.code !== 0) throw new Error(`it failed: ${outcome.err}`)
      return JSON.parse(outcome.out)
    },
  }
}

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

/** The program in a process of its own, ended with the test. */
export interface Program {
  readonly child: ChildProcess
  /** Standard output and error so far. */
  readonly said: { out: string; err: string }
  /** Resolves once standard output matches. Rejects where the program ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export function startProgram(
  t: Test,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk) => {
    said.out += chunk
  })
  child.stderr.on('data', (chunk) => {
    said.err += chunk
  })
  const end = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await end
  })
  return {
    child,
    said,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(said.out)
          if (match) resolve(match)
        }
        child.stdout.on('data', look)
        void end.then(() => reject(new Error(`it ended: ${said.err}`)))
        look()
      }),
    async ended() {
      const [code, signal] = await end
      return { code, signal }
    },
  }
}
