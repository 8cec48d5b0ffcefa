import { Command } from 'commander'
import {
  addMember,
  addProject,
  listProjects,
  type ProjectView,
  removeMember,
  removeProject,
  showProject,
} from '../operations/projects.ts'
import { facts, json, table } from './output.ts'
import { type GlobalOptions, type Session, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

/** `locum project …` */
export function projectCommand(terminal: Terminal): Command {
  const project = new Command('project')

  project
    .command('ls')
    .description(listProjects.summary)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const all = await withSite(terminal, options, ({ run }) => run(listProjects, {}))
      if (options.json) return terminal.write(json(all))
      const rows = all.map((one) => [
        one.name,
        membersText(one) || '-',
        one.credentials.join(',') || '-',
        one.connections.join(',') || '-',
      ])
      terminal.write(table(terminal, ['name', 'members', 'credentials', 'connections'], rows))
      if (rows.length === 0) terminal.note('None yet. locum project add NAME')
    })

  const simple = [
    ['show', showProject.summary, ({ run }: Session, name: string) => run(showProject, { name }), ''],
    ['add', addProject.summary, ({ run }: Session, name: string) => run(addProject, { name }), 'is added'],
    [
      'rm',
      removeProject.summary,
      ({ run }: Session, name: string) => run(removeProject, { name }),
      'is gone',
    ],
  ] as const
  for (const [verb, summary, run, done] of simple) {
    project
      .command(verb)
      .description(summary)
      .argument('<name>')
      .action(async (name: string, _: unknown, command: Command) => {
        const options = command.optsWithGlobals() as GlobalOptions
        const one = await withSite(terminal, options, (session) => run(session, name))
        if (options.json) terminal.write(json(one))
        else terminal.write(done === '' ? describe(one) : `${name} ${done}.\n`)
      })
  }

  const member = project.command('member').description('Who uses what is shared with it')
  member
    .command('add')
    .description(addMember.summary)
    .argument('<project>')
    .argument('<id>')
    .option('--editor', 'they say who else is a member, too')
    .action(async (name: string, id: string, _: unknown, command: Command) => {
      const { editor, ...options } = command.optsWithGlobals() as GlobalOptions & { editor?: boolean }
      const input = { project: name, id, ...(editor && { editor }) }
      const one = await withSite(terminal, options, ({ run }) => run(addMember, input))
      terminal.write(options.json ? json(one) : `${id} is ${editor ? 'an editor' : 'a member'} of ${name}.\n`)
    })
  member
    .command('rm')
    .description(removeMember.summary)
    .argument('<project>')
    .argument('<id>')
    .action(async (name: string, id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const one = await withSite(terminal, options, ({ run }) => run(removeMember, { project: name, id }))
      terminal.write(options.json ? json(one) : `${id} is in ${name} no more.\n`)
    })
  return project
}

function membersText({ members }: ProjectView): string {
  return members.map(({ id, editor }) => (editor ? `${id} (editor)` : id)).join(',')
}

function describe(one: ProjectView): string {
  return facts([
    ['name', one.name],
    ['members', membersText(one).replaceAll(',', ', ')],
    ['shared with it', one.credentials.join(', ')],
    ['connections', one.connections.join(', ')],
  ])
}
