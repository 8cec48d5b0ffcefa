import { Command } from 'commander'
import { LocumError } from '../core/errors.ts'
import { fieldsOf } from '../core/provider.ts'
import type { JsonObject } from '../core/secret.ts'
import { showConnection } from '../operations/connections.ts'
import {
  type CredentialView,
  disableCredential,
  enableCredential,
  listCredentials,
  removeCredential,
  renameCredential,
  setCredential,
  showCredential,
} from '../operations/credentials.ts'
import { showProvider } from '../operations/providers.ts'
import { shareCredential, unshareCredential, unuseCredential, useCredential } from '../operations/sharing.ts'
import { showType } from '../operations/types.ts'
import { addHandOver } from './hand-over.ts'
import { facts, json, table, timeText } from './output.ts'
import { askForFields, askForTyped, readFieldsFromInput } from './questions.ts'
import { type GlobalOptions, type Session, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

interface SetOptions extends GlobalOptions {
  readonly for: string
  readonly name?: string
}

interface UseOptions extends GlobalOptions {
  readonly connection: string
  readonly for: string
}

/** `locum credential …` */
export function credentialCommand(terminal: Terminal): Command {
  const credential = new Command('credential')

  credential
    .command('set')
    .description('Enter the credential of a connection, or enter it again')
    .argument('<connection>')
    .requiredOption('--for <scope>', 'whom it serves: shared, profile:NAME or user:ID')
    .option('--name <name>', 'what it is called')
    .addHelpText(
      'after',
      `
On a terminal its fields are asked for, secrets without an echo. Otherwise they are
read from standard input as one JSON object; they are never an argument:

  $ locum credential set stripe --for shared
  $ echo '{"username":"ada","password":"…"}' | locum credential set crm --for user:ada`,
    )
    .action(async (connection: string, _: unknown, command: Command) => {
      const { for: scope, name, ...options } = command.optsWithGlobals() as SetOptions
      await withSession(terminal, options, async (session) => {
        const fields = await fieldsFor(terminal, session, connection)
        const input = { connection, for: scope, fields, ...(name !== undefined && { name }) }
        const entered = await session.run(setCredential, input)
        terminal.write(
          options.json
            ? json(entered)
            : `${entered.id} serves ${connection} for ${scope} (version ${entered.version}).\n`,
        )
      })
    })

  credential
    .command('ls')
    .description('List credentials, without their secrets')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const all = await run(listCredentials, {})
        if (options.json) return terminal.write(json(all))
        const now = clock.now()
        const rows = all.map((one) => [
          one.id,
          one.bindings.map(({ connection }) => connection).join(',') || '-',
          one.bindings.map((binding) => binding.for).join(',') || '-',
          one.fields.join(',') || '-',
          one.state,
          timeText(terminal, one.changedAt, now),
          one.owner,
          one.name,
        ])
        terminal.write(
          table(terminal, ['id', 'connection', 'for', 'fields', 'state', 'entered', 'owner', 'name'], rows),
        )
        if (rows.length === 0) terminal.note('None yet. locum credential set CONNECTION --for shared')
      })
    })

  credential
    .command('show')
    .description('Show one credential, without its secrets')
    .argument('<id>')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const one = await run(showCredential, { id })
        terminal.write(options.json ? json(one) : describe(terminal, one, clock.now()))
      })
    })

  const simple = [
    [
      'disable',
      disableCredential.summary,
      (session: Session, id: string) => session.run(disableCredential, { id }),
      'is no longer used',
    ],
    [
      'enable',
      enableCredential.summary,
      (session: Session, id: string) => session.run(enableCredential, { id }),
      'is used again',
    ],
    [
      'rm',
      removeCredential.summary,
      (session: Session, id: string) => session.run(removeCredential, { id }),
      'is removed',
    ],
  ] as const
  for (const [verb, summary, run, done] of simple) {
    credential
      .command(verb)
      .description(summary)
      .argument('<id>')
      .action(async (id: string, _: unknown, command: Command) => {
        const options = command.optsWithGlobals() as GlobalOptions
        const output: unknown = await withSession(terminal, options, (session) => run(session, id))
        terminal.write(options.json ? json(output) : `${id} ${done}.\n`)
      })
  }

  credential
    .command('rename')
    .description(renameCredential.summary)
    .argument('<id>')
    .argument('<name>')
    .action(async (id: string, name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const one = await withSession(terminal, options, ({ run }) => run(renameCredential, { id, name }))
      terminal.write(options.json ? json(one) : `${id} is called ${name}.\n`)
    })

  for (const [verb, operation, done] of [
    ['share', shareCredential, 'is for the members of'],
    ['unshare', unshareCredential, 'is no more for the members of'],
  ] as const)
    credential
      .command(verb)
      .description(operation.summary)
      .argument('<id>')
      .requiredOption('--project <name>', 'the project')
      .action(async (id: string, _: unknown, command: Command) => {
        const { project, ...options } = command.optsWithGlobals() as GlobalOptions & { project: string }
        const output: unknown = await withSession(terminal, options, ({ run }) =>
          run(operation as typeof shareCredential, { id, project }),
        )
        terminal.write(options.json ? json(output) : `${id} ${done} ${project}.\n`)
      })

  for (const [verb, operation, done] of [
    ['use', useCredential, 'serves'],
    ['unuse', unuseCredential, 'no longer serves'],
  ] as const)
    credential
      .command(verb)
      .description(operation.summary)
      .argument('<id>')
      .requiredOption('--connection <name>', 'the connection')
      .requiredOption('--for <scope>', 'whom it serves there: user:ID, profile:NAME or shared')
      .action(async (id: string, _: unknown, command: Command) => {
        const { connection, for: scope, ...options } = command.optsWithGlobals() as UseOptions
        const output: unknown = await withSession(terminal, options, ({ run }) =>
          run(operation as typeof useCredential, { id, connection, for: scope }),
        )
        terminal.write(options.json ? json(output) : `${id} ${done} ${connection} for ${scope}.\n`)
      })

  addHandOver(credential, terminal)
  return credential
}

async function fieldsFor(terminal: Terminal, { methods, run }: Session, connection: string) {
  // First, so that nobody types a secret for a connection that is not there.
  const { method: id, provider: name, methodConfig } = await run(showConnection, { name: connection })
  if (!terminal.asking) return readFieldsFromInput(terminal)
  if (typeof methodConfig.type === 'string') {
    const { fields } = await run(showType, { name: methodConfig.type })
    return entered(await askForTyped(fields, terminal.asking))
  }
  const method = methods.get(id)
  if (!method) throw new LocumError('internal', `The connection's method is not known here.`)
  const provider = name === undefined ? undefined : await run(showProvider, { name })
  return entered(await askForFields(fieldsOf(method, provider), terminal.asking))
}

function entered(fields: JsonObject | undefined): JsonObject {
  if (fields) return fields
  throw new LocumError('bad_request', 'Nothing was entered, nothing was changed.')
}

function describe(terminal: Terminal, one: CredentialView, now: number): string {
  return facts([
    ['id', one.id],
    ['name', one.name],
    ...one.bindings.map((binding) => ['serves', `${binding.connection} for ${binding.for}`] as const),
    ['owner', one.owner],
    ['fields', one.fields.join(', ')],
    ['approved for', one.audience.join(', ')],
    ['projects', one.projects.join(', ')],
    ['state', one.blocked ? `${one.state} (by an administrator)` : one.state],
    ['offered to', one.offer && `${one.offer.to}, until ${timeText(terminal, one.offer.until, now)}`],
    ['version', String(one.version)],
    ['entered', timeText(terminal, one.changedAt, now)],
    ['managed by', one.managedBy && `the file named ${one.managedBy}`],
  ])
}
