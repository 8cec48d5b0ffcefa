import { randomBytes } from 'node:crypto'
import type { ConsentRules, MethodIO, OpenProvider } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { Flows } from '../core/flows.ts'
import type { Issuer, LoginClient, Logins } from '../core/identity.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import type { Sealer, Store } from '../core/store.ts'
import type { PrincipalRecord } from '../core/words.ts'
import { refuseToken } from './token.ts'

interface Parts {
  readonly issuers: readonly Issuer[]
  readonly store: Store
  readonly sealer: Sealer
  readonly clock: Clock
  /** How codes are asked for. */
  readonly consent: ConsentRules
  io(): MethodIO
  /** The principal whom an ID token's claims name. */
  join(issuer: Issuer, claims: JsonObject): Promise<PrincipalRecord>
}

/** Somebody on the way to an issuer and back. */
interface Waiting extends JsonObject {
  readonly issuer: string
  readonly session: string
  readonly redirectUri: string
  readonly next: string
  readonly keep: JsonObject
}

/** People who sign in at the console by their issuer: an authorisation code for an ID token (OpenID Connect Core §3.1). */
export class IssuerLogins implements Logins {
  readonly #x: Parts
  readonly #flows: Flows

  constructor(x: Parts) {
    this.#x = x
    this.#flows = new Flows(x)
  }

  get issuers(): readonly string[] {
    return this.#x.issuers.filter(({ login }) => login !== undefined).map(({ issuer }) => issuer)
  }

  async begin(x: { issuer: string; session: string; redirectUri: string; next: string }): Promise<string> {
    const { consent } = this.#x
    const provider = this.#provider(x.issuer)
    const state = randomBytes(32).toString('base64url')
    const { url, keep } = await consent.begin(
      { provider, redirectUri: x.redirectUri, state, scopes: [] },
      this.#x.io(),
    )
    await this.#flows.put('login', state, { ...x, keep })
    return url
  }

  async complete(x: {
    state: string
    session: string
    answer: URL
  }): Promise<{ user: PrincipalRecord; next: string }> {
    const { consent, join } = this.#x
    const flow = (await this.#flows.take('login', x.state)) as Waiting | undefined
    if (!flow || flow.session !== x.session) {
      throw new LocumError(
        'bad_request',
        'This is no answer to a sign-in that began here, or it came before or too late.',
        {
          hint: 'Begin again, in the same browser.',
        },
      )
    }
    const issuer = this.#x.issuers.find((one) => one.issuer === flow.issuer)
    if (!issuer) refuseToken('This issuer is known here no more.', 'See `identity.issuers`.')
    const asked = {
      provider: this.#provider(issuer.issuer),
      redirectUri: flow.redirectUri,
      state: x.state,
    }
    const { values } = await consent.complete({ ...asked, keep: flow.keep, answer: x.answer }, this.#x.io())
    return { user: await join(issuer, claimsOf(values.id_token)), next: flow.next }
  }

  /** The issuer as a provider at which Locum is a client. */
  #provider(name: string): OpenProvider {
    const found = this.#x.issuers.find(({ issuer }) => issuer === name)
    if (!found?.login)
      throw new LocumError('bad_request', 'Nobody signs in at the console by this issuer.', {
        hint: 'It takes `login: { clientId, clientSecret }` beside the issuer in `identity.issuers`.',
      })
    const { allowPlaintext = false, allowPrivateNetwork = false, ca } = found.rules
    const rules = { allowPlaintext, allowPrivateNetwork, ...(ca === undefined ? {} : { ca }) }
    return {
      name,
      config: {
        grant: 'authorization_code',
        issuer: name,
        scopes: ['openid', ...found.login.scopes],
        ...rules,
      },
      fields: fieldsOf(found.login),
    }
  }
}

function fieldsOf({ clientId, clientSecret }: LoginClient): JsonObject {
  const secret = clientSecret?.reveal()
  return secret === undefined ? { clientId } : { clientId, clientSecret: secret }
}

/** Of an ID token that was had from the issuer itself, over TLS, and checked against the question (OpenID Connect Core §3.1.3.7). */
function claimsOf(token: Json | undefined): JsonObject {
  const part = typeof token === 'string' ? token.split('.')[1] : undefined
  if (part === undefined)
    refuseToken('The issuer gave no ID token.', 'See whether the client may ask for `openid` there.')
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as JsonObject
}
