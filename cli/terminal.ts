import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { LocumError } from '../core/errors.ts'

/** The terminal, or what stands in for one. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether people read standard output, rather than a program. */
  readonly isInteractive: boolean
  /** Where somebody can be asked; absent where nobody is there. */
  readonly asking?: { readonly input: Readable; readonly output: Writable }
  /** Columns of standard output. */
  readonly columns: number
  /** Writes to standard output as it is. */
  write(text: string | Uint8Array): void
  /** A line on standard error. */
  note(line: string): void
  /** All of standard input. Throws bad_request beyond 1 MiB. */
  readInput(): Promise<string>
  /** Resolves when the program is told to stop (SIGINT, SIGTERM); a second time ends it at once. */
  untilStopped(): Promise<void>
}

/** Bytes. */
const LONGEST_INPUT = 1024 * 1024

/** Of this process. A reader of its output that leaves (`| head`) ends it without a word. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
  }
  return {
    env,
    isInteractive: stdout.isTTY === true,
    // Questions go to standard error, so that standard output stays the verb's own.
    asking: stdin.isTTY && stderr.isTTY ? { input: stdin, output: stderr } : undefined,
    columns: stdout.columns ?? 80,
    write: (text) => void stdout.write(text),
    note: (line) => void stderr.write(`${line}\n`),
    async readInput() {
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of stdin as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > LONGEST_INPUT) throw new LocumError('bad_request', 'Standard input holds more than 1 MiB.')
        chunks.push(chunk)
      }
      return Buffer.concat(chunks).toString('utf8')
    },
    untilStopped: () =>
      new Promise((resolve) => {
        let told = false
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.on(signal, () => {
            if (told) process.exit(128 + constants.signals[signal])
            told = true
            resolve()
          })
        }
      }),
  }
}
