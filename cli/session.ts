import type { TSchema } from 'typebox'
import type { AuthMethods } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { LOCAL } from '../core/words.ts'
import type { Context, Operation } from '../operations/operation.ts'
import type { OpenSite, SiteOptions } from '../site.ts'
import { noteLine } from './output.ts'
import { findServer } from './servers.ts'
import type { Terminal } from './terminal.ts'

/** The options that every verb takes. */
export interface GlobalOptions {
  readonly data: string
  /** The console of another site, which does what the verb asks; undefined: the data folder. */
  readonly server?: string
  readonly json?: boolean
}

/** Where a verb's operations run: on a data folder, or at another site's server. */
export interface Session {
  readonly methods: AuthMethods
  readonly clock: Clock
  /** Where the server's console is; undefined where none runs. */
  consoleUrl(): Promise<string | undefined>
  run<I extends TSchema, O>(operation: Operation<I, O>, input: unknown): Promise<O>
}

/** A site that is open for one verb, by whoever holds its data folder. */
export interface LocalSession extends Session {
  readonly site: OpenSite
}

type LocalOptions = Pick<SiteOptions, 'data' | 'onTampered'> &
  Partial<Pick<SiteOptions, 'env'>> &
  Pick<GlobalOptions, 'server'>

function contextOf(site: OpenSite, terminal: Terminal, env: Context['env']): Context {
  return {
    as: LOCAL,
    store: site.store,
    sealer: site.sealer,
    methods: site.methods,
    audit: site.audit,
    clock: site.clock,
    means: site.means,
    random: site.random,
    env,
    readFile: site.readFile,
    warn: (line) => terminal.note(noteLine(line)),
  }
}

/**
 * Opens the data folder, works, and closes it whatever happens. Throws not_allowed where a server was
 * named: it is for whoever holds the data folder.
 */
export async function withSite<T>(
  terminal: Terminal,
  options: LocalOptions,
  work: (session: LocalSession) => Promise<T>,
): Promise<T> {
  const { data, onTampered, env = terminal.env } = options
  if (options.server !== undefined) {
    throw new LocumError('not_allowed', 'A server does not do that for anybody.', {
      hint: 'Run it on the machine that holds the data folder, without --server.',
    })
  }
  const { openSite } = await import('../site.ts')
  const site = await openSite({ data, env, onTampered })
  try {
    const context = contextOf(site, terminal, env)
    return await work({
      site,
      methods: site.methods,
      clock: site.clock,
      consoleUrl: async () => (await findServer(data))?.consoleUrl,
      async run(operation, input) {
        // With what checks an input it takes a third of the start: not every verb runs one.
        const { runOperation } = await import('../operations/operation.ts')
        return runOperation(context, operation, input)
      },
    })
  } finally {
    await site.close()
  }
}

/** As `withSite`, or at the server that `--server` names. */
export async function withSession<T>(
  terminal: Terminal,
  options: GlobalOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  if (options.server === undefined) return withSite(terminal, options, work)
  const { remoteSession } = await import('./remote.ts')
  return work(await remoteSession(terminal, options.server))
}
