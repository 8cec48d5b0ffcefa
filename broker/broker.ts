import { audienceFor, BASE, barredSlots, checkSlots, redactFor } from '../core/approval.ts'
import type { Clock } from '../core/clock.ts'
import { type Destination, destinationText } from '../core/destination.ts'
import type { Broker, Directory, Material, OpenRequest } from '../core/directory.ts'
import { LocumError } from '../core/errors.ts'
import {
  bindingPlace,
  isByConsent,
  needsNoCredential,
  noCredentialId,
  placeOf,
  withProvider,
} from '../core/provider.ts'
import { baseOf, noConnection, type Route, reaches } from '../core/route.ts'
import { Secret } from '../core/secret.ts'
import {
  checkCaller,
  checkPlaintext,
  checkShared,
  checkUse,
  missingCredential,
  scopesFor,
} from '../core/source.ts'
import type { Sealer, Store } from '../core/store.ts'
import {
  type Change,
  type Connection,
  type Credential,
  type Provider,
  type Scope,
  SYSTEM,
} from '../core/words.ts'
import { type GrantRequest, type Grants, type HeldGrant, type Holder, RETRY } from './grants.ts'
import { openFields, openProvider } from './opening.ts'

/** Open credentials kept, for one caller, connection and destination each; the oldest go first. */
const OPEN_LIMIT = 10_000
/** An open credential that nobody used for this long is forgotten, ms. */
export const IDLE_LIMIT = 300_000

/** What may be over the next time. */
const PASSING: readonly string[] = ['refresh_failed', 'store_unavailable', 'internal']
/** What somebody's consent puts right. */
const BY_CONSENT: readonly string[] = [
  'credential_missing',
  'credential_outside_audience',
  'reauthorization_required',
]

/** What it asks of the directory. */
type Watched = Pick<Directory, 'onchange' | 'routeNamed'>

interface Kept {
  readonly material: Material
  readonly route: Route
  readonly caller: string
  /** Unix ms; undefined: when it is refused. */
  renewAt: number | undefined
  usedAt: number
}

/** `refused`: the generation that will not do; `ahead`: what is there still serves. */
interface How {
  readonly refused?: number
  readonly ahead?: boolean
}

/** Resolves whose credential serves, opens it and keeps it open, bounded, until something changes. */
export class StoreBroker implements Broker {
  readonly #store: Store
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #directory: Watched
  readonly #grants: Grants
  readonly #connectUrl: ((provider: string) => string) | undefined
  readonly #limit: number
  readonly #kept = new Map<string, Kept>()
  readonly #underWay = new Map<string, Promise<Material>>()
  readonly #sweep: NodeJS.Timeout
  /** Grows with every change of who may use what. */
  #epoch = 0

  constructor(x: {
    store: Store
    sealer: Sealer
    clock: Clock
    directory: Watched
    grants: Grants
    /** Where people consent at a provider, if there is such a page. */
    connectUrl?: (provider: string) => string
    /** Open credentials kept at most. */
    limit?: number
  }) {
    this.#store = x.store
    this.#sealer = x.sealer
    this.#clock = x.clock
    this.#directory = x.directory
    this.#grants = x.grants
    this.#connectUrl = x.connectUrl
    this.#limit = x.limit ?? OPEN_LIMIT
    x.directory.onchange((changes) => this.#forget(changes))
    this.#sweep = setInterval(() => this.#forgetIdle(), IDLE_LIMIT / 5)
    this.#sweep.unref()
  }

  close(): void {
    clearInterval(this.#sweep)
    this.#kept.clear()
  }

  open(request: OpenRequest): Material | Promise<Material> {
    const key = keyOf(request)
    const kept = this.#kept.get(key)
    const now = this.#clock.now()
    if (kept?.route === request.route) {
      if (kept.renewAt === undefined || kept.renewAt > now) {
        kept.usedAt = now
        return kept.material
      }
      const { expiresAt } = kept.material
      if (expiresAt === undefined || expiresAt > now) {
        kept.usedAt = now
        this.#renewAhead(key, request, kept)
        return kept.material
      }
    }
    return this.#underWay.get(key) ?? this.#start(key, key, request)
  }

  /** Nobody waits for it: what is kept serves until it expires. */
  #renewAhead(key: string, request: OpenRequest, kept: Kept): void {
    const flight = `${key}\nahead`
    if (this.#underWay.has(flight)) return
    this.#start(flight, key, request, { ahead: true }).catch((thrown: unknown) => {
      // What is not there any more is said to the next who asks; all else is tried again a little later.
      const gone = thrown instanceof LocumError && !PASSING.includes(thrown.code)
      if (gone && this.#kept.get(key) === kept) this.#kept.delete(key)
      if (!gone) kept.renewAt = this.#clock.now() + RETRY
    })
  }

  async renew(request: OpenRequest, material: Material): Promise<Material> {
    const { generation } = material
    const key = keyOf(request)
    const kept = this.#kept.get(key)
    if (kept?.route === request.route && kept.material.generation > generation) return kept.material
    if (kept?.material === material) this.#kept.delete(key)
    const flight = `${key}\n${generation}`
    return this.#underWay.get(flight) ?? this.#start(flight, key, request, { refused: generation })
  }

  #start(flight: string, key: string, request: OpenRequest, how: How = {}): Promise<Material> {
    const work = this.#openAndKeep(key, request, how).finally(() => {
      if (this.#underWay.get(flight) === work) this.#underWay.delete(flight)
    })
    this.#underWay.set(flight, work)
    return work
  }

  async #openAndKeep(key: string, request: OpenRequest, how: How): Promise<Material> {
    for (;;) {
      const epoch = this.#epoch
      const opened = await this.#openNow(request, how)
      if (epoch === this.#epoch) {
        this.#keep(key, opened)
        return opened.material
      }
      // Something changed while a token was fetched: the right to it is judged again, mostly at once.
      this.#demandCurrent(request.route)
    }
  }

  async #openNow(request: OpenRequest, how: How): Promise<Kept> {
    const { route } = request
    const provider = await this.#provider(route.connection)
    const consentAt = provider && isByConsent(route.method, provider) ? provider.name : undefined
    try {
      return await this.#openWith(request, provider, how)
    } catch (thrown) {
      throw consentAt === undefined ? thrown : this.#withConsent(thrown, consentAt, request)
    }
  }

  async #openWith(request: OpenRequest, provider: Provider | undefined, how: How): Promise<Kept> {
    const { caller, route, destination } = request
    const { method } = route
    const connection = withProvider(route.connection, method, provider)
    const scopes = scopesFor(connection, caller.principal)
    const found = await this.#store.bound(SYSTEM, placeOf(route.connection, method, provider), scopes)
    if (!found && !needsNoCredential(route.connection, method, provider))
      throw missingCredential(connection, scopes)
    const credential = found?.credential ?? noCredential(connection)
    const scope = found?.binding.scope ?? 'shared'
    checkCaller(connection, caller.principal, scope)
    checkShared(connection, credential, scope, caller.principal)
    // A destination that is known is judged before anything is opened.
    if (destination) judge(connection, credential, scope, destination)
    const barred = barredSlots(connection, credential)
    if (barred && !destination) checkSlots(connection, barred, [BASE], scope)
    const fields = openFields(this.#sealer, credential)
    const holder = found || !provider ? credential : holderOf(provider)
    const held = method.acquire
      ? await this.#hold({ route, holder, fields, provider, caller }, how)
      : undefined
    const config = route.connection.methodConfig
    const open = provider && !method.acquire ? openProvider(this.#sealer, provider) : undefined
    const { plain } = credential
    const values = method.values({ config, fields, plain, provider: open, grant: held?.grant, caller })
    const base = destination ? undefined : baseOf(route, { auth: values, caller })
    if (base) judge(connection, credential, scope, base.candidate.destination, base.shown?.origin)
    const material: Material = {
      credential: { id: holder.id, version: holder.version, scope },
      values: new Secret(values),
      base,
      redact: redactFor(connection, credential),
      barred,
      expiresAt: held?.grant.expiresAt,
      generation: held?.version ?? 0,
    }
    const usedAt = this.#clock.now()
    return { material, route, caller: caller.principal.id, renewAt: held?.renewAt, usedAt }
  }

  #hold(x: Omit<GrantRequest, 'refused'>, { refused, ahead }: How): Promise<HeldGrant> {
    return ahead ? this.#grants.renewAhead(x) : this.#grants.hold({ ...x, refused })
  }

  /** Throws internal where it is gone, or is of another method. */
  async #provider({ name, provider, method }: Connection): Promise<Provider | undefined> {
    if (provider === undefined) return undefined
    const found = await this.#store.provider(SYSTEM, provider)
    if (found?.method === method) return found
    throw new LocumError('internal', `The provider \`${provider}\` of \`${name}\` is not there.`, {
      hint: 'Apply the file that has it; `locum provider ls` lists those that are there.',
    })
  }

  /** What can be put right by consent says how, and where the caller can do it themselves. */
  #withConsent(thrown: unknown, provider: string, { caller, route }: OpenRequest): unknown {
    if (!(thrown instanceof LocumError && BY_CONSENT.includes(thrown.code))) return thrown
    const [scope = 'profile:NAME'] = scopesFor(route.connection, caller.principal)
    const own = scope === `user:${caller.principal.id}` && caller.principal.kind === 'user'
    const { code, detail, lasting } = thrown
    return new LocumError(code, detail, {
      hint: `Consent at ${provider}: locum connect ${provider} ${own ? `--as ${caller.principal.id}` : `--for ${scope}`}`,
      authorizeUrl: own ? this.#connectUrl?.(provider) : undefined,
      lasting,
      cause: thrown,
    })
  }

  /** Throws not_allowed where the connection is no longer the one that permitted the request. */
  #demandCurrent({ connection }: Route): void {
    const now = this.#directory.routeNamed(connection.name)
    if (now?.connection.version === connection.version) return
    throw new LocumError('not_allowed', `The connection \`${connection.name}\` was changed meanwhile.`, {
      hint: 'Send the request again.',
    })
  }

  #keep(key: string, opened: Kept): void {
    const kept = this.#kept.get(key)
    // A late answer never stands in for a newer one.
    if (kept?.route === opened.route && kept.material.generation > opened.material.generation) return
    this.#kept.delete(key)
    if (this.#kept.size >= this.#limit) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, opened)
  }

  #forget(changes: readonly Change[]): void {
    // A key is the caller's; a grant is compared by its version.
    const ours = changes.filter(({ kind }) => kind !== 'key' && kind !== 'grant')
    if (ours.length === 0) return
    this.#epoch++
    // Who asks from now on joins nothing that was read before.
    this.#underWay.clear()
    const touched = (kept: Kept) =>
      ours.some(({ kind, id }) => {
        if (kind === 'credential') return kept.material.credential.id === id
        if (kind === 'connection') return kept.route.connection.name === id
        if (kind === 'principal') return kept.caller === id
        // A binding or a provider may change who is served at all.
        return true
      })
    for (const [key, kept] of this.#kept) if (touched(kept)) this.#kept.delete(key)
  }

  #forgetIdle(): void {
    const before = this.#clock.now() - IDLE_LIMIT
    for (const [key, kept] of this.#kept) if (kept.usedAt < before) this.#kept.delete(key)
  }
}

/** `where`: what errors call the destination. */
function judge(
  connection: Connection,
  credential: Credential,
  scope: Scope,
  destination: Destination,
  where = destinationText(destination),
): void {
  if (!reaches(connection, destination)) throw noConnection(where, connection.name)
  checkPlaintext(connection, destination, where)
  checkUse(connection, credential, scope, destination, where)
}

function keyOf({ caller, route, destination }: OpenRequest): string {
  const { id, profile, projects } = caller.principal
  // Each token has claims of its own, on which what is made of a credential may draw.
  const token = caller.token ? caller.keyHash : ''
  return `${route.connection.name}\n${destination ? destinationText(destination) : 'base'}\n${id}\n${profile ?? ''}\n${caller.sessionId}\n${token}\n${projects.join('\t')}`
}

/** Stands where the method needs no credential: nothing is in it. */
function noCredential(connection: Connection): Credential {
  return {
    id: noCredentialId(connection.name),
    name: 'none',
    owner: 'site',
    audience: audienceFor(connection, 'site'),
    fieldNames: [],
    disabled: false,
    projects: [],
    version: connection.version,
    sealed: {},
    createdAt: 0,
    changedAt: 0,
  }
}

/** What a provider alone acquires serves every connection of it. */
function holderOf({ name, version, calls }: Provider): Holder {
  return { id: noCredentialId(bindingPlace(name)), version, owner: 'site', audience: calls }
}
