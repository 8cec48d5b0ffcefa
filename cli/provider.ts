import { Command } from 'commander'
import { listProviders, showProvider } from '../operations/providers.ts'
import { showTrustPolicy } from '../operations/proving.ts'
import { facts, json, shellWord, table } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

/** `locum provider …` */
export function providerCommand(terminal: Terminal): Command {
  const provider = new Command('provider')

  provider
    .command('ls')
    .description('List providers, without their secrets')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const all = await withSession(terminal, options, ({ run }) => run(listProviders, {}))
      if (options.json) return terminal.write(json(all))
      const rows = all.map(({ name, method, config, calls, connections, managedBy }) => [
        name,
        method,
        typeof config.grant === 'string' ? config.grant : '-',
        calls.join(' ') || '-',
        connections.join(' ') || '-',
        managedBy ?? '-',
      ])
      terminal.write(table(terminal, ['name', 'method', 'grant', 'asks', 'connections', 'file'], rows))
      if (rows.length === 0)
        terminal.note('None yet. Write one into a file and apply it: locum apply -f FILE')
    })

  provider
    .command('show')
    .description('Show one provider, without its secrets')
    .argument('<name>')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const one = await withSession(terminal, options, ({ run }) => run(showProvider, { name }))
      if (options.json) return terminal.write(json(one))
      terminal.write(
        facts([
          ['name', one.name],
          ['method', one.method],
          ...Object.entries(one.config).map(
            ([key, value]) => [key, key === 'ca' ? 'its own' : textOf(value)] as const,
          ),
          ['asks', one.calls.join(', ')],
          ['sealed', one.fields.join(', ')],
          ['connections', one.connections.join(', ')],
          ['managed by', one.managedBy && `the file named ${one.managedBy}`],
          ['version', String(one.version)],
        ]),
      )
    })
  provider
    .command('trust-policy')
    .description('Say what an AWS account has to set up before a role can be assumed')
    .argument('<name>')
    .option('--site <id...>', 'sites that may assume it, by their ids; this one unless told')
    .option('--principal <arn>', 'who assumes it; found out with the base credentials unless told')
    .addHelpText(
      'after',
      `
It works before there is a role. The last line makes one; its ARN then goes into the file as \`roleArn\`.

  $ locum provider trust-policy reports
  $ locum provider trust-policy reports --principal arn:aws:iam::123456789012:user/locum`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions & { site?: string[]; principal?: string }
      const { site: sites = [], principal } = options
      const trust = await withSession(terminal, options, ({ run }) =>
        run(showTrustPolicy, { name, sites, ...(principal === undefined ? {} : { principal }) }),
      )
      if (options.json) return terminal.write(json(trust))
      terminal.write(
        `${JSON.stringify(trust.policy, null, 2)}\n\n${trust.command.map(shellWord).join(' ')}\n`,
      )
    })
  return provider
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
