import { Command, Option } from 'commander'
import { type GivenLink, invitePrincipal, linkPrincipalKey } from '../operations/links.ts'
import {
  addPrincipal,
  disablePrincipal,
  enablePrincipal,
  type GivenKey,
  listPrincipals,
  type PrincipalView,
  revokePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../operations/principals.ts'
import { findHome } from './home.ts'
import { facts, json, table, timeText } from './output.ts'
import { type GlobalOptions, type Session, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

interface AddOptions extends GlobalOptions {
  readonly kind: string
  readonly profile?: string
  readonly email?: string
  readonly project: readonly string[]
  readonly admin?: boolean
  readonly mayActFor: readonly string[]
  readonly ttl?: string
  readonly link?: boolean
  readonly connections?: number
  readonly inFlight?: number
  readonly rate?: number
  readonly burst?: number
}

/** A verb that takes an id: its name, what it is for, its work, what to say when it is done. */
type Simple = readonly [string, string, (session: Session, id: string) => Promise<unknown>, string]

const LINK_HELP = 'instead of the key, print a link at which it is fetched, once and within a day'

const append = (value: string, before: readonly string[]) => [...before, value]

/** `locum principal …` */
export function principalCommand(terminal: Terminal): Command {
  const principal = new Command('principal')

  principal
    .command('add')
    .description('Add a user or a service and print its proxy key, once')
    .argument('<id>', 'letters, digits and . _ @ -')
    .addOption(new Option('--kind <kind>', 'what it is').choices(['user', 'service']).default('user'))
    .option('--profile <profile>', 'the profile whose credentials it may fall back to')
    .option('--email <address>', 'its e-mail address, for $User.Email')
    .option('--project <project>', 'a project it belongs to (may be repeated)', append, [])
    .option('--admin', 'let it administer this installation')
    .option(
      '--may-act-for <whom>',
      'users for whom it may call with Locum-For: user:*, user:ID or profile:NAME (may be repeated)',
      append,
      [],
    )
    .option('--ttl <duration>', 'how long the key is valid: 90d, 12h, 30m (without it: until it is revoked)')
    .option('--link', LINK_HELP)
    .option('--connections <n>', 'connections of its clients at once', Number)
    .option('--in-flight <n>', 'requests under way at once', Number)
    .option('--rate <n>', 'requests a second, in the long run', Number)
    .option('--burst <n>', 'requests at once after a pause', Number)
    .addHelpText(
      'after',
      `
The key is printed alone on standard output, so that it can be kept at once:

  $ locum principal add ada --profile sales > ada.key
  $ locum principal add billing --kind service --ttl 90d`,
    )
    .action(async (id: string, _: unknown, command: Command) => {
      const { kind, profile, email, project, admin, mayActFor, ttl, link, ...more } =
        command.optsWithGlobals() as AddOptions
      const { connections, inFlight, rate, burst, ...options } = more
      const limits = defined({ connections, inFlight, rate, burst })
      const input = {
        ...{ id, kind, profile, email, projects: project, admin, mayActFor, ttl },
        limits: Object.keys(limits).length > 0 ? limits : undefined,
      }
      await withSession(terminal, options, async (session) => {
        const done = `Added ${id} (${kind}).`
        if (link) return giveLink(terminal, options, session, invitePrincipal, defined(input), done)
        printKey(terminal, options, await session.run(addPrincipal, defined(input)), done)
      })
    })

  principal
    .command('ls')
    .description('List users and services')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const principals = await run(listPrincipals, {})
        if (options.json) return terminal.write(json(principals))
        const now = clock.now()
        const rows = principals.map((one) => [
          one.id,
          one.kind,
          one.profile ?? '-',
          one.projects.join(',') || '-',
          keysText(one, now),
          stateOf(one),
          timeText(terminal, one.createdAt, now),
        ])
        const heads = ['id', 'kind', 'profile', 'projects', 'keys', 'state', 'added']
        terminal.write(table(terminal, heads, rows))
        if (rows.length === 0) terminal.note('Nobody yet. Add one: locum principal add ID')
      })
    })

  principal
    .command('show')
    .description('Show one user or service')
    .argument('<id>')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const one = await run(showPrincipal, { id })
        if (options.json) return terminal.write(json(one))
        const now = clock.now()
        terminal.write(
          facts([
            ['id', one.id],
            ['kind', one.kind],
            ['profile', one.profile],
            ['email', one.email],
            ['projects', one.projects.join(', ')],
            ['administrator', one.admin ? 'yes' : undefined],
            ['may act for', one.mayActFor?.join(', ')],
            ['limits', limitsText(one)],
            ['state', stateOf(one)],
            ['added', timeText(terminal, one.createdAt, now)],
            ['revoked', one.revokedAt === undefined ? undefined : timeText(terminal, one.revokedAt, now)],
            ['link until', one.linkUntil === undefined ? undefined : timeText(terminal, one.linkUntil, now)],
            ['managed by', one.managedBy && `the file named ${one.managedBy}`],
            ['issuer', one.federated?.issuer],
            [one.federated?.claim ?? 'subject', one.federated?.subject],
            [
              'keys',
              one.keys.length > 0 || one.federated ? undefined : `none (locum principal rotate-key ${id})`,
            ],
            ...one.keys.map(
              ({ createdAt, expiresAt }) =>
                [
                  'key',
                  `given ${timeText(terminal, createdAt, now)}${expiresAt === undefined ? '' : `, ends ${timeText(terminal, expiresAt, now)}`}`,
                ] as const,
            ),
          ]),
        )
      })
    })

  principal
    .command('rotate-key')
    .description('Stop all of its keys and print a new one, once')
    .argument('<id>')
    .option('--ttl <duration>', 'how long the new key is valid: 90d, 12h, 30m')
    .option('--link', LINK_HELP)
    .addHelpText(
      'after',
      `
Where a user had a key before, their own credentials are disabled by this until they
are entered again: whoever can give keys must not get at a user's secrets with one.`,
    )
    .action(async (id: string, _: unknown, command: Command) => {
      const { ttl, link, ...options } = command.optsWithGlobals() as AddOptions
      await withSession(terminal, options, async (session) => {
        const done = `Keys that ${id} had before no longer work.`
        const input = defined({ id, ttl })
        if (link) return giveLink(terminal, options, session, linkPrincipalKey, input, done)
        printKey(terminal, options, await session.run(rotatePrincipalKey, input), done)
      })
    })

  const simple: readonly Simple[] = [
    [
      'disable',
      disablePrincipal.summary,
      (session, id) => session.run(disablePrincipal, { id }),
      'is refused until it is enabled again',
    ],
    [
      'enable',
      enablePrincipal.summary,
      (session, id) => session.run(enablePrincipal, { id }),
      'may call again',
    ],
    [
      'revoke',
      revokePrincipal.summary,
      (session, id) => session.run(revokePrincipal, { id }),
      'has no key any more, and no certificate from before counts',
    ],
  ]
  for (const [verb, summary, run, done] of simple) {
    principal
      .command(verb)
      .description(summary)
      .argument('<id>')
      .action(async (id: string, _: unknown, command: Command) => {
        const options = command.optsWithGlobals() as GlobalOptions
        const output: unknown = await withSession(terminal, options, (session) => run(session, id))
        terminal.write(options.json ? json(output) : `${id} ${done}.\n`)
      })
  }
  return principal
}

/** Without the members that were left out. */
function defined(input: object): object {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
}

/** The key alone on standard output; what people should know beside it. */
function printKey(terminal: Terminal, options: GlobalOptions, given: GivenKey, done: string): void {
  if (options.json) return terminal.write(json(given))
  terminal.note(`${done} This is its proxy key, shown once:`)
  terminal.write(`${given.key}\n`)
}

/** The link alone on standard output. Whoever sends it on never sees the key. */
async function giveLink(
  terminal: Terminal,
  options: GlobalOptions,
  session: Session,
  operation: typeof invitePrincipal | typeof linkPrincipalKey,
  input: object,
  done: string,
): Promise<void> {
  const home = await findHome(session, 'a link leads to one')
  const { ticket, ...given }: GivenLink = await session.run(operation as typeof linkPrincipalKey, input)
  const link = `${home}/key?ticket=${ticket}`
  if (options.json) return terminal.write(json({ ...given, link }))
  terminal.note(`${done} At this link it fetches its key, once and within a day:`)
  terminal.write(`${link}\n`)
}

function keysText({ keys }: PrincipalView, now: number): string {
  const expired = keys.filter(({ expiresAt }) => expiresAt !== undefined && expiresAt <= now).length
  return expired === 0 ? String(keys.length) : `${keys.length - expired} (${expired} expired)`
}

function limitsText({ limits }: PrincipalView): string | undefined {
  return (
    limits &&
    Object.entries(limits)
      .map(([name, most]) => `${name} ${most}`)
      .join(', ')
  )
}

function stateOf(one: PrincipalView): string {
  if (one.disabled) return 'disabled'
  return one.admin ? 'administrator' : 'active'
}
