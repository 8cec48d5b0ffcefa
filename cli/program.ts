import { Command, CommanderError, Option } from 'commander'
import { asLocumError, type LocumError } from '../core/errors.ts'
import { withoutSecrets } from '../core/shown.ts'
import type { Terminal } from './terminal.ts'
import { type EndWith, VERBS } from './verbs.ts'

/** Exit codes. */
const DONE = 0
const FAILED = 1
const UNREADABLE = 2

/**
 * The command with the verb that the line names; of the other verbs what the help says. A line that
 * names none, or one that there is not, gets no further than that.
 */
async function program(
  args: readonly string[],
  terminal: Terminal,
  version: string,
  end: EndWith,
): Promise<Command> {
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
    .option('--server <url>', 'ask the console of another site, by the key in LOCUM_KEY or on standard input')
    .option('--json', 'print results as JSON')
    .addHelpText(
      'after',
      `
First steps:
  $ locum demo --once                       the main job, end to end, on this machine
  $ locum serve --config examples/team.yaml
  $ locum COMMAND --help                    more on each`,
    )
  const named = verbNamed(args)
  for (const { name, summary, load } of VERBS) {
    const command = name === named ? await load(terminal, end) : new Command(name)
    root.addCommand(command.description(summary))
  }
  prepare(root, terminal)
  return root
}

/** Options of the command itself that take a value. */
const VALUED = ['--data', '--server']

/** The first word that is no option of the command itself, nor the value of one. */
function verbNamed(args: readonly string[]): string | undefined {
  const at = args.findIndex((arg, i) => !arg.startsWith('-') && !VALUED.includes(args[i - 1] ?? ''))
  return args[at]
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
      outputError: (text, write) => write(withoutSecrets(text.replace(/^error: /, 'locum: '))),
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
    let code = DONE
    const root = await program(args, terminal, version, (ended) => {
      code = ended
    })
    await root.parseAsync([...args], { from: 'user' })
    return code
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
  const lines = withoutSecrets(detail)
    .split('\n')
    .map((line) => `locum: ${code}: ${line}`)
  if (code === 'internal' && hint === undefined) return [...lines, 'LOCUM_DEBUG=1 shows the cause.']
  return hint === undefined ? lines : [...lines, withoutSecrets(hint)]
}

function debugText(error: LocumError): string {
  const { cause } = error
  const causeText = cause instanceof Error ? `\ncaused by ${cause.stack ?? cause.message}` : ''
  return withoutSecrets(`${error.stack ?? error.message}${causeText}`)
}
