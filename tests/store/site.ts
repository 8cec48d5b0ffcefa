import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { type OpenOptions, type OpenStore, openStore } from '../../store/open.ts'

export type Test = { teardown(work: () => unknown): void }

/** In memory where the system offers it: every commit is synced, and a busy disk would stall hundreds of them. */
const ROOM = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** An empty folder, removed with the test. */
export function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(ROOM, 'locum-store-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An open store, closed with the test. */
export async function openSite(
  t: Test,
  data: string,
  options: Omit<OpenOptions, 'data'> = {},
): Promise<OpenStore> {
  const site = await openStore({ data, ...options })
  t.teardown(() => site.close())
  return site
}

/** Changes the database as a thief would who has its file and not its keys. */
export function editDatabase(data: string, ...statements: readonly string[]): void {
  const database = new Sqlite(join(data, 'locum.db'))
  try {
    database.pragma('foreign_keys = OFF')
    for (const statement of statements) database.exec(statement)
  } finally {
    database.close()
  }
}

export interface Child {
  readonly process: ChildProcess
  /** The next line of its output. */
  line(): Promise<string>
  /** Its exit code or signal, and all that it wrote to stderr. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null; errors: string }>
}

/** Runs `children/NAME.ts` in a process of its own. */
export function startChild(t: Test, name: string, args: readonly string[], shell?: string): Child {
  const script = fileURLToPath(new URL(`children/${name}.ts`, import.meta.url))
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', script, ...args]
  const child = shell
    ? spawn('/bin/sh', ['-c', `${shell}; exec "$0" "$@"`, ...command], { stdio: ['pipe', 'pipe', 'pipe'] })
    : spawn(command[0] as string, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    process: child,
    async line() {
      const { value, done } = await lines.next()
      if (done) throw new Error(`The child ended early: ${errors}`)
      return value
    },
    async ended() {
      const [code, signal] = await ended
      return { code, signal, errors }
    },
  }
}
