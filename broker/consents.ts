import { randomBytes } from 'node:crypto'
import { audienceFor } from '../core/approval.ts'
import { type Audit, doneBy } from '../core/audit.ts'
import type { AuthMethods, ConsentRules, DeviceCode, Grant, OpenProvider } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import type { ConsentDone, Consenting, ConsentRequest, ConsentView, Ticket } from '../core/consent.ts'
import { credentialPlace, newCredentialId } from '../core/credential.ts'
import { destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import { Flows } from '../core/flows.ts'
import { bindingPlace, isByConsent, withProvider } from '../core/provider.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { ownerOf, uselessScope } from '../core/source.ts'
import type { Sealer, Store } from '../core/store.ts'
import {
  type Connection,
  type Credential,
  type Principal,
  type Provider,
  type Scope,
  SYSTEM,
} from '../core/words.ts'
import type { Consented, Grants } from './grants.ts'
import { openProvider } from './opening.ts'

/** A way to a provider and back, sealed under its state. */
interface Flow extends JsonObject {
  readonly provider: string
  readonly scope: string
  readonly by: JsonObject
  readonly session: string
  readonly redirectUri: string
  readonly opener: string | null
  readonly keep: JsonObject
}

/** People's consent at providers: asked for, and kept as a credential of whoever gave it (R22). */
export class Consents implements Consenting {
  readonly #flows: Flows
  readonly #x: {
    readonly store: Store
    readonly sealer: Sealer
    readonly clock: Clock
    readonly methods: AuthMethods
    readonly audit: Audit
    readonly grants: Grants
  }

  constructor(x: {
    store: Store
    sealer: Sealer
    clock: Clock
    methods: AuthMethods
    audit: Audit
    grants: Grants
  }) {
    this.#x = x
    this.#flows = new Flows(x)
  }

  /** Throws bad_request where there is no such provider, or it is not by consent. */
  async view(name: string): Promise<ConsentView> {
    const { provider, rules } = await this.#find(name)
    const connections = await this.#connections(provider)
    return {
      provider: name,
      way: rules.way(provider.config),
      scopes: rules.scopes(provider.config),
      connections: connections.map((one) => ({
        name: one.name,
        destinations: one.destinations.map(destinationText),
      })),
    }
  }

  /**
   * Where a browser is sent. `session`: the browser's own, without which the answer is good for nothing; `opener`:
   * the origin of the page that is told. Throws bad_request, refresh_failed.
   */
  async begin(
    x: ConsentRequest & { session: string; redirectUri: string; opener?: string },
  ): Promise<{ url: string; way: 'redirect' | 'fragment' }> {
    const { provider, rules, open } = await this.#find(x.provider)
    await this.#demandUse(provider, x.scope)
    const way = rules.way(provider.config)
    if (way === 'device')
      throw new LocumError('bad_request', `\`${x.provider}\` is consented to by a code, not by a page.`, {
        hint: `locum connect ${x.provider}`,
      })
    const state = randomBytes(32).toString('base64url')
    const { redirectUri, session, opener = null } = x
    const begun = await rules.begin(
      { provider: open(), redirectUri, state, scopes: x.scopes },
      this.#x.grants.io(),
    )
    const { id, kind, via } = x.by
    const flow: Flow = {
      provider: x.provider,
      scope: x.scope,
      by: { id, kind, via },
      session,
      redirectUri,
      opener,
      keep: begun.keep,
    }
    await this.#flows.put('consent', state, flow)
    return { url: begun.url, way }
  }

  /**
   * Takes the answer with which a browser came back, once. Throws bad_request where it is none to a question of this
   * session, refresh_failed where the provider refused.
   */
  async complete(x: { state: string; sessions: readonly string[]; answer: URL }): Promise<ConsentDone> {
    const flow = this.#asked<Flow>(await this.#flows.take('consent', x.state))
    if (!x.sessions.includes(flow.session)) throw unasked()
    const { provider, rules, open } = await this.#find(flow.provider)
    const { redirectUri, keep, opener } = flow
    const request = {
      provider: flow.provider,
      scope: flow.scope as Scope,
      by: flow.by as unknown as Principal,
    }
    try {
      const asked = { provider: open(), redirectUri, state: x.state, keep, answer: x.answer }
      const grant = await rules.complete(asked, this.#x.grants.io())
      return { ...(await this.#keep(request, provider, grant)), opener: opener ?? undefined }
    } catch (thrown) {
      this.#record(request, 'failed')
      throw thrown
    }
  }

  /** What a person types, and where. Throws bad_request, refresh_failed. */
  async beginDevice(x: Omit<ConsentRequest, 'by'>): Promise<DeviceCode> {
    const { provider, rules, open } = await this.#find(x.provider)
    await this.#demandUse(provider, x.scope)
    if (rules.way(provider.config) !== 'device')
      throw new LocumError('bad_request', `\`${x.provider}\` is consented to by a page, not by a code.`)
    return rules.beginDevice({ provider: open(), scopes: x.scopes }, this.#x.grants.io())
  }

  /** Asks until the person has answered. `pause`: waits so many ms, or rejects. Throws refresh_failed. */
  async awaitDevice(
    x: ConsentRequest,
    code: DeviceCode,
    pause: (ms: number) => Promise<unknown>,
  ): Promise<Omit<ConsentDone, 'opener'>> {
    let { interval } = code
    for (;;) {
      await pause(interval)
      const { provider, rules, open } = await this.#find(x.provider)
      if (this.#x.clock.now() >= code.expiresAt)
        throw new LocumError('refresh_failed', 'The code is over.', {
          hint: `Begin again: locum connect ${x.provider}`,
        })
      const { grant, slower = 0 } = await rules.pollDevice(
        { provider: open(), keep: code.keep },
        this.#x.grants.io(),
      )
      if (grant) return this.#keep(x, provider, grant)
      interval += slower
    }
  }

  async ticket({ provider, scope, by }: ConsentRequest): Promise<string> {
    const { provider: found } = await this.#find(provider)
    await this.#demandUse(found, scope)
    const token = randomBytes(32).toString('base64url')
    const { id, kind, via } = by
    await this.#flows.put('ticket', token, { provider, scope, by: { id, kind, via } })
    return token
  }

  async takeTicket(token: string): Promise<Ticket> {
    return this.#asked(await this.#flows.take('ticket', token))
  }

  async seeTicket(token: string): Promise<Ticket> {
    return this.#asked(await this.#flows.see('ticket', token))
  }

  /** What is kept of a consent, for whom it is: undefined where there is none. */
  async held(name: string, scope: Scope): Promise<Grant | undefined> {
    const found = await this.#bound(name, scope)
    return found && this.#x.grants.consented(found)
  }

  /**
   * Ends a consent: at the provider, where it has a place for that, and here in any case. `revoked`: whether the provider
   * has taken it.
   */
  async end({
    provider: name,
    scope,
    by,
  }: Omit<ConsentRequest, 'scopes'>): Promise<{ ended: boolean; revoked: boolean }> {
    const found = await this.#bound(name, scope)
    if (!found) return { ended: false, revoked: false }
    const { rules, open } = await this.#find(name)
    const grant = await this.#x.grants.consented(found)
    let revoked = false
    try {
      if (grant) revoked = await rules.revoke({ provider: open(), grant }, this.#x.grants.io())
    } finally {
      await this.#x.store.removeCredential(SYSTEM, found.holder.id)
      this.#record({ provider: name, scope, by }, 'done', 'provider.disconnect')
    }
    return { ended: true, revoked }
  }

  /** Throws bad_request where it is undefined: nobody asked, or it came too late. */
  #asked<T>(value: Json | undefined): T {
    if (value === undefined) throw unasked()
    return value as T
  }

  async #bound(name: string, scope: Scope): Promise<Consented | undefined> {
    const { provider } = await this.#find(name)
    const holder = await this.#ownAt(bindingPlace(name), scope)
    return holder && { holder, provider }
  }

  /** What is bound there and is theirs: another's that is shared with them is no consent of theirs. */
  async #ownAt(place: string, scope: Scope): Promise<Credential | undefined> {
    const found = await this.#x.store.bound(SYSTEM, place, [scope])
    return found?.credential.owner === ownerOf(scope) ? found.credential : undefined
  }

  async #find(name: string): Promise<{ provider: Provider; rules: ConsentRules; open: () => OpenProvider }> {
    const { store, methods, sealer } = this.#x
    const provider = await store.provider(SYSTEM, name)
    if (!provider)
      throw new LocumError('bad_request', `There is no provider \`${shown(name)}\`.`, {
        hint: '`locum provider ls` lists them.',
      })
    const method = methods.get(provider.method)
    if (!method?.consent || !isByConsent(method, provider))
      throw new LocumError('bad_request', `Nobody consents at \`${name}\`: it serves without.`)
    return { provider, rules: method.consent, open: () => openProvider(sealer, provider) }
  }

  async #connections({ name }: Provider): Promise<readonly Connection[]> {
    return (await this.#x.store.connections(SYSTEM)).filter((one) => one.provider === name)
  }

  /** Throws bad_request where nobody would ever be served by it. */
  async #demandUse(provider: Provider, scope: Scope): Promise<void> {
    const connections = await this.#connections(provider)
    if (connections.some((one) => uselessScope(one, scope) === undefined)) return
    const [first] = connections
    const why = first ? uselessScope(first, scope) : 'no connection uses it'
    throw new LocumError('bad_request', `There is nothing to consent to at \`${provider.name}\`: ${why}.`)
  }

  /** Whoever consents approves every destination of every connection that uses the provider now (R25). */
  async #keep(
    request: ConsentRequest,
    provider: Provider,
    grant: Grant,
  ): Promise<Omit<ConsentDone, 'opener'>> {
    const { clock, sealer, methods, grants } = this.#x
    const { scope } = request
    const owner = ownerOf(scope)
    const audience = new Set<string>()
    for (const connection of await this.#connections(provider)) {
      const method = methods.get(connection.method)
      if (!method) continue
      for (const text of audienceFor(withProvider(connection, method, provider), owner)) audience.add(text)
    }
    const place = bindingPlace(provider.name)
    const current = await this.#ownAt(place, scope)
    const now = clock.now()
    const sealedFor = {
      id: current?.id ?? newCredentialId(randomBytes),
      version: (current?.version ?? 0) + 1,
      owner,
      audience: destinationsFirst([...audience]),
    }
    const granted = grantedScope(grant)
    const credential: Credential = {
      ...sealedFor,
      name: current?.name ?? `${provider.name} for ${scope}`,
      fieldNames: ['scope'],
      sealed: {
        scope: sealer.seal(credentialPlace(sealedFor, 'scope'), Buffer.from(JSON.stringify(granted), 'utf8')),
      },
      // Stopped by hand it stays so; suspended, it is given again by this.
      disabled: current !== undefined && current.fieldNames.length > 0 && current.disabled,
      ...(current?.blocked && { blocked: true }),
      projects: current?.projects ?? [],
      createdAt: current?.createdAt ?? now,
      changedAt: now,
    }
    await grants.keepConsent({ holder: credential, provider }, grant, async (inside) => {
      await inside.putCredential(SYSTEM, credential)
      if (!current) await inside.bind(SYSTEM, { connection: place, scope, credential: credential.id })
      this.#record(request, 'done')
    })
    return { provider: provider.name, scope, credential: credential.id }
  }

  #record(
    { provider, scope, by }: Pick<ConsentRequest, 'provider' | 'scope' | 'by'>,
    outcome: 'done' | 'failed',
    operation = 'provider.connect',
  ): void {
    const subject = `${provider}/${scope}`
    this.#x.audit.record({ event: 'change', ...doneBy(by), operation, subject, outcome })
  }
}

/** What the provider says that it has granted (RFC 6749 §5.1). */
function grantedScope({ values }: Grant): Json {
  const { token } = values
  const said = typeof token === 'object' && token !== null ? (token as JsonObject).scope : undefined
  return typeof said === 'string' ? said : ''
}

/** As every audience is: destinations, then the rest. */
function destinationsFirst(texts: readonly string[]): string[] {
  const isDestination = (text: string) => /^https?:\/\//.test(text)
  return [...texts.filter(isDestination), ...texts.filter((text) => !isDestination(text))]
}

function shown(name: string): string {
  return /^[\w.-]{1,128}$/.test(name) ? name : '…'
}

function unasked(): LocumError {
  return new LocumError(
    'bad_request',
    'This is no answer to a question that was asked here, or it came before or too late.',
    {
      hint: 'Begin again, in the same browser.',
    },
  )
}
