import { methods } from '../../auth-methods/index.ts'
import { StoreBroker } from '../../broker/broker.ts'
import { StoreDirectory } from '../../broker/directory.ts'
import { Grants } from '../../broker/grants.ts'
import type { AuthMethods } from '../../core/auth-method.ts'
import type { CallOut } from '../../core/call-out.ts'
import { credentialPlace } from '../../core/credential.ts'
import type { Material, OpenRequest } from '../../core/directory.ts'
import { type Code, LocumError } from '../../core/errors.ts'
import type { Route } from '../../core/route.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import type { SigningKeys } from '../../core/signing-keys.ts'
import type { SealedPlace, Sealer, Store } from '../../core/store.ts'
import { type Connection, type Credential, type Principal, type Scope, SYSTEM } from '../../core/words.ts'
import { callOutBy } from '../../proxy/upstreams/call-out.ts'
import { makeCaller, makeConnection, makeCredential, to } from '../core/kit.ts'
import { noSigningKeys } from '../kit/signing.ts'
import { tokenMethod } from '../kit/token-method.ts'
import { makeFolder, openSite, type Test } from '../store/site.ts'
import { makeUpstreams } from '../upstreams/kit.ts'

export const HERE = 'https://crm.example'
const KNOWN: AuthMethods = new Map([...methods, [tokenMethod.id, tokenMethod]])

export interface TurnedClock {
  time: number
  now(): number
}

export function makeClock(): TurnedClock {
  const clock = { time: 1_700_000_000_000, now: () => clock.time }
  return clock
}

/** A broker with a directory over a real store, in a folder of its own or one that is shared. */
export interface TestBroker {
  readonly data: string
  readonly clock: TurnedClock
  readonly store: Store
  readonly sealer: Sealer
  readonly directory: StoreDirectory
  readonly broker: StoreBroker
  readonly callOut: CallOut
  readonly signingKeys: SigningKeys
  /** What was decrypted, in order. */
  readonly opened: SealedPlace[]
  /** Faults that the directory told of. */
  readonly faults: unknown[]
  connect(more?: Partial<Connection>): Promise<Connection>
  /** Enters a credential, or a later version of it, and binds it. */
  enter(x: {
    scope?: Scope
    connection?: string
    fields?: JsonObject
    more?: Partial<Credential>
    /** The id of the row that it is sealed for, where that is another. */
    sealedFor?: string
  }): Promise<Credential>
  route(name?: string): Route
  request(more?: {
    who?: Partial<Principal>
    session?: string
    at?: string | undefined
    name?: string
  }): OpenRequest
  /** The values of an open credential. */
  open(more?: Parameters<TestBroker['request']>[0]): Promise<Material>
  poll(): Promise<void>
}

export async function openBroker(
  t: Test,
  options: {
    data?: string
    clock?: TurnedClock
    limit?: number
    known?: AuthMethods
    /** Stands between the directory, the broker and the store. */
    wrap?: (store: Store) => Store
    defaultPrincipal?: string
  } = {},
): Promise<TestBroker> {
  const { data = makeFolder(t), clock = makeClock(), known = KNOWN, wrap = (store) => store } = options
  const site = await openSite(t, data, { clock })
  const store = wrap(site.store)
  const opened: SealedPlace[] = []
  const sealer: Sealer = {
    seal: (place, plain) => site.sealer.seal(place, plain),
    open(place, sealed) {
      opened.push(place)
      return site.sealer.open(place, sealed)
    },
    move: (from, to, sealed) => site.sealer.move(from, to, sealed),
  }
  const faults: unknown[] = []
  const { defaultPrincipal, limit } = options
  const directory = new StoreDirectory({
    store,
    methods: known,
    clock,
    defaultPrincipal,
    onfault: (error) => faults.push(error),
  })
  const callOut = callOutBy(makeUpstreams(t))
  const signingKeys = noSigningKeys
  const grants = new Grants({ store, sealer, clock, callOut, signingKeys })
  const broker = new StoreBroker({ store, sealer, clock, directory, grants, limit })
  await directory.start()
  t.teardown(async () => {
    broker.close()
    await directory.close()
  })
  const route = (name = 'crm'): Route => {
    const found = directory.routeNamed(name)
    if (!found) throw new Error(`no connection ${name}`)
    return found
  }
  const request: TestBroker['request'] = (more = {}) =>
    ({
      caller: makeCaller(more.who, more.session),
      route: route(more.name),
      destination: 'at' in more ? more.at && to(more.at) : to(HERE),
    }) as OpenRequest
  const entered = new Map<string, Credential>()
  return {
    data,
    clock,
    store,
    sealer,
    directory,
    broker,
    callOut,
    signingKeys,
    opened,
    faults,
    async connect(more) {
      const connection = await site.store.putConnection(SYSTEM, makeConnection(more))
      await directory.feed.poll()
      return connection
    },
    async enter({
      scope = 'shared',
      connection = 'crm',
      fields = { apiKey: `key for ${scope}` },
      more,
      sealedFor,
    }) {
      const id = more?.id ?? `cred_${connection}_${scope.replace(':', '_')}`
      const place = makeCredential({
        ...more,
        id,
        fieldNames: Object.keys(fields),
        owner: more?.owner ?? (scope.startsWith('user:') ? scope : 'site'),
        version: more?.version ?? (entered.get(id)?.version ?? 0) + 1,
      })
      const credential = await site.store.putCredential(SYSTEM, {
        ...place,
        sealed: Object.fromEntries(
          Object.entries(fields).map(([name, value]) => [
            name,
            site.sealer.seal(
              credentialPlace({ ...place, id: sealedFor ?? id }, name),
              Buffer.from(JSON.stringify(value)),
            ),
          ]),
        ),
      })
      entered.set(id, credential)
      await site.store.bind(SYSTEM, { connection, scope, credential: id })
      await directory.feed.poll()
      return credential
    },
    route,
    request,
    open: async (more) => broker.open(request(more)),
    poll: () => directory.feed.poll(),
  }
}

/** A value of an open credential. */
export function valueIn(material: Material, name: string): Json | undefined {
  return material.values.reveal().values[name]
}

/** The code of what rejects; `fine` where nothing does. */
export async function outcome(work: Promise<unknown> | (() => unknown)): Promise<Code | 'fine'> {
  try {
    await (typeof work === 'function' ? work() : work)
    return 'fine'
  } catch (thrown) {
    if (thrown instanceof LocumError) return thrown.code
    throw thrown
  }
}
