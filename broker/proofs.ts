import type { AuthMethods, Finding, Trust } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Proof, Proving } from '../core/proving.ts'
import { compileRoute, type Route } from '../core/route.ts'
import type { Sealer, Store } from '../core/store.ts'
import { type Caller, type Connection, type Provider, SYSTEM } from '../core/words.ts'
import { StoreBroker } from './broker.ts'
import type { Grants } from './grants.ts'
import { openProvider } from './opening.ts'

/** Tries connections as a request would: whose credential serves, whether it opens, and what is acquired with it. */
export class Proofs implements Proving {
  readonly #x: { store: Store; sealer: Sealer; clock: Clock; methods: AuthMethods; grants: Grants }

  constructor(x: { store: Store; sealer: Sealer; clock: Clock; methods: AuthMethods; grants: Grants }) {
    this.#x = x
  }

  async connection(name: string, principal: string): Promise<Proof> {
    const { store, methods } = this.#x
    const connection = await store.connection(SYSTEM, name)
    if (!connection) throw missing('connection', name)
    const route = compileRoute(connection, methods)
    const caller = await this.#caller(principal)
    const provider = await this.#providerOf(connection)
    const { scope, findings } = await this.#open(route, caller)
    const { prove } = route.method.provider ?? {}
    const proven = prove && provider && findings.every(({ holds }) => holds)
    const about = { config: connection.methodConfig, fields: {}, previous: undefined, caller }
    const open = provider && openProvider(this.#x.sealer, provider)
    const further = proven ? await prove({ ...about, provider: open }, this.#x.grants.io()) : []
    return { connection: name, method: connection.method, scope, findings: [...findings, ...further] }
  }

  async trust(name: string, x: { sites: readonly string[]; principal: string | undefined }): Promise<Trust> {
    const { store, methods, sealer, grants } = this.#x
    const provider = await store.provider(SYSTEM, name)
    if (!provider) throw missing('provider', name)
    const trust = methods.get(provider.method)?.provider?.trust
    if (!trust) {
      throw new LocumError(
        'bad_request',
        `\`${name}\` is of the method ${provider.method}, which trusts nobody.`,
        {
          hint: 'Roles of AWS have a trust policy: method: aws-role',
        },
      )
    }
    const sites = x.sites.length === 0 ? [(await store.site()).id] : x.sites
    return trust({ provider: openProvider(sealer, provider), sites, principal: x.principal }, grants.io())
  }

  async #caller(id: string): Promise<Caller> {
    const record = await this.#x.store.principal(SYSTEM, id)
    if (!record) throw missing('principal', id)
    const { kind, profile, email, projects, admin } = record
    return {
      principal: { id, kind, profile, email, projects, admin, via: 'key' },
      sessionId: 'tried',
      keyHash: '',
    }
  }

  async #providerOf({ provider }: Connection): Promise<Provider | undefined> {
    return provider === undefined ? undefined : this.#x.store.provider(SYSTEM, provider)
  }

  /** As a request to the first exact destination does. */
  async #open(route: Route, caller: Caller): Promise<Pick<Proof, 'scope' | 'findings'>> {
    const { connection, method } = route
    const broker = new StoreBroker({
      ...this.#x,
      directory: { onchange: () => {}, routeNamed: () => route },
    })
    try {
      const destination = connection.destinations.find(({ wildcard }) => !wildcard)
      const material = await broker.open({ caller, route, destination })
      const { scope } = material.credential
      const findings: Finding[] = [{ says: `The ${scope} credential opens and is approved.`, holds: true }]
      if (method.acquire) {
        const until = material.expiresAt
        const says = until === undefined ? 'until it is refused' : `until ${new Date(until).toISOString()}`
        findings.push({ says: `What it takes was acquired; it serves ${says}.`, holds: true })
      }
      return { scope, findings }
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      return {
        scope: undefined,
        findings: [{ says: `${thrown.code}: ${thrown.detail}`, holds: false, hint: thrown.hint }],
      }
    } finally {
      broker.close()
    }
  }
}

function missing(kind: 'connection' | 'provider' | 'principal', name: string): LocumError {
  return new LocumError('not_found', `There is no ${kind} \`${name}\`.`, {
    hint: `\`locum ${kind} ls\` lists them.`,
  })
}
