import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { serveConsole } from './admin/listener.ts'
import { methods } from './auth-methods/index.ts'
import { StoreBroker } from './broker/broker.ts'
import { StoreDirectory } from './broker/directory.ts'
import { openAuthority } from './certs/authority.ts'
import { followAuthority } from './certs/following.ts'
import { type Clock, systemClock } from './core/clock.ts'
import { parseAuthority } from './core/destination.ts'
import type { Egress } from './core/egress.ts'
import { LocumError } from './core/errors.ts'
import { ProxyListener } from './proxy/listener.ts'
import { Live } from './proxy/live.ts'
import type { Room } from './proxy/room.ts'
import { keyIsOf } from './proxy/specs.ts'
import type { Lookup } from './proxy/upstreams/addresses.ts'
import type { UpstreamLimits } from './proxy/upstreams/limits.ts'
import { Upstreams } from './proxy/upstreams/upstreams.ts'
import { connectH1 } from './proxy/wire/h1/client.ts'
import { type Limits, limitsWith } from './proxy/wire/limits.ts'
import { type OpenStore, openStore } from './store/open.ts'
import { VERSION } from './version.ts'

/** How long running requests may take to end when Locum stops, ms. */
export const GRACE = 30_000

export interface StartConfig {
  /** The data folder. */
  readonly data: string
  /** An open store of that folder; else it is opened, and closed at the end. */
  readonly store?: OpenStore
  /** `HOST:PORT` each; port 0 takes any. */
  readonly listen: { readonly proxy: string; readonly console: string }
  readonly identity?: { readonly default?: string }
  /** The parent proxy that everything leaves by. */
  readonly egress?: Egress
  /** What becomes of a CONNECT to a host that no connection names: refused unless told. */
  readonly unmatched?: 'deny' | 'tunnel'
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
  /** Every address of a name; the system's resolver unless told. */
  readonly lookup?: Lookup
  readonly methods?: typeof methods
  /** Bounds other than the usual ones. */
  readonly limits?: { readonly wire?: Partial<Limits>; readonly upstreams?: Partial<UpstreamLimits> }
  /** Answers a challenge at the console as this process alone can. */
  readonly prove?: (challenge: string) => string
  /** For the operator; one line, never a secret. */
  readonly log?: (line: string) => void
}

export interface Running {
  readonly proxyUrl: string
  readonly consoleUrl: string
  readonly room: Room
  /** Stops taking new work and lets what is under way end within `grace` ms (30 s unless told). */
  close(grace?: number): Promise<void>
}

/**
 * Starts a Locum: the only place that sees every room. Throws bad_request for an address that is
 * none or is not loopback, store_unavailable, internal; and the socket's own error where a port is in use.
 */
export async function start(config: StartConfig): Promise<Running> {
  const clock = config.clock ?? systemClock
  const log = config.log ?? (() => {})
  const onfault = (error: unknown) => log(faultLine(error))
  const proxyAddress = readAddress(config.listen.proxy, 'proxy')
  const consoleAddress = readAddress(config.listen.console, 'console')
  const opened =
    config.store ??
    (await openStore({
      data: config.data,
      env: config.env,
      clock,
      onTampered: (table, id) => log(`the row ${id} in ${table} was changed outside Locum and is not used`),
    }))
  const closers: (() => Promise<void> | void)[] = config.store ? [] : [() => opened.close()]
  const unwind = async () => {
    for (const close of closers.reverse()) await close()
  }
  try {
    const { store, sealer, audit } = opened
    const authority = await openAuthority(store, sealer, clock)
    closers.push(() => authority.close())
    const following = followAuthority(authority, onfault)
    closers.push(() => following.close())
    const directory = new StoreDirectory({
      store,
      methods: config.methods ?? methods,
      clock,
      defaultPrincipal: config.identity?.default,
      onfault,
    })
    await directory.start()
    closers.push(() => directory.close())
    const broker = new StoreBroker({ store, sealer, clock, directory, fetch: globalThis.fetch })
    closers.push(() => broker.close())
    const listeners: { address: string; port: number }[] = []
    const limits = limitsWith(config.limits?.wire ?? {})
    const upstreams = new Upstreams({
      connect: (socket) => connectH1(socket, { limits }),
      limits: config.limits?.upstreams,
      lookup: config.lookup ?? ((name) => lookup(name, { all: true })),
      egress: config.egress,
      ownListeners: () => listeners,
    })
    closers.push(() => upstreams.close())
    directory.onchange((changes) => {
      following.take(changes)
      for (const { kind, id } of changes) {
        if (kind === 'connection') upstreams.forget((key) => keyIsOf(key, { connection: id }))
        if (kind === 'credential') upstreams.forget((key) => keyIsOf(key, { credential: id }))
      }
    })
    const live = new Live({ directory, clock, onfault })
    closers.push(() => live.close())
    const prefix = randomBytes(6).toString('base64url')
    let last = 0
    const room: Room = {
      directory,
      broker,
      upstreams,
      audit,
      clock,
      live,
      passesUnmatched: config.unmatched === 'tunnel',
      counts: { requests: 0, refused: 0, uncredentialed: 0, masked: 0, unsearched: 0, unmatched: 0 },
      nextId: () => `${prefix}${(++last).toString(36)}`,
      onfault,
    }
    const { url: siteUrl } = await store.site()
    const consoleListener = await serveConsole({
      address: `${consoleAddress.host}:${consoleAddress.port}`,
      checks: {
        store: async () => {
          await store.head()
          directory.checkFresh()
        },
        keys: async () => {
          sealer.open(PROBE, sealer.seal(PROBE, Buffer.of(1)))
        },
        ca: async () => {
          authority.leafFor('localhost')
        },
      },
      get caPem() {
        return authority.trustedPem
      },
      prove: config.prove,
      siteUrl,
    })
    closers.push(() => consoleListener.close())
    const proxy = new ProxyListener(room, (host) => authority.leafFor(host), limits)
    const bound = await proxy.listen(bare(proxyAddress.host), proxyAddress.port)
    closers.push(() => proxy.close(0))
    listeners.push(bound, addressOfUrl(consoleListener.url))
    audit.record({ event: 'start', version: VERSION, node: process.version })
    let closing: Promise<void> | undefined
    return {
      proxyUrl: `http://${proxyAddress.host}:${bound.port}`,
      consoleUrl: consoleListener.url,
      room,
      close: (grace = GRACE) => {
        closing ??= proxy.close(grace).then(async () => {
          audit.record({ event: 'stop', version: VERSION, node: process.version })
          await unwind()
        })
        return closing
      },
    }
  } catch (error) {
    await unwind()
    throw error
  }
}

/** Sealed and opened to see that the keys are there; it is kept nowhere. */
const PROBE = { table: 'probe', row: 'ready', field: 'value', version: 1, owner: 'site', audience: [] }

/** Without TLS a listener stands on loopback only: keys would be read on the way. */
function readAddress(text: string, which: string): { host: string; port: number } {
  const match = /^(.*):(\d{1,5})$/.exec(text)
  const parsed = match && parseAuthority(match[1] as string)
  const port = Number(match?.[2])
  if (!parsed || port > 65_535) {
    throw new LocumError('bad_request', `\`${text}\` is not an address for listen.${which}.`, {
      hint: 'Write HOST:PORT, as in 127.0.0.1:8080.',
    })
  }
  if (!/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(parsed.host)) {
    throw new LocumError(
      'bad_request',
      `listen.${which} is ${text}: without TLS it can only be a loopback address.`,
      {
        hint: 'Use 127.0.0.1, or [::1].',
      },
    )
  }
  return { host: parsed.host, port }
}

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}

function addressOfUrl(text: string): { address: string; port: number } {
  const { hostname, port } = new URL(text)
  return { address: bare(hostname), port: Number(port) }
}

/**
 * A fault for the operator's log: our own codes and texts, and of what nobody expected its class, its
 * code and where it was thrown. Its message is left out, since it may quote what was sent.
 */
function faultLine(error: unknown): string {
  if (error instanceof LocumError) {
    const { cause } = error
    return cause === undefined ? error.message : `${error.message} (${faultLine(cause)})`
  }
  if (!(error instanceof Error)) return 'something that is no error was thrown'
  const { code } = error as NodeJS.ErrnoException
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return [`${error.name}${code === undefined ? '' : ` ${code}`}`, ...frames].join('\n')
}
