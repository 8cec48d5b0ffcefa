import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import type { TlsFiles } from '../core/listen.ts'
import { withoutSecrets } from '../core/shown.ts'
import type { Connection } from '../core/words.ts'
import { LOCAL } from '../core/words.ts'
import type { Running } from '../main.ts'
import { applyFile } from '../operations/apply.ts'
import type { FileContent } from '../operations/file.ts'
import { addFirstAdministrator, dropFirstAdministrator } from '../operations/principals.ts'
import { changesText } from './apply.ts'
import { contentOf, json } from './output.ts'
import { ServerSign } from './servers.ts'
import { type GlobalOptions, type LocalSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ServeOptions extends GlobalOptions {
  readonly config?: string
  readonly proxy?: string
  readonly console?: string
  /** Seconds. */
  readonly grace: number
}

/** Where the proxy is unless told otherwise. */
export const PROXY = '127.0.0.1:8080'
const CONSOLE = '127.0.0.1:8081'
/** Seconds. */
const GRACE = 30

/** `locum serve` */
export function serveCommand(terminal: Terminal): Command {
  return new Command('serve')
    .option('--config <file>', 'apply this YAML or JSON file first')
    .option(
      '--proxy <address>',
      `where clients send their requests: host:port or unix:/path (default: ${PROXY})`,
    )
    .option(
      '--console <address>',
      `where health and the CA's certificate are, likewise (default: ${CONSOLE})`,
    )
    .option(
      '--grace <seconds>',
      'how long running requests may take to end when told to stop',
      seconds,
      GRACE,
    )
    .addHelpText(
      'after',
      `
The first start makes what is missing in the data folder and gives the administrator's
key once: here on a terminal, otherwise in the file admin-key in the data folder.

  $ locum serve
  $ STRIPE_KEY=… locum serve --config billing.yaml --proxy 127.0.0.1:9080`,
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as ServeOptions
      const log = (line: string) => terminal.note(withoutSecrets(`locum: ${line}`))
      const onTampered = (table: string, id: string) =>
        log(`the row ${id} in ${table} was changed outside Locum and is not used`)
      await withSite(terminal, { data: options.data, server: options.server, onTampered }, (session) =>
        serve(terminal, session, options, log),
      )
    })
}

function seconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It is a number of seconds.')
  return Number(text)
}

async function serve(
  terminal: Terminal,
  session: LocalSession,
  options: ServeOptions,
  log: (line: string) => void,
): Promise<void> {
  const stopped = terminal.untilStopped()
  const content = options.config === undefined ? undefined : await applyConfig(session, options.config, log)
  const sign = new ServerSign(session.site.data)
  const running = await startOn(session, options, content, terminal.env, log, sign)
  try {
    await sign.put(running)
    const given = await giveFirstKey(terminal, session)
    const connections = await session.site.store.connections(LOCAL)
    const { proxyUrl: proxy, consoleUrl, gatewayUrl: gateway, publicUrl } = running
    const started = { proxy, console: consoleUrl, gateway, public: publicUrl, data: session.site.data }
    if (options.json) terminal.write(json({ ...started, ...given }))
    else terminal.write(welcome(running, session.site.data, given, connections))
    // The default one is made where there is none.
    await session.site.means.signing.list(session.site.store)
    await stopped
    log(`stopping; running requests have ${options.grace} s to end`)
  } finally {
    await sign.withdraw()
    await running.close(options.grace * 1000)
  }
}

async function applyConfig(
  session: LocalSession,
  file: string,
  log: (line: string) => void,
): Promise<FileContent> {
  const { changes, content } = await session.run(applyFile, { file })
  for (const line of changesText(changes, false).trimEnd().split('\n')) log(`${file}: ${line}`)
  return content
}

async function startOn(
  { site }: LocalSession,
  options: ServeOptions,
  content: FileContent | undefined,
  env: Terminal['env'],
  log: (line: string) => void,
  sign: ServerSign,
): Promise<Running> {
  const { start } = await import('../main.ts')
  const { listen: written } = content ?? {}
  // An option moves a listener; TLS that the file gives it stays.
  const moved = (
    address: string | undefined,
    usual: string,
    entry?: { address: string; tls?: TlsFiles },
  ) => ({
    address: address ?? entry?.address ?? usual,
    tls: entry?.tls,
  })
  const listen = {
    ...written,
    proxy: moved(options.proxy, PROXY, written?.proxy),
    console: moved(options.console, CONSOLE, written?.console),
  }
  const prove = (challenge: string) => sign.prove(challenge)
  try {
    const { identity, egress, notify, unmatched, limits: callers, audit } = content ?? {}
    return await start({
      data: site.data,
      store: site,
      listen,
      identity,
      egress,
      notify,
      unmatched,
      callers,
      durability: audit?.durability,
      env,
      log,
      prove,
    })
  } catch (thrown) {
    throw listenError(thrown)
  }
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program',
  EACCES: 'may not be used by this user',
  EADDRNOTAVAIL: 'is no address of this machine',
}

function listenError(thrown: unknown): unknown {
  const { code, address, port } = thrown as NodeJS.ErrnoException & { address?: string; port?: number }
  const reason = LISTEN_ERRORS[code ?? '']
  if (reason === undefined) return thrown
  return new LocumError('bad_request', `The address ${address}:${port} ${reason}.`, {
    hint: 'Choose another with --proxy HOST:PORT and --console HOST:PORT.',
    cause: thrown,
  })
}

/** What is known of the administrator's key: itself, or the file that it is in. */
interface FirstKey {
  readonly adminKey?: string
  readonly adminKeyFile?: string
}

/** Nothing but the first time. A key that could not be handed over is taken back. */
async function giveFirstKey(terminal: Terminal, { site, run }: LocalSession): Promise<FirstKey> {
  const given = await run(addFirstAdministrator, {})
  if (!given) return {}
  if (terminal.isInteractive) return { adminKey: given.key }
  const file = join(site.data, 'admin-key')
  try {
    // A file from before would keep its permissions.
    await rm(file, { force: true })
    await writeFile(file, `${given.key}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    await run(dropFirstAdministrator, {})
    throw new LocumError('internal', `The administrator's key cannot be written to ${file}.`, {
      hint: 'Look at the permissions of the folder, and whether the disk is full.',
      cause,
    })
  }
  return { adminKeyFile: file }
}

function welcome(
  { proxyUrl, consoleUrl, gatewayUrl, publicUrl }: Running,
  data: string,
  { adminKey, adminKeyFile }: FirstKey,
  connections: readonly Connection[],
): string {
  const key = adminKey ?? (adminKeyFile === undefined ? '$LOCUM_KEY' : contentOf(adminKeyFile))
  const exact = connections.flatMap(({ destinations }) => destinations).filter(({ wildcard }) => !wildcard)
  const reached = exact.find(({ scheme }) => scheme === 'https') ?? exact[0]
  const lines = [
    `Locum serves ${data}`,
    '',
    `  proxy    ${proxyUrl}   ${proxyUrl.startsWith('unix:') ? '' : 'HTTP_PROXY and HTTPS_PROXY; '}apps with a base URL: ${baseUrl(proxyUrl)}/c/NAME/`,
    ...(gatewayUrl === undefined
      ? []
      : [`  gateway  ${gatewayUrl}   ${baseUrl(gatewayUrl)}/c/NAME/ and nothing else`]),
    `  console  ${consoleUrl}   /healthz /readyz /ca.pem`,
    ...(publicUrl === undefined ? [] : [`  public   ${publicUrl}   /healthz`]),
    '',
  ]
  if (adminKey !== undefined)
    lines.push('The key of the administrator `admin`, shown this once:', '', `  ${adminKey}`, '')
  if (adminKeyFile !== undefined)
    lines.push(`The key of the administrator \`admin\` is in ${adminKeyFile}`, '')
  if (reached) {
    const url = destinationText(reached).replace(/^https:/, 'http:')
    lines.push(
      reached.scheme === 'https' ? 'Try it (to the upstream it is https all the same):' : 'Try it:',
      '',
    )
    lines.push(`  ${curlThrough(proxyUrl, key, `${url}/`)}`)
  } else {
    lines.push('There are no connections yet: locum apply -f FILE adds them. Is it alive?', '')
    lines.push(`  curl ${socketOption(consoleUrl)}${baseUrl(consoleUrl)}/healthz`)
  }
  return `${lines.join('\n')}\n\n`
}

/** What stands before a path. A client of a Unix socket names any host; this one is a loopback name. */
function baseUrl(url: string): string {
  return url.startsWith('unix:') ? 'http://localhost' : url
}

function socketOption(url: string): string {
  return url.startsWith('unix:') ? `--unix-socket '${url.slice('unix:'.length)}' ` : ''
}

/** curl knows no proxy on a Unix socket, but it sends what it is told to. */
function curlThrough(proxyUrl: string, key: string, url: string): string {
  if (!proxyUrl.startsWith('unix:')) return `curl --proxy ${proxyUrl} --proxy-user "admin:${key}" ${url}`
  const header = `Proxy-Authorization: Bearer ${key}`
  return `curl ${socketOption(proxyUrl)}--header "${header}" --request-target ${url} ${url}`
}
