import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { serveConsole } from './admin/listener.ts'
import type { ConsolePages } from './admin/pages.ts'
import { methods } from './auth-methods/index.ts'
import { StoreBroker } from './broker/broker.ts'
import { ConnectionBudgets } from './broker/budgets.ts'
import { Consents } from './broker/consents.ts'
import { StoreDirectory } from './broker/directory.ts'
import { Grants } from './broker/grants.ts'
import { Notices } from './broker/notices.ts'
import { Proofs } from './broker/proofs.ts'
import { openAuthority } from './certs/authority.ts'
import { followAuthority } from './certs/following.ts'
import { openSigningKeys } from './certs/signing.ts'
import { type Clock, turnClock } from './core/clock.ts'
import { destinationText } from './core/destination.ts'
import type { Egress } from './core/egress.ts'
import { LocumError } from './core/errors.ts'
import type { Issuer } from './core/identity.ts'
import type { Limits } from './core/limits.ts'
import { checkOpenness, type ListenSpec, parseListenAddress, type TlsFiles } from './core/listen.ts'
import type { Webhook } from './core/notice.ts'
import { type Connection, LINK, SYSTEM } from './core/words.ts'
import { IssuerCallers } from './identity/callers.ts'
import { IssuerLogins } from './identity/logins.ts'
import type { Bound } from './listeners/bind.ts'
import { Limiter, NEWCOMERS } from './proxy/limiter.ts'
import { ProxyListener } from './proxy/listener.ts'
import { Live } from './proxy/live.ts'
import type { Room } from './proxy/room.ts'
import { keyIsOf } from './proxy/specs.ts'
import type { Lookup } from './proxy/upstreams/addresses.ts'
import { callOutBy } from './proxy/upstreams/call-out.ts'
import type { UpstreamLimits } from './proxy/upstreams/limits.ts'
import { Upstreams } from './proxy/upstreams/upstreams.ts'
import { connectH1 } from './proxy/wire/h1/client.ts'
import { limitsWith, type Limits as WireLimits } from './proxy/wire/limits.ts'
import { meansOf } from './site.ts'
import { type OpenStore, openStore } from './store/open.ts'
import { VERSION } from './version.ts'

/** How long running requests may take to end when Locum stops, ms. */
export const GRACE = 30_000

/** An address as people write it: `HOST:PORT` (port 0 takes any) or `unix:/path`; with TLS where it says so. */
export type ListenText = string | { readonly address: string; readonly tls?: TlsFiles }

export interface Listen {
  readonly proxy: ListenText
  readonly console: ListenText
  /** For the gateway alone, which the proxy's address serves as well. */
  readonly gateway?: ListenText
  /** For the console's public pages alone. */
  readonly public?: ListenText
  /** The network is trusted: an address may be open to it without TLS. */
  readonly allowPlaintextListener?: boolean
}

export interface StartConfig {
  /** The data folder. */
  readonly data: string
  /** An open store of that folder; else it is opened, and closed at the end. */
  readonly store?: OpenStore
  readonly listen: Listen
  readonly identity?: { readonly default?: string; readonly issuers?: readonly Issuer[] }
  /** The parent proxy that everything leaves by. */
  readonly egress?: Egress
  /** Where notices of what somebody has to do are sent. */
  readonly notify?: Webhook
  /** Waits so many ms, between two tries; by the system's clock unless told. */
  readonly pause?: (ms: number) => Promise<unknown>
  /** What becomes of a CONNECT to a host that no connection names: refused unless told. */
  readonly unmatched?: 'deny' | 'tunnel'
  /** Whether a use waits until the disk has its record, not only the operating system. */
  readonly durability?: 'system' | 'disk'
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
  /** Every address of a name; the system's resolver unless told. */
  readonly lookup?: Lookup
  readonly methods?: typeof methods
  /** What each principal may use that has no limits of its own; how many clients may be unknown. */
  readonly callers?: Limits & { readonly newcomers?: number }
  /** Bounds other than the usual ones. */
  readonly limits?: { readonly wire?: Partial<WireLimits>; readonly upstreams?: Partial<UpstreamLimits> }
  /** Answers a challenge at the console as this process alone can. */
  readonly prove?: (challenge: string) => string
  /** For the operator; one line, never a secret. */
  readonly log?: (line: string) => void
}

export interface Running {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path`; so the others. */
  readonly proxyUrl: string
  readonly consoleUrl: string
  readonly gatewayUrl: string | undefined
  readonly publicUrl: string | undefined
  readonly room: Room
  /** What the pages that people use are made with. */
  readonly people: ConsolePages
  /** Stops taking new work and lets what is under way end within `grace` ms (30 s unless told). */
  close(grace?: number): Promise<void>
}

/**
 * Starts a Locum: the only place that sees every room. Throws bad_request for an address that is
 * none, or is open to the network without TLS, and for TLS files of no use; store_unavailable, internal;
 * and the socket's own error where a port is in use.
 */
export async function start(config: StartConfig): Promise<Running> {
  const clock = config.clock ?? turnClock
  const log = config.log ?? (() => {})
  const onfault = (error: unknown) => log(faultLine(error))
  const listen = readListen(config.listen)
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
    const budgets = new ConnectionBudgets({ store, clock })
    closers.push(() => budgets.close())
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
    const { id: siteId, url: siteUrl } = await store.site()
    const signingKeys = openSigningKeys(store, sealer, clock)
    const callOut = callOutBy(upstreams)
    /** Known when they are open. */
    const addresses: { url: string | undefined; gateway: string | undefined } = {
      url: siteUrl,
      gateway: undefined,
    }
    const connectUrl = (provider: string) => `${addresses.url}/connect/${provider}`
    const ending = new AbortController()
    closers.push(() => ending.abort())
    const pause = config.pause ?? ((ms) => wait(ms, undefined, { ref: false, signal: ending.signal }))
    const notices = config.notify && new Notices({ webhook: config.notify, callOut, clock, onfault, pause })
    const grants = new Grants({
      store,
      sealer,
      clock,
      callOut,
      signingKeys,
      ondead: ({ route, holder, provider }, { detail }) => {
        if (!provider) return
        const { id: credential, owner } = holder
        const authorizeUrl = connectUrl(provider.name)
        const about = { provider: provider.name, connection: route.connection.name, credential, owner }
        void notices?.send({ event: 'reauthorization_required', ...about, detail, authorizeUrl })
      },
    })
    const broker = new StoreBroker({ store, sealer, clock, directory, grants, connectUrl })
    closers.push(() => broker.close())
    const { issuers = [] } = config.identity ?? {}
    const tokens =
      issuers.length > 0 ? new IssuerCallers({ issuers, store, callOut, clock, audit }) : undefined
    directory.onchange((changes) => {
      following.take(changes)
      tokens?.forget(changes)
      for (const { kind, id } of changes) {
        if (kind === 'connection') upstreams.forget((key) => keyIsOf(key, { connection: id }))
        if (kind === 'credential') upstreams.forget((key) => keyIsOf(key, { credential: id }))
      }
    })
    const live = new Live({ directory, tokens, clock, onfault })
    closers.push(() => live.close())
    const prefix = randomBytes(6).toString('base64url')
    let last = 0
    const room: Room = {
      directory,
      tokens,
      broker,
      upstreams,
      audit,
      clock,
      live,
      budgets,
      limiter: new Limiter({ clock, usual: config.callers, newcomers: newcomersOf(config) }),
      passesUnmatched: config.unmatched === 'tunnel',
      counts: { requests: 0, refused: 0, uncredentialed: 0, masked: 0, unsearched: 0, unmatched: 0 },
      nextId: () => `${prefix}${(++last).toString(36)}`,
      onfault,
    }
    const { allowPlaintext } = listen
    const everyMethod = config.methods ?? methods
    const using = {
      ...{ as: SYSTEM, store, sealer, clock, audit, methods: everyMethod },
      random: (bytes: number) => randomBytes(bytes),
      means: meansOf(opened, {
        data: config.data,
        clock,
        withProving: (work) => work(new Proofs({ store, sealer, clock, methods: everyMethod, grants })),
      }),
    }
    const people: ConsolePages = {
      siteId,
      siteUrl,
      version: VERSION,
      using,
      opening: {
        ...using,
        as: LINK,
        env: {},
        readFile: readNothing,
        warn: log,
      },
      logins:
        tokens &&
        loginsOf(issuers, everyMethod, {
          store,
          sealer,
          clock,
          io: () => grants.io(),
          join: (...x) => tokens.join(...x),
        }),
      consents: new Consents({ store, sealer, clock, methods: everyMethod, audit, grants }),
      connectUrl,
      wayFor: async (origin) => ({
        gateway: addresses.gateway,
        direct: directBases(await store.connections(SYSTEM), origin),
      }),
    }
    const pagesAt = (at: ListenSpec, which: 'console' | 'public') => ({
      at,
      pages: which,
      allowPlaintext,
      clock,
      onfault,
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
      prove: which === 'console' ? config.prove : undefined,
      siteUrl,
      people,
    })
    const stands = <T extends Bound>(bound: T): T => {
      if (bound.tcp) listeners.push(bound.tcp)
      return bound
    }
    const serve = async (at: ListenSpec, which: 'console' | 'public') => {
      const listener = stands(await serveConsole(pagesAt(at, which)))
      closers.push(() => listener.close())
      return listener.url
    }
    const consoleUrl = await serve(listen.console, 'console')
    const publicUrl = listen.public && (await serve(listen.public, 'public'))
    const proxy = new ProxyListener(room, (host) => authority.leafFor(host), limits)
    closers.push(() => proxy.close(0))
    const bound = stands(await proxy.open(listen.proxy, { which: 'listen.proxy', allowPlaintext }))
    const gateway =
      listen.gateway &&
      stands(await proxy.open(listen.gateway, { which: 'listen.gateway', allowPlaintext, gatewayOnly: true }))
    addresses.url ??= publicUrl ?? consoleUrl
    addresses.gateway = [gateway?.url, bound.url].find((url) => url?.startsWith('http'))
    if (config.identity?.default !== undefined && !bound.local)
      log(`identity.default serves nobody at ${bound.url}: it needs a loopback address or a Unix socket`)
    if (config.durability === 'disk') audit.waitForDisk()
    audit.record({ event: 'start', version: VERSION, node: process.version })
    let closing: Promise<void> | undefined
    return {
      proxyUrl: bound.url,
      consoleUrl,
      gatewayUrl: gateway?.url,
      publicUrl,
      room,
      people,
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

/** What is asked over HTTP names no file of this machine. */
async function readNothing(): Promise<never> {
  throw new LocumError('not_allowed', 'No file of this machine is read.')
}

/** Undefined where no issuer has a client for it. */
function loginsOf(
  issuers: readonly Issuer[],
  known: typeof methods,
  x: Omit<ConstructorParameters<typeof IssuerLogins>[0], 'issuers' | 'consent'>,
): IssuerLogins | undefined {
  const consent = known.get('oauth2')?.consent
  if (!consent || !issuers.some(({ login }) => login !== undefined)) return undefined
  return new IssuerLogins({ ...x, issuers, consent })
}

/** Connections of a page that need no gateway, and where they are. */
function directBases(connections: readonly Connection[], origin: string): Record<string, string> {
  const direct = connections.filter(
    ({ method, corsOrigins }) => method === 'none' && corsOrigins.includes(origin),
  )
  const bases = direct.flatMap(({ name, base, destinations: [only, ...others] }) => {
    const text = base ?? (only && others.length === 0 && !only.wildcard ? destinationText(only) : undefined)
    return text === undefined ? [] : [[name, text.replace(/\/+$/, '')] as const]
  })
  return Object.fromEntries(bases)
}

/** Never so many that no file is left for those who are known. */
function newcomersOf({ callers }: StartConfig): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: unknown } } }
  const files = Number(userLimits?.open_files?.soft)
  return Math.min(callers?.newcomers ?? NEWCOMERS, files > 0 ? files >> 1 : NEWCOMERS)
}

/** Sealed and opened to see that the keys are there; it is kept nowhere. */
const PROBE = { table: 'probe', row: 'ready', field: 'value', version: 1, owner: 'site', audience: [] }

/** Everything is judged before anything is opened. Throws bad_request. */
function readListen(listen: Listen) {
  const allowPlaintext = listen.allowPlaintextListener ?? false
  const read = (written: ListenText, key: string): ListenSpec => {
    const which = `listen.${key}`
    const { address, tls } = typeof written === 'string' ? { address: written } : written
    const spec: ListenSpec = { address: parseListenAddress(address, which), tls }
    checkOpenness(spec, which, allowPlaintext)
    return spec
  }
  return {
    proxy: read(listen.proxy, 'proxy'),
    console: read(listen.console, 'console'),
    gateway: listen.gateway === undefined ? undefined : read(listen.gateway, 'gateway'),
    public: listen.public === undefined ? undefined : read(listen.public, 'public'),
    allowPlaintext,
  }
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
