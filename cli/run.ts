import { homedir } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { Command } from 'commander'
import { LOCAL } from '../core/words.ts'
import { borrowKey } from './borrowed-key.ts'
import { runChild, SignalRelay } from './child.ts'
import { clientEnvironment } from './client-environment.ts'
import { directHosts } from './direct-hosts.ts'
import { findServer } from './servers.ts'
import { type GlobalOptions, type LocalSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'
import { makeTrustFolder } from './trust-files.ts'
import type { EndWith } from './verbs.ts'

interface RunOptions extends GlobalOptions {
  readonly as: string
}

/** `locum run` */
export function runVerb(terminal: Terminal, end: EndWith): Command {
  return new Command('run')
    .requiredOption('--as <id>', 'who it calls as')
    .argument('<command...>', 'the program and its arguments, behind --')
    .usage('--as <id> [options] -- <command> [argument]…')
    .addHelpText(
      'after',
      `
It finds the proxy and a bundle with the site's CA in every variable that programs read for
them (docs/ENVIRONMENT.md), and of Locum's own variables no other. Its key is made for it, and
is no key any more once it ends. The server that runs on the data folder is used, or else one
that runs for as long as the program does. Signals are passed on; the exit code is the program's.

  $ locum run --as ada -- curl -H 'Authorization: Bearer <<$Auth.API_Key>>' https://api.stripe.com/v1/charges
  $ locum run --as billing -- npm start
  $ locum run --as ada -- bash`,
    )
    .action(async (words: readonly string[], _: unknown, command: Command) => {
      // Without it an option of the program's that this command knows too would be taken from it.
      if (!wordsOf(command).includes('--')) {
        command.error('error: the program stands behind --', { exitCode: 2 })
      }
      const options = command.optsWithGlobals() as RunOptions
      const relay = new SignalRelay()
      try {
        await withSite(terminal, options, async (session) => {
          end(await runIn(terminal, session, options.as, words, relay))
        })
      } finally {
        relay.close()
      }
    })
}

/** The command line as it was typed. */
function wordsOf(command: Command): readonly string[] {
  const { rawArgs = [] } = command.parent as Command & { rawArgs?: readonly string[] }
  return rawArgs
}

/** Returns the exit code. */
async function runIn(
  terminal: Terminal,
  session: LocalSession,
  id: string,
  [program = '', ...args]: readonly string[],
  relay: SignalRelay,
): Promise<number> {
  const warn = (line: string) => terminal.note(`locum: note: ${line}`)
  const borrowed = await borrowKey(session, id, warn)
  try {
    const serving = await findOrStart(terminal, session)
    try {
      const trust = await trustFolder(session, warn)
      try {
        const { direct, dropped } = await hosts(terminal, session)
        if (dropped.length > 0) warn(`NO_PROXY loses ${dropped.join(', ')}: a connection goes there`)
        const { protocol, host } = new URL(serving.proxyUrl)
        const env = clientEnvironment(terminal.env, {
          proxyUrl: `${protocol}//${encodeURIComponent(id)}:${borrowed.key}@${host}`,
          bareUrl: serving.proxyUrl,
          id,
          key: borrowed.key,
          direct,
          home: homeOf(terminal),
          trust,
        })
        // A signal that came while files were written is heard first: signals are looked for once a turn.
        for (const _ of [1, 2]) await setImmediate()
        if (relay.early !== undefined) return relay.early
        const ended = await runChild(program, args, env, relay)
        if (typeof ended === 'number') return ended
        terminal.note(`locum: run: ${ended.reason}`)
        return ended.code
      } finally {
        trust.remove()
      }
    } finally {
      await serving.close()
    }
  } finally {
    await borrowed.giveBack()
  }
}

/** Undefined for a user of whom the system knows nothing, as in many a container. */
function homeOf({ env }: Terminal): string | undefined {
  if (env.HOME) return env.HOME
  try {
    return homedir()
  } catch {
    // It has no other way to say so.
    return undefined
  }
}

interface Serving {
  readonly proxyUrl: string
  close(): Promise<void>
}

/** The server on this data folder, or one in this process. */
async function findOrStart(terminal: Terminal, { site }: LocalSession): Promise<Serving> {
  const server = await findServer(site.data)
  if (server) return { proxyUrl: server.proxyUrl, close: async () => {} }
  const { start } = await import('../main.ts')
  const listen = { proxy: '127.0.0.1:0', console: '127.0.0.1:0' }
  const log = (line: string) => terminal.note(`locum: ${line}`)
  const running = await start({ data: site.data, store: site, listen, env: terminal.env, log })
  // Whatever is still under way belongs to a program that has ended.
  return { proxyUrl: running.proxyUrl, close: () => running.close(0) }
}

async function trustFolder({ site }: LocalSession, warn: (line: string) => void) {
  const { truststore } = await import('../site.ts')
  const caPem = (await site.means.ca.export('pem')).toString()
  return makeTrustFolder({ caPem, truststore: (all) => truststore(all, 'changeit'), warn })
}

/** What the program reaches without Locum. */
async function hosts({ env }: Terminal, { site }: LocalSession) {
  const connections = await site.store.connections(LOCAL)
  const before = env.no_proxy || env.NO_PROXY
  return directHosts(
    before,
    connections.flatMap(({ destinations }) => destinations),
  )
}
