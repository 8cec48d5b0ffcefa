import { Command } from 'commander'
import { applyFile, applySent, checkFile, checkFileAlone, checkSent } from '../operations/apply.ts'
import type { PlannedChange } from '../operations/reconcile.ts'
import { gatherFile } from '../operations/sent-file.ts'
import { isUsed, methods, readText } from '../site.ts'
import { json, noteLine } from './output.ts'
import { type GlobalOptions, withSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ApplyOptions extends GlobalOptions {
  readonly file: string
  readonly prune?: boolean
}

const SIGNS = { create: '+', update: '~', delete: '-' } as const

/** `locum apply` and `locum check` */
export function applyCommands(terminal: Terminal): { apply: Command; check: Command } {
  const apply = new Command('apply').addHelpText(
    'after',
    `
A second run changes nothing. Secrets are read where the file says { env: NAME }
or { file: PATH }, and sealed.

  $ STRIPE_KEY=… locum apply -f billing.yaml
  $ locum apply -f team.yaml --prune`,
  )
  const check = new Command('check').addHelpText(
    'after',
    `
  $ locum check -f billing.yaml`,
  )
  for (const [command, operation] of [
    [apply, applyFile],
    [check, checkFile],
  ] as const) {
    command
      .requiredOption('-f, --file <file>', 'the YAML or JSON file')
      .option('--prune', 'also remove what a file of the same name made and this one no longer names')
      .action(async (_: unknown, self: Command) => {
        const { file, prune, ...options } = self.optsWithGlobals() as ApplyOptions
        const isCheck = command === check
        const io = { methods, env: terminal.env, readFile: readText }
        /** What a file refers to is read on this machine, wherever it is applied. */
        const elsewhere = async () => {
          const sent = { ...(await gatherFile(file, io)), prune: prune ?? false }
          return withSession(terminal, options, ({ run }) => run(isCheck ? checkSent : applySent, sent))
        }
        const here = () =>
          isCheck && !isUsed(options.data)
            ? checkFileAlone({ ...io, warn: (line) => terminal.note(noteLine(line)) }, file)
            : withSite(terminal, options, ({ run }) => run(operation, { file, prune: prune ?? false }))
        const { changes } = await (options.server === undefined ? here() : elsewhere())
        terminal.write(options.json ? json({ changes }) : changesText(changes, isCheck))
      })
  }
  return { apply, check }
}

/** `~ connection stripe: destinations, headers` */
export function changesText(changes: readonly PlannedChange[], planned: boolean): string {
  if (changes.length === 0) return 'Nothing to change.\n'
  const lines = changes.map(({ action, kind, id, keys }) => {
    const what = kind === 'site' ? 'site' : `${kind} ${id}`
    return `${SIGNS[action]} ${what}${keys.length === 0 ? '' : `: ${keys.join(', ')}`}\n`
  })
  const count = changes.length === 1 ? '1 change' : `${changes.length} changes`
  return `${lines.join('')}${count}${planned ? ' to make' : ' made'}.\n`
}
