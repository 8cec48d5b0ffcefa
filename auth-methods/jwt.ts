import type { AuthMethod, ProviderRules } from '../core/auth-method.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { drawnFrom } from './drawn.ts'
import { ASSERTION_SCHEMA, readAssertion, signAssertion, variablesOf } from './jwt/assertion.ts'
import { openClient } from './oauth/client.ts'
import { grantOf, tokenValues } from './oauth/tokens.ts'
import { isObject, RULES_SCHEMA, readRules, urlOf, wrong } from './reading.ts'

/** RFC 7523 §2.1. */
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

const rules: ProviderRules = {
  required: true,
  configKeys: [...Object.keys(ASSERTION_SCHEMA), ...Object.keys(RULES_SCHEMA), 'exchange'],
  configSchema: {
    ...ASSERTION_SCHEMA,
    ...RULES_SCHEMA,
    exchange: {
      type: 'object',
      description: 'Trades the JWT for a token (RFC 7523) in place of sending it.',
      properties: { tokenEndpoint: { type: 'string', description: 'Where.' } },
      required: ['tokenEndpoint'],
      additionalProperties: false,
    },
  },
  configFiles: [['ca']],
  fields: {
    clientId: { title: 'Client id', secret: false, required: false },
    clientSecret: { title: 'Client secret', secret: true, required: false },
  },
  checkConfig(config, fields) {
    const endpoint = readExchange(config)
    readAssertion(config, endpoint)
    if (fields.includes('clientSecret') && !fields.includes('clientId'))
      throw wrong('a `clientSecret` needs its `clientId`')
    if (fields.includes('clientSecret') && endpoint === undefined)
      throw wrong('a `clientSecret` is for `exchange`: nothing else sends it')
  },
  endpoints(config) {
    const endpoint = readExchange(config)
    return endpoint === undefined ? [] : [new URL(endpoint).href]
  },
  ofCaller: (config, caller) => drawnFrom(variablesOf(readAssertion(config, readExchange(config))), caller),
}

/** A signed JWT as the bearer of each request, or what it is traded for. */
export const jwt: AuthMethod = {
  id: 'jwt',
  title: 'Signed JWT',
  fields: {},
  variables: ['Access_Token', 'Id_Token', 'Token'],
  configKeys: [],
  provider: rules,
  worksWithoutCredential: () => true,
  async acquire({ provider, previous, caller }, io) {
    if (!provider) throw wrong('jwt needs a provider')
    const { config, fields } = provider
    const endpoint = readExchange(config)
    const { jwt: assertion, expiresAt } = await signAssertion(
      readAssertion(config, endpoint),
      { fields, caller },
      io,
    )
    if (endpoint === undefined) return { values: { access_token: assertion, token: {} }, expiresAt }
    const client = await openClient(
      { ...provider, config: clientConfig(config, endpoint), fields: { clientId: '-', ...fields } },
      io,
    )
    const answer = await client.ask(
      (library, configuration) => library.genericGrantRequest(configuration, JWT_BEARER, { assertion }),
      { sent: [assertion] },
    )
    return grantOf(answer, previous, io.now())
  },
  values: ({ grant }) => tokenValues(grant),
  inject: () => [['Authorization', 'Bearer {{$Auth.Access_Token}}']],
  challenge: (_config, response) => (response.status === 401 ? 'renew' : undefined),
}

/** The endpoint that it is traded at. Throws bad_request. */
function readExchange(config: JsonObject): string | undefined {
  const { exchange } = config
  if (exchange === undefined) return undefined
  if (!isObject(exchange) || Object.keys(exchange).join() !== 'tokenEndpoint')
    throw wrong('`exchange` is { tokenEndpoint: https://… }')
  return urlOf(exchange, 'tokenEndpoint', readRules(config))
}

/** As a client that asks that endpoint. */
function clientConfig(config: JsonObject, tokenEndpoint: string): JsonObject {
  const rules: Record<string, Json> = {}
  for (const key of Object.keys(RULES_SCHEMA)) if (config[key] !== undefined) rules[key] = config[key]
  return { grant: 'jwt_bearer', tokenEndpoint, ...rules }
}
