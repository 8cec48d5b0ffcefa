import type { KeyObject } from 'node:crypto'
import type { ClientAuth as Authenticate, Configuration, CustomFetch } from 'openid-client'
import type { MethodIO, OpenProvider } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import { timeOf } from '../expires.ts'
import { algorithmsOf } from '../jwt/algorithms.ts'
import { text } from '../reading.ts'
import { type OAuthProvider, readOAuthProvider } from './provider.ts'
import { refusalOf } from './refusals.ts'

type Library = typeof import('openid-client')

/** A client that is ready to ask its server. */
export interface OAuthClient {
  readonly provider: OAuthProvider
  readonly clientId: string
  readonly library: Library
  readonly configuration: Configuration
  /**
   * What an endpoint answers to a request, whole. Throws refresh_failed, and reauthorization_required where the server
   * says `invalid_grant` of somebody's consent.
   */
  ask(
    request: (library: Library, configuration: Configuration) => Promise<unknown>,
    x?: Asking,
  ): Promise<JsonObject>
}

/** Of a request: secrets that go with it; whether it stands on a consent of before; what to do where it is refused. */
export interface Asking {
  readonly sent?: readonly Json[]
  readonly consented?: boolean
  readonly hint?: string
}

/** How far a server's clock may be from ours, seconds. */
const SKEW = 30

/** Throws refresh_failed where the server does not say what it should, destination_forbidden. */
export async function openClient(open: OpenProvider, io: MethodIO): Promise<OAuthClient> {
  const library = await import('openid-client')
  const provider = readOAuthProvider(open.config, Object.keys(open.fields))
  const clientId = text(open.fields.clientId, 'clientId')
  const own = Object.values(open.fields)
  let answer: JsonObject | undefined
  const callOut = io.callOut(withCertificate(provider, open.fields))
  const fetch: CustomFetch = async (url, init) => {
    const response = await callOut(url, { ...(init as RequestInit), signal: io.signal })
    if (init.method !== 'POST' || !isJson(response)) return response
    const read = await readAnswer(response)
    answer = read.answer
    return plainly(response, read.answer, read.text, provider, io.now())
  }
  const metadata = {
    // The library reads the system's clock.
    [library.clockSkew]: Math.round((io.now() - Date.now()) / 1000),
    [library.clockTolerance]: SKEW,
  }
  const authenticate = await authentication(library, provider, open, io)
  const configuration = await attempt(open.name, own, async () => {
    if (!provider.discovers) return configured()
    return library.discovery(new URL(provider.issuer as string), clientId, metadata, authenticate, {
      execute: provider.rules.allowPlaintext ? [library.allowInsecureRequests] : [],
      [library.customFetch]: fetch,
    })
  })
  function configured(): Configuration {
    const { endpoints, issuer } = provider
    const named =
      issuer ?? new URL((endpoints.token_endpoint ?? endpoints.authorization_endpoint) as string).origin
    const made = new library.Configuration({ issuer: named, ...endpoints }, clientId, metadata, authenticate)
    made[library.customFetch] = fetch
    if (provider.rules.allowPlaintext) library.allowInsecureRequests(made)
    return made
  }
  return {
    provider,
    clientId,
    library,
    configuration,
    async ask(request, { sent = [], ...x } = {}) {
      answer = undefined
      await attempt(open.name, [...own, ...sent], () => request(library, configuration), x)
      if (answer === undefined) throw new LocumError('refresh_failed', `${open.name} gave no answer in JSON.`)
      return answer
    },
  }
}

async function attempt<T>(
  name: string,
  secrets: readonly Json[],
  work: () => Promise<T>,
  { consented = false, hint }: Asking = {},
): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    throw refusalOf(thrown, { name, secrets, consented, hint })
  }
}

function withCertificate({ clientAuth, rules }: OAuthProvider, fields: JsonObject) {
  if (clientAuth !== 'mtls') return rules
  const identity = {
    cert: text(fields.clientCertificate, 'clientCertificate'),
    key: text(fields.clientKey, 'clientKey'),
  }
  return { ...rules, identity }
}

async function authentication(
  library: Library,
  { clientAuth, certificate }: OAuthProvider,
  { fields }: OpenProvider,
  io: MethodIO,
): Promise<Authenticate> {
  const secret = fields.clientSecret === undefined ? undefined : text(fields.clientSecret, 'clientSecret')
  switch (clientAuth ?? (secret === undefined ? 'none' : 'basic')) {
    case 'post':
      return library.ClientSecretPost(secret)
    case 'client_secret_jwt':
      return library.ClientSecretJwt(secret)
    case 'private_key_jwt': {
      const { kid, privateKey } = await io.signingKeys.key(certificate)
      const key = privateKey.toCryptoKey(importParameters(privateKey), false, ['sign'])
      return library.PrivateKeyJwt({ key, kid })
    }
    case 'mtls':
      return library.TlsClientAuth()
    case 'none':
      return library.None()
    default:
      return library.ClientSecretBasic(secret)
  }
}

/** What Web Crypto has to be told of a key: the usual algorithm of its type. */
function importParameters(key: KeyObject) {
  const algorithm = algorithmsOf(key)[0] ?? ''
  if (algorithm === 'RS256') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  if (algorithm === 'EdDSA') return { name: 'Ed25519' }
  return { name: 'ECDSA', namedCurve: `P-${algorithm === 'ES512' ? 521 : algorithm.slice(2)}` }
}

function isJson(response: Response): boolean {
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '')
}

async function readAnswer(response: Response): Promise<{ text: string; answer: JsonObject | undefined }> {
  const body = await response.text()
  try {
    const answer = JSON.parse(body) as Json
    const object = typeof answer === 'object' && answer !== null && !Array.isArray(answer)
    return { text: body, answer: object ? (answer as JsonObject) : undefined }
  } catch {
    // The library says what is wrong with it.
    return { text: body, answer: undefined }
  }
}

/**
 * The answer as the library takes it. RFC 6749 lets a server write what it does not know: any `token_type`, an
 * error under 200, `expires`; and where no issuer is known nobody can say who signed an ID token.
 */
function plainly(
  response: Response,
  answer: JsonObject | undefined,
  body: string,
  { issuer }: OAuthProvider,
  now: number,
): Response {
  const { status } = response
  if (!answer) return new Response(body, { status, headers: response.headers })
  const token = answer.access_token !== undefined
  const said: Record<string, Json> = { ...answer }
  if (token) {
    said.token_type = 'bearer'
    delete said.expires
    const at = timeOf(answer.expires_in ?? answer.expires ?? null, now)
    if (at === undefined) delete said.expires_in
    else said.expires_in = Math.max(0, Math.floor((at - now) / 1000))
    if (issuer === undefined || answer.id_token === null) delete said.id_token
    for (const name of ['refresh_token', 'scope']) if (typeof said[name] !== 'string') delete said[name]
  }
  const refused = !token && typeof answer.error === 'string' && status === 200
  return Response.json(said, { status: refused ? 400 : status })
}
