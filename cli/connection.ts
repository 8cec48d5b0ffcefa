import { Command } from 'commander'
import { LocumError } from '../core/errors.ts'
import { type ConnectionView, listConnections, showConnection } from '../operations/connections.ts'
import { testConnection } from '../operations/proving.ts'
import { facts, json, table } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

/** `locum connection …` */
export function connectionCommand(terminal: Terminal): Command {
  const connection = new Command('connection')

  connection
    .command('ls')
    .description('List connections')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const all = await withSession(terminal, options, ({ run }) => run(listConnections, {}))
      if (options.json) return terminal.write(json(all))
      const rows = all.map((one) => [
        one.name,
        one.method,
        sourceText(one),
        one.destinations.join(' '),
        one.managedBy ?? '-',
      ])
      terminal.write(table(terminal, ['name', 'method', 'source', 'destinations', 'file'], rows))
      if (rows.length === 0) terminal.note('None yet. Write a file and apply it: locum apply -f FILE')
    })

  connection
    .command('show')
    .description('Show one connection')
    .argument('<name>')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const one = await withSession(terminal, options, ({ run }) => run(showConnection, { name }))
      if (options.json) return terminal.write(json(one))
      const { allow } = one
      terminal.write(
        facts([
          ['name', one.name],
          ['destinations', one.destinations.join(', ')],
          ['owned wildcard', one.ownedWildcard ? 'yes' : undefined],
          ['gateway base', one.base],
          ['method', one.method],
          ['provider', one.provider],
          ['credential source', sourceText(one)],
          ...one.headers.map(([header, value]) => ['sets', `${header}: ${value}`] as const),
          ...(one.query ?? []).map(([name, value]) => ['sets in the query', `${name}=${value}`] as const),
          ['merges into bodies', one.body && JSON.stringify(one.body)],
          ...slotFacts(one),
          ...Object.entries(one.placeholders ?? {}).map(
            ([text, path]) => ['stand-in', `${text} for ${path}`] as const,
          ),
          ['methods', allow.methods?.join(', ')],
          ['paths', allow.paths?.join(', ')],
          ['profiles', allow.profiles?.join(', ')],
          ['projects', allow.projects?.join(', ')],
          ['web origins', one.corsOrigins.join(', ')],
          ['private network', one.allowPrivateNetwork ? 'allowed' : undefined],
          ['plain http', one.allowPlaintext ? 'allowed for secrets' : undefined],
          ['CONNECT', one.intercept === false ? 'passes untouched' : undefined],
          ['budget', budgetText(one)],
          ['own CA', one.ca === undefined ? undefined : 'yes'],
          ['managed by', one.managedBy && `the file named ${one.managedBy}`],
          ['version', String(one.version)],
        ]),
      )
    })
  connection
    .command('test')
    .description(
      'Try one for a principal: whose credential serves, whether it opens, what is acquired with it',
    )
    .argument('<name>')
    .requiredOption('--as <id>', 'the principal')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions & { as: string }
      const proof = await withSession(terminal, options, ({ run }) =>
        run(testConnection, { name, as: options.as }),
      )
      if (options.json) terminal.write(json(proof))
      else
        for (const { says, holds, hint } of proof.findings) {
          terminal.write(`${holds ? '✓' : '✗'} ${says}\n`)
          if (hint !== undefined) terminal.write(`  ${hint}\n`)
        }
      const failed = proof.findings.find(({ holds }) => !holds)
      if (failed)
        throw new LocumError('not_allowed', `\`${name}\` does not do for ${options.as} what it should.`)
    })
  return connection
}

function budgetText({ budget }: ConnectionView): string | undefined {
  const { total, perCaller } = budget ?? {}
  const parts = [
    total && `${total.uses}/${total.per} in all`,
    perCaller && `${perCaller.uses}/${perCaller.per} by each caller`,
  ]
  return parts.filter(Boolean).join(', ') || undefined
}

function slotFacts({ slots = {} }: ConnectionView): (readonly [string, string | undefined])[] {
  const list = (names: readonly string[] | undefined) => names && (names.join(', ') || 'none')
  return [
    ['header slots', list(slots.headers)],
    ['path slot', slots.path ? 'yes' : undefined],
    ['query slots', list(slots.query)],
    ['JSON slots', list(slots.json)],
    ['form slots', list(slots.form)],
  ]
}

function sourceText({ source, fallback }: ConnectionView): string {
  return [source, ...fallback].join(', then ')
}
