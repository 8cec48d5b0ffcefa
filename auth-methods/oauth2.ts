import { createHash } from 'node:crypto'
import type {
  AcquireInput,
  AuthMethod,
  FieldSpec,
  Grant,
  MethodIO,
  ProviderRules,
} from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import type { JsonObject } from '../core/secret.ts'
import { drawnFrom } from './drawn.ts'
import { ASSERTION_SCHEMA, readAssertion, signAssertion, variablesOf } from './jwt/assertion.ts'
import { JWT_BEARER } from './jwt.ts'
import { openClient } from './oauth/client.ts'
import { consent } from './oauth/consent.ts'
import {
  BY_CONSENT,
  CLIENT_FIELDS,
  endpointsOf,
  OAUTH_SCHEMA,
  type OAuthProvider,
  readOAuthProvider,
} from './oauth/provider.ts'
import { grantOf, tokenValues } from './oauth/tokens.ts'
import { text, wrong } from './reading.ts'

/** RFC 8693 §2.1, §3. */
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_TOKEN = 'urn:ietf:params:oauth:token-type:jwt'

const USER: FieldSpec = {
  username: { title: 'User name', secret: false, required: true },
  password: { title: 'Password', secret: true, required: true },
}

const rules: ProviderRules = {
  required: true,
  configKeys: [...new Set([...Object.keys(OAUTH_SCHEMA), ...Object.keys(ASSERTION_SCHEMA)])],
  configSchema: { ...ASSERTION_SCHEMA, ...OAUTH_SCHEMA },
  configFiles: [['ca']],
  fields: CLIENT_FIELDS,
  checkConfig(config, fields) {
    const { grant, endpoints } = readOAuthProvider(config, fields)
    if (grant === 'jwt_bearer') readAssertion(config, endpoints.token_endpoint)
    else {
      const foreign = Object.keys(ASSERTION_SCHEMA).find(
        (key) => !(key in OAUTH_SCHEMA) && config[key] !== undefined,
      )
      if (foreign !== undefined) throw wrong(`\`${foreign}\` is for the grant jwt_bearer`)
    }
  },
  endpoints: (config) => endpointsOf(readOAuthProvider(config)),
  byConsent: (config) => BY_CONSENT.includes(readOAuthProvider(config).grant),
  credentialFields: (config) => (readOAuthProvider(config).grant === 'password' ? USER : undefined),
  ofCaller(config, caller) {
    const { grant, endpoints } = readOAuthProvider(config)
    if (grant === 'jwt_bearer')
      return drawnFrom(variablesOf(readAssertion(config, endpoints.token_endpoint)), caller)
    if (grant !== 'token_exchange') return undefined
    const token = caller.token?.reveal()
    return [
      caller.principal.id,
      token === undefined ? null : createHash('sha256').update(token).digest('base64url'),
    ]
  },
}

/** An OAuth client's token as the bearer of each request (RFC 6749, RFC 6750). */
export const oauth2: AuthMethod = {
  id: 'oauth2',
  title: 'OAuth 2.0',
  fields: {},
  variables: ['Access_Token', 'Id_Token', 'Token'],
  configKeys: [],
  provider: rules,
  worksWithoutCredential: (_config, provider) =>
    provider !== undefined && !['password', ...BY_CONSENT].includes(readOAuthProvider(provider).grant),
  consent,
  async acquire(input, io) {
    if (!input.provider) throw wrong('oauth2 needs a provider')
    const { grant } = readOAuthProvider(input.provider.config)
    if (BY_CONSENT.includes(grant)) return renewed(input, io)
    const client = await openClient(input.provider, io)
    const { parameters, type, sent } = await requestOf(client.provider, input, io)
    const hint = grant === 'password' ? 'Enter user name and password again if they have changed.' : undefined
    const answer = await client.ask(
      (library, configuration) => library.genericGrantRequest(configuration, type, parameters),
      { sent, hint },
    )
    return grantOf(answer, undefined, io.now())
  },
  values: ({ grant }) => tokenValues(grant),
  inject: () => [['Authorization', 'Bearer {{$Auth.Access_Token}}']],
  challenge: (_config, response) => (response.status === 401 ? 'renew' : undefined),
}

/** What is asked of the token endpoint, but for what the client says of itself. */
async function requestOf(provider: OAuthProvider, input: AcquireInput, io: MethodIO) {
  const { grant, tokenParams } = provider
  const parameters: Record<string, string> = { ...tokenParams, ...scopeOf(provider) }
  if (grant === 'client_credentials') return { type: 'client_credentials', parameters, sent: [] }
  if (grant === 'password') {
    const username = text(input.fields.username, 'username')
    const password = text(input.fields.password, 'password')
    return { type: 'password', parameters: { ...parameters, username, password }, sent: [password] }
  }
  if (grant === 'jwt_bearer') {
    const { config, fields } = input.provider as { config: JsonObject; fields: JsonObject }
    const assertion = readAssertion(config, provider.endpoints.token_endpoint)
    const { jwt } = await signAssertion(assertion, { fields, caller: input.caller }, io)
    return { type: JWT_BEARER, parameters: { ...parameters, assertion: jwt }, sent: [jwt] }
  }
  const token = input.caller?.token?.reveal()
  if (token === undefined) {
    throw new LocumError(
      'reauthorization_required',
      'The token of the caller is exchanged, and this one came with none.',
      {
        hint: 'Call with a JWT of an issuer in `identity.issuers`, in place of a proxy key.',
      },
    )
  }
  return {
    type: TOKEN_EXCHANGE,
    parameters: { subject_token_type: JWT_TOKEN, ...parameters, subject_token: token },
    sent: [token],
  }
}

function scopeOf({ scopes, optionalScopes }: OAuthProvider): Record<string, string> {
  const scope = [...scopes, ...optionalScopes].join(' ')
  return scope === '' ? {} : { scope }
}

/** Of what somebody consented to: by the refresh token (RFC 6749 §6). */
async function renewed({ provider, previous }: AcquireInput, io: MethodIO): Promise<Grant> {
  if (!provider) throw wrong('oauth2 needs a provider')
  const refresh = previous?.values.refresh_token
  if (typeof refresh !== 'string') {
    const implicit = readOAuthProvider(provider.config).grant === 'implicit'
    throw new LocumError('reauthorization_required', `The consent at ${provider.name} is over.`, {
      hint: implicit
        ? 'It gives no refresh tokens: consent again.'
        : 'It gave no refresh token: ask for one (the scope is often called offline_access), and consent again.',
      lasting: true,
    })
  }
  const client = await openClient(provider, io)
  const answer = await client.ask(
    (library, configuration) =>
      library.refreshTokenGrant(configuration, refresh, { ...client.provider.tokenParams }),
    { sent: [refresh], consented: true },
  )
  return grantOf(answer, previous, io.now())
}
