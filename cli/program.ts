import { Command, CommanderError, Option } from 'commander'
import { asLocumError, type LocumError } from '../core/errors.ts'
import { addCommand } from './add.ts'
import { applyCommands } from './apply.ts'
import { auditCommand } from './audit.ts'
import { caCommand } from './ca.ts'
import { connectionCommand } from './connection.ts'
import { credentialCommand } from './credential.ts'
import { demoCommand } from './demo.ts'
import { explainCommand } from './explain.ts'
import { principalCommand } from './principal.ts'
import { serveCommand } from './serve.ts'
import { siteCommand } from './site.ts'
import type { Terminal } from './terminal.ts'

/** Exit codes. */
const DONE = 0
const FAILED = 1
const UNREADABLE = 2

/** The whole command. */
function program(terminal: Terminal, version: string): Command {
  const root = new Command('locum')
    .description(
      'A client writes a placeholder where a secret belongs; Locum puts the real one in its\nplace, outside the client’s reach, and sends the request on.',
    )
    .version(version, '-V, --version')
    .addOption(
      new Option('--data <folder>', 'the data folder (or LOCUM_DATA)').default(
        terminal.env.LOCUM_DATA || './locum-data',
        'LOCUM_DATA or ./locum-data',
      ),
    )
    .option('--json', 'print results as JSON')
    .addHelpText(
      'after',
      `
First steps:
  $ locum demo --once                       the main job, end to end, on this machine
  $ locum serve --config examples/team.yaml
  $ locum COMMAND --help                    more on each`,
    )
  for (const command of [
    serveCommand(terminal),
    addCommand(terminal),
    ...applyCommands(terminal),
    principalCommand(terminal),
    connectionCommand(terminal),
    credentialCommand(terminal),
    explainCommand(terminal),
    auditCommand(terminal),
    caCommand(terminal),
    siteCommand(terminal),
    demoCommand(terminal),
  ]) {
    root.addCommand(command)
  }
  prepare(root, terminal)
  return root
}

/** The same manners for every verb below. */
function prepare(command: Command, terminal: Terminal): void {
  command
    .exitOverride()
    .showHelpAfterError(false)
    .showSuggestionAfterError(true)
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: command.parent !== null, helpWidth: 100 })
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.note(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, 'locum: ')),
    })
  for (const sub of command.commands) prepare(sub, terminal)
}

/** Runs one command line (without the program's own name). Returns the exit code; never throws. */
export async function runCommand(
  args: readonly string[],
  terminal: Terminal,
  version: string,
): Promise<number> {
  try {
    await program(terminal, version).parseAsync([...args], { from: 'user' })
    return DONE
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? DONE : UNREADABLE
    const error = asLocumError(thrown)
    for (const line of errorLines(error)) terminal.note(line)
    if (terminal.env.LOCUM_DEBUG) terminal.note(debugText(error))
    return FAILED
  }
}

/** What people see of an error: what it is, and what to do next. */
export function errorLines({ code, detail, hint }: LocumError): string[] {
  const lines = detail.split('\n').map((line) => `locum: ${code}: ${line}`)
  if (code === 'internal' && hint === undefined) return [...lines, 'LOCUM_DEBUG=1 shows the cause.']
  return hint === undefined ? lines : [...lines, hint]
}

function debugText(error: LocumError): string {
  const { cause } = error
  const causeText = cause instanceof Error ? `\ncaused by ${cause.stack ?? cause.message}` : ''
  return `${error.stack ?? error.message}${causeText}`
}
