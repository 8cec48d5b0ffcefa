import type { ConsentRules, MethodIO, OpenProvider } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import { text } from '../reading.ts'
import { openClient } from './client.ts'
import { type OAuthProvider, readOAuthProvider } from './provider.ts'
import { refusalOf } from './refusals.ts'
import { grantOf } from './tokens.ts'

/** RFC 8628 §3.4. */
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'
/** Seconds between two questions where the server says none, and to add where it says so (RFC 8628 §3.2, §3.5). */
const INTERVAL = 5
/** Seconds that a device code lives where the server says nothing. */
const DEVICE_LIFE = 600
const AGAIN = 'A code serves once, and briefly: begin again.'

/** How people consent at an OAuth server. */
export const consent: ConsentRules = {
  way(config) {
    const { grant } = readOAuthProvider(config)
    return grant === 'device_code' ? 'device' : grant === 'implicit' ? 'fragment' : 'redirect'
  },

  scopes(config) {
    const { scopes, optionalScopes, scopesUrl } = readOAuthProvider(config)
    return { required: scopes, optional: optionalScopes, url: scopesUrl }
  },

  async begin({ provider, redirectUri, state, scopes }, io) {
    const client = await openClient(provider, io)
    const { library, configuration, provider: rules } = client
    const parameters: Record<string, string> = {
      ...rules.authorizeParams,
      redirect_uri: redirectUri,
      state,
      ...scopeParameter(rules, scopes),
    }
    const openid = parameters.scope?.split(' ').includes('openid') ?? false
    if (rules.grant === 'implicit') {
      // OpenID knows no bare token (OpenID Connect Core §3.2.2.1).
      const keep: Record<string, string> = openid ? { nonce: library.randomNonce() } : {}
      const kind = openid ? 'id_token token' : 'token'
      const url = library.buildAuthorizationUrl(configuration, {
        ...parameters,
        ...keep,
        response_type: kind,
      })
      return { url: url.href, keep }
    }
    // An OAuth server has it sent whether or not it knows it (RFC 7636, RFC 9700 §2.1.1).
    const verifier = library.randomPKCECodeVerifier()
    const keep: Record<string, string> = { verifier }
    const challenge = await library.calculatePKCECodeChallenge(verifier)
    Object.assign(parameters, { code_challenge: challenge, code_challenge_method: 'S256' })
    if (rules.issuer !== undefined && openid) {
      keep.nonce = library.randomNonce()
      parameters.nonce = keep.nonce
    }
    return { url: library.buildAuthorizationUrl(configuration, parameters).href, keep }
  },

  async complete({ provider, redirectUri, state, keep, answer }, io) {
    if (readOAuthProvider(provider.config).grant === 'implicit')
      return fromFragment(provider, { state, nonce: keep.nonce }, answer, io)
    const client = await openClient(provider, io)
    const here = new URL(redirectUri)
    here.search = answer.search
    const code = answer.searchParams.get('code') ?? ''
    const verifier = text(keep.verifier, 'verifier')
    const nonce = typeof keep.nonce === 'string' ? keep.nonce : undefined
    const given = await client.ask(
      (library, configuration) =>
        library.authorizationCodeGrant(
          configuration,
          here,
          { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce },
          { ...client.provider.tokenParams },
        ),
      { sent: [code, verifier, state], hint: AGAIN },
    )
    return grantOf(given, undefined, io.now())
  },

  async beginDevice({ provider, scopes }, io) {
    const client = await openClient(provider, io)
    const parameters = scopeParameter(client.provider, scopes)
    const answer = await client.ask((library, configuration) =>
      library.initiateDeviceAuthorization(configuration, {
        ...client.provider.authorizeParams,
        ...parameters,
      }),
    )
    const { device_code: deviceCode, user_code: userCode, verification_uri: uri } = answer
    const { verification_uri_complete: whole, expires_in: life, interval } = answer
    const link = pageOf(uri, provider)
    return {
      userCode: shownCode(userCode, provider),
      verificationUri: link,
      verificationUriComplete: whole === undefined ? undefined : pageOf(whole, provider),
      expiresAt: io.now() + 1000 * (typeof life === 'number' && life > 0 ? life : DEVICE_LIFE),
      interval: 1000 * (typeof interval === 'number' && interval > 0 ? interval : INTERVAL),
      keep: { deviceCode: text(deviceCode, 'device_code') },
    }
  },

  async pollDevice({ provider, keep }, io) {
    const client = await openClient(provider, io)
    const deviceCode = text(keep.deviceCode, 'device_code')
    let waits: string | undefined
    const answer = await client.ask(
      async (library, configuration) => {
        try {
          await library.genericGrantRequest(configuration, DEVICE_CODE, { device_code: deviceCode })
        } catch (thrown) {
          const { error } = thrown as { error?: unknown }
          if (error !== 'authorization_pending' && error !== 'slow_down') throw thrown
          waits = error
        }
      },
      { sent: [deviceCode], hint: AGAIN },
    )
    if (waits === undefined) return { grant: grantOf(answer, undefined, io.now()) }
    return waits === 'slow_down' ? { slower: 1000 * INTERVAL } : {}
  },

  async revoke({ provider, grant }, io) {
    const client = await openClient(provider, io)
    const { library, configuration } = client
    if (configuration.serverMetadata().revocation_endpoint === undefined) return false
    const { refresh_token: refresh, access_token: access } = grant.values
    const [token, kind] = typeof refresh === 'string' ? [refresh, 'refresh_token'] : [access, 'access_token']
    if (typeof token !== 'string') return false
    try {
      await library.tokenRevocation(configuration, token, { token_type_hint: kind })
    } catch (thrown) {
      throw refusalOf(thrown, { name: provider.name, secrets: [token], consented: false, hint: undefined })
    }
    return true
  },
}

function scopeParameter(
  { scopes, optionalScopes }: OAuthProvider,
  wanted: readonly string[] | undefined,
): Record<string, string> {
  const optional =
    wanted === undefined ? optionalScopes : optionalScopes.filter((one) => wanted.includes(one))
  const scope = [...scopes, ...optional].join(' ')
  return scope === '' ? {} : { scope }
}

/** What an implicit grant puts behind the `#` (RFC 6749 §4.2.2). Throws bad_request, refresh_failed. */
function fromFragment(
  provider: OpenProvider,
  { state, nonce }: { state: string; nonce: Json | undefined },
  answer: URL,
  io: MethodIO,
) {
  const parameters = new URLSearchParams(answer.hash.slice(1))
  if (parameters.get('state') !== state)
    throw new LocumError('bad_request', 'The answer is not one to this question.', { hint: AGAIN })
  const error = parameters.get('error')
  if (error !== null) {
    const said = { error, error_description: parameters.get('error_description') }
    throw refusalOf(said, { name: provider.name, secrets: [state], consented: false, hint: AGAIN })
  }
  if (nonce !== undefined && nonceOf(parameters.get('id_token')) !== nonce)
    throw new LocumError('bad_request', 'The ID token is not one to this question.', { hint: AGAIN })
  const given: JsonObject = Object.fromEntries([...parameters].filter(([name]) => name !== 'state'))
  return grantOf(given, undefined, io.now())
}

/** The nonce of an ID token that nobody takes for a proof of who somebody is. */
function nonceOf(token: string | null): unknown {
  try {
    const claims = Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString('utf8')
    return (JSON.parse(claims) as { nonce?: unknown }).nonce
  } catch {
    // Without the parser's error: it would show a piece of the token.
    return undefined
  }
}

/** A page that people are sent to. */
function pageOf(uri: unknown, { name, config }: OpenProvider): string {
  const { rules } = readOAuthProvider(config)
  const parsed = typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined
  if (parsed?.protocol === 'https:' || (parsed?.protocol === 'http:' && rules.allowPlaintext))
    return parsed.href
  throw new LocumError('refresh_failed', `${name} named no https page to type the code at.`)
}

/** Terminals show it: nothing but what can be typed. */
function shownCode(code: unknown, { name }: OpenProvider): string {
  if (typeof code === 'string' && /^[\x21-\x7e]{1,64}$/.test(code)) return code
  throw new LocumError('refresh_failed', `${name} gave no code that could be typed.`)
}
