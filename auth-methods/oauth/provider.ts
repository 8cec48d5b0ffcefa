import type { FieldRule } from '../../core/auth-method.ts'
import type { CallOutRules } from '../../core/call-out.ts'
import type { JsonObject } from '../../core/secret.ts'
import { isObject, oneOf, RULES_SCHEMA, readRules, text, urlOf, wrong } from '../reading.ts'

export const GRANTS = [
  'authorization_code',
  'implicit',
  'password',
  'client_credentials',
  'jwt_bearer',
  'device_code',
  'token_exchange',
] as const
export type OAuthGrant = (typeof GRANTS)[number]

const CLIENT_AUTHS = ['basic', 'post', 'client_secret_jwt', 'private_key_jwt', 'mtls', 'none'] as const
export type ClientAuth = (typeof CLIENT_AUTHS)[number]

/** Grants that somebody gives at the provider. */
export const BY_CONSENT: readonly OAuthGrant[] = ['authorization_code', 'implicit', 'device_code']

/** Each endpoint, and what the metadata of a server calls it (RFC 8414 §2). */
const ENDPOINTS = {
  authorizationEndpoint: 'authorization_endpoint',
  tokenEndpoint: 'token_endpoint',
  deviceAuthorizationEndpoint: 'device_authorization_endpoint',
  revocationEndpoint: 'revocation_endpoint',
} as const
type Endpoint = keyof typeof ENDPOINTS

/** Endpoints without which a grant cannot be had. */
const NEEDED: Readonly<Record<OAuthGrant, readonly Endpoint[]>> = {
  authorization_code: ['authorizationEndpoint', 'tokenEndpoint'],
  implicit: ['authorizationEndpoint'],
  password: ['tokenEndpoint'],
  client_credentials: ['tokenEndpoint'],
  jwt_bearer: ['tokenEndpoint'],
  device_code: ['deviceAuthorizationEndpoint', 'tokenEndpoint'],
  token_exchange: ['tokenEndpoint'],
}

/** Parameters that a grant itself sets: nobody else may. */
const OWN_PARAMETERS = [
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'grant_type',
  'response_type',
  'redirect_uri',
  'state',
  'nonce',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'device_code',
  'refresh_token',
  'assertion',
  'subject_token',
  'username',
  'password',
  'scope',
]

/** An OAuth client at a server, as the file has it. */
export interface OAuthProvider {
  readonly grant: OAuthGrant
  readonly issuer: string | undefined
  /** By the names of a server's metadata. */
  readonly endpoints: Readonly<Partial<Record<(typeof ENDPOINTS)[Endpoint], string>>>
  /** Whether the endpoints are asked of the issuer. */
  readonly discovers: boolean
  readonly clientAuth: ClientAuth | undefined
  readonly scopes: readonly string[]
  readonly optionalScopes: readonly string[]
  readonly scopesUrl: string | undefined
  readonly authorizeParams: Readonly<Record<string, string>>
  readonly tokenParams: Readonly<Record<string, string>>
  /** The signing certificate of `private_key_jwt`. */
  readonly certificate: string | undefined
  readonly rules: CallOutRules
}

/** What is sealed of a client. */
export const CLIENT_FIELDS: Readonly<Record<string, FieldRule>> = {
  clientId: { title: 'Client id', secret: false, required: true },
  clientSecret: { title: 'Client secret', secret: true, required: false },
  clientCertificate: { title: 'Client certificate (PEM)', secret: false, required: false },
  clientKey: { title: "Client certificate's key (PEM)", secret: true, required: false },
}

const url = (description: string): JsonObject => ({ type: 'string', description })
const texts = (description: string): JsonObject => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  description,
})
const list = (description: string): JsonObject => ({
  type: 'array',
  items: { type: 'string' },
  description,
})

export const OAUTH_SCHEMA: { readonly [key: string]: JsonObject } = {
  grant: { enum: [...GRANTS], description: 'How a token is obtained.' },
  issuer: url(
    'The OpenID issuer, which is asked for its endpoints. With endpoints beside it, it is only checked.',
  ),
  authorizationEndpoint: url('Where people consent.'),
  tokenEndpoint: url('Where tokens are given.'),
  deviceAuthorizationEndpoint: url('Where device codes are given (RFC 8628).'),
  revocationEndpoint: url('Where tokens are revoked (RFC 7009).'),
  clientAuth: {
    enum: [...CLIENT_AUTHS],
    description: 'How the client authenticates. `basic` unless told; `none` where it has no secret.',
  },
  scopes: list('Scopes that are always asked for.'),
  optionalScopes: list('Scopes that whoever consents may leave out.'),
  scopesUrl: url('A page that explains the scopes.'),
  authorizeParams: texts('Further parameters of the authorisation request: audience, prompt.'),
  tokenParams: texts('Further parameters of token requests: audience, resource.'),
  certificate: { type: 'string', description: 'The signing certificate of `private_key_jwt`.' },
  ...RULES_SCHEMA,
}

/** Throws bad_request where it does not make sense. `fields`: the names of what is sealed of it. */
export function readOAuthProvider(config: JsonObject, fields?: readonly string[]): OAuthProvider {
  const grant = oneOf(config, 'grant', GRANTS)
  if (grant === undefined) throw wrong(`\`grant\` is one of ${GRANTS.join(', ')}`)
  const rules = readRules(config)
  // An assertion's issuer is whoever signs it.
  const asked = grant === 'jwt_bearer' ? undefined : config.issuer
  const issuer = asked === undefined ? undefined : urlOf(config, 'issuer', rules)
  const endpoints: Partial<Record<(typeof ENDPOINTS)[Endpoint], string>> = {}
  for (const [key, name] of Object.entries(ENDPOINTS) as [Endpoint, (typeof ENDPOINTS)[Endpoint]][])
    if (config[key] !== undefined) endpoints[name] = urlOf(config, key, rules)
  const missing = NEEDED[grant].filter((key) => endpoints[ENDPOINTS[key]] === undefined)
  const discovers = missing.length > 0
  if (discovers && issuer === undefined)
    throw wrong(`${grant} needs an \`issuer\`, or ${missing.map((key) => `\`${key}\``).join(' and ')}`)
  const clientAuth = oneOf(config, 'clientAuth', CLIENT_AUTHS)
  const provider = {
    grant,
    issuer,
    endpoints,
    discovers,
    clientAuth,
    scopes: textsOf(config, 'scopes'),
    optionalScopes: textsOf(config, 'optionalScopes'),
    scopesUrl: config.scopesUrl === undefined ? undefined : urlOf(config, 'scopesUrl', {}),
    authorizeParams: parameters(config, 'authorizeParams'),
    tokenParams: parameters(config, 'tokenParams'),
    certificate: config.certificate === undefined ? undefined : text(config.certificate, 'certificate'),
    rules,
  }
  if (fields) checkClient(provider, fields)
  return provider
}

function checkClient({ grant, clientAuth }: OAuthProvider, fields: readonly string[]): void {
  const has = (name: string) => fields.includes(name)
  if (grant === 'implicit') {
    if (has('clientSecret')) throw wrong('implicit has a public client: leave `clientSecret` out')
    return
  }
  if (['basic', 'post', 'client_secret_jwt'].includes(clientAuth ?? '') && !has('clientSecret'))
    throw wrong(`\`clientAuth: ${clientAuth}\` needs a \`clientSecret\``)
  if (clientAuth === 'mtls' && !(has('clientCertificate') && has('clientKey')))
    throw wrong('`clientAuth: mtls` needs `clientCertificate` and `clientKey`')
  if (clientAuth === 'none' && has('clientSecret'))
    throw wrong('`clientAuth: none` sends no secret: leave `clientSecret` out')
  const alone = clientAuth === undefined ? !has('clientSecret') : clientAuth === 'none'
  if (alone && grant === 'client_credentials')
    throw wrong('client_credentials needs a client that authenticates: give its `clientSecret`')
}

/** Where a client's secrets, and those of its users, are taken. What an issuer names is its own to say. */
export function endpointsOf({ issuer, endpoints }: Pick<OAuthProvider, 'issuer' | 'endpoints'>): string[] {
  const {
    token_endpoint: token,
    device_authorization_endpoint: device,
    revocation_endpoint: revocation,
  } = endpoints
  const all = [issuer, token, device, revocation].filter((one) => one !== undefined)
  return [...new Set(all.map((one) => new URL(one).href))]
}

function textsOf(config: JsonObject, key: string): readonly string[] {
  const value = config[key] ?? []
  // RFC 6749 §3.3: a scope has no blank in it.
  if (
    !Array.isArray(value) ||
    !value.every((one) => typeof one === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(one))
  )
    throw wrong(`\`${key}\` is a list of scopes`)
  return value as string[]
}

function parameters(config: JsonObject, key: string): Readonly<Record<string, string>> {
  const value = config[key] ?? {}
  if (!isObject(value)) throw wrong(`\`${key}\` is a mapping of names to texts`)
  for (const [name, one] of Object.entries(value)) {
    if (typeof one !== 'string') throw wrong(`\`${key}.${name}\` is a text`)
    if (OWN_PARAMETERS.includes(name)) throw wrong(`\`${key}.${name}\` is Locum's own to set`)
  }
  return value as Record<string, string>
}
