import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/** As shells and env(1) have them. */
const NOT_EXECUTABLE = 126
const NOT_FOUND = 127
const BY_SIGNAL = 128

/** Passed on to the program. What it does then is its own affair, and so is when it ends. */
const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGTSTP', 'SIGCONT'] as const

/** Those that a terminal sends to everybody in its foreground, so that the program has them already. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGTSTP'])

/** What cannot be started: its exit code, and why, for people. */
export interface NotStarted {
  readonly code: number
  readonly reason: string
}

/** Takes the signals of this process from now on, for a program that is started later or never. */
export class SignalRelay {
  /** The first that asked for an end before there was a program to ask. */
  #early: NodeJS.Signals | undefined
  #send: ((signal: NodeJS.Signals) => void) | undefined
  readonly #listeners = PASSED.map((signal) => [signal, () => this.#take(signal)] as const)

  constructor() {
    for (const [signal, listener] of this.#listeners) process.on(signal, listener)
  }

  /** The exit code of a process that was told to end before it began; undefined where nobody told it. */
  get early(): number | undefined {
    return this.#early && BY_SIGNAL + constants.signals[this.#early]
  }

  to(send: (signal: NodeJS.Signals) => void): void {
    this.#send = send
  }

  close(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener)
  }

  #take(signal: (typeof PASSED)[number]): void {
    const known = FROM_TERMINAL.has(signal) && isInForeground()
    if (this.#send && !known) this.#send(signal)
    if (!this.#send && signal !== 'SIGCONT' && signal !== 'SIGTSTP') this.#early ??= signal
    // Stopped by hand, as it would be without somebody who listens.
    if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP')
  }
}

/**
 * Runs a program to its end on this one's terminal and standard streams. Resolves with its exit code, 128
 * and the signal's number where a signal ended it. Never rejects.
 */
export function runChild(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  relay: SignalRelay,
): Promise<number | NotStarted> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: 'inherit' })
    relay.to((signal) => void child.kill(signal))
    child.once('error', (error: NodeJS.ErrnoException) => resolve(notStarted(command, error)))
    child.once('exit', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : BY_SIGNAL + constants.signals[signal]),
    )
  })
}

function notStarted(command: string, { code }: NodeJS.ErrnoException): NotStarted {
  if (code === 'ENOENT') return { code: NOT_FOUND, reason: `${command}: not found` }
  return { code: NOT_EXECUTABLE, reason: `${command}: cannot be run (${code})` }
}

/**
 * Whether this process stands in the foreground of its terminal: then what is typed there goes to its
 * whole group. Without /proc (proc(5)) a terminal as standard input is taken for it.
 */
function isInForeground(): boolean {
  let stat: string
  try {
    stat = readFileSync('/proc/self/stat', 'latin1')
  } catch {
    return process.stdin.isTTY === true
  }
  // Behind the name, which may hold anything: state, parent, group, session, terminal, its foreground group.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return group === foreground
}
