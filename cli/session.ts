import type { TSchema } from 'typebox'
import { LOCAL } from '../core/words.ts'
import type { Context, Operation } from '../operations/operation.ts'
import type { OpenSite, SiteOptions } from '../site.ts'
import type { Terminal } from './terminal.ts'

/** The options that every verb takes. */
export interface GlobalOptions {
  readonly data: string
  readonly json?: boolean
}

/** A site that is open for one verb, by whoever holds its data folder. */
export interface Session {
  readonly site: OpenSite
  run<I extends TSchema, O>(operation: Operation<I, O>, input: unknown): Promise<O>
}

function contextOf(site: OpenSite, terminal: Terminal, env: Context['env']): Context {
  return {
    as: LOCAL,
    store: site.store,
    sealer: site.sealer,
    methods: site.methods,
    audit: site.audit,
    clock: site.clock,
    random: site.random,
    env,
    readFile: site.readFile,
    warn: (line) => terminal.note(`locum: note: ${line}`),
  }
}

/** Opens the data folder, works, and closes it whatever happens. */
export async function withSite<T>(
  terminal: Terminal,
  options: Pick<SiteOptions, 'data' | 'onTampered'> & Partial<Pick<SiteOptions, 'env'>>,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { data, onTampered, env = terminal.env } = options
  const { openSite } = await import('../site.ts')
  const site = await openSite({ data, env, onTampered })
  try {
    const context = contextOf(site, terminal, env)
    return await work({
      site,
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
