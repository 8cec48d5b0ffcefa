import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'
import { type ClientMetadata, type Configuration, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import { memoryAdapter } from './idp-memory.ts'
import type { Teardown } from './site.ts'
import { upstreamCa, upstreamLeaf } from './upstream.ts'

export const CLIENT_SECRET = 'the-secret-of-the-oauth-client-of-the-tests'

/** An OpenID provider on a free port, over TLS, with the upstreams' CA. */
export interface Idp {
  readonly issuer: string
  readonly ca: string
  readonly provider: Provider
  /** Bodies that came to the token endpoint, in order. */
  readonly asked: readonly Readonly<Record<string, string>>[]
  /** Every token that it has given, of whatever kind, in order. */
  readonly tokens: readonly string[]
  /** What answers in place of the provider, where it returns true. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Lets the clients that people use send them back to that console. */
  sendBackTo(origin: string): void
  /** Seconds that access tokens live. */
  lifetime: number
  /** Somebody's browser: goes where it is sent, signs in, consents, and says where it ends up. */
  /** A token of somebody, signed by it. */
  jwt(claims: Readonly<Record<string, unknown>>): Promise<string>
  /** One more client. */
  addClient(metadata: ClientMetadata): Promise<void>
  /** What a client asks by itself; `as` is `id:secret`. */
  post(path: string, form: Readonly<Record<string, string>>, as: string): Promise<number>
  /** Types a device's code, signs in and consents. */
  typeCode(code: string, as: string): Promise<void>
  browse(url: string, x?: { as?: string; refuse?: boolean; until?: string }): Promise<string>
}

const REDIRECT = '/oauth/callback'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
/** The user whom the password grant knows. */
export const PASSWORD = 'the-password-of-ada-at-the-provider'

/** `clients`: others beside the usual ones. */
export async function startIdp(
  t: Teardown,
  x: {
    redirects?: readonly string[]
    clients?: readonly ClientMetadata[]
    more?: Partial<Configuration>
  } = {},
): Promise<Idp> {
  const leaf = await upstreamLeaf()
  const ca = await upstreamCa()
  const asked: Record<string, string>[] = []
  const tokens: string[] = []
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {}
  const server = createServer(
    { cert: leaf.cert, key: leaf.key, ca: ca.cert, requestCert: true, rejectUnauthorized: false },
    (request, response) => handle(request, response),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const redirect_uris = ['https://locum.example'].map((origin) => origin + REDIRECT)
  const code = {
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code' as const],
    redirect_uris,
  }
  const alone = { redirect_uris: [], response_types: [] }
  const secret = { client_secret: CLIENT_SECRET }
  const provider = new Provider(issuer, {
    adapter: memoryAdapter(),
    jwks: { keys: [{ ...jwkOf(privateKey), kid: 'one', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['a key of the tests'] },
    clients: [
      { client_id: 'web', ...secret, ...code },
      { client_id: 'basic', ...secret, ...alone, grant_types: ['client_credentials'] },
      {
        client_id: 'post',
        ...secret,
        ...alone,
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_post',
      },
      {
        client_id: 'secret-jwt',
        ...secret,
        ...alone,
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_jwt',
      },
      { client_id: 'public', ...code, token_endpoint_auth_method: 'none' },
      {
        client_id: 'implicit',
        grant_types: ['implicit'],
        response_types: ['id_token token', 'id_token'],
        redirect_uris,
        token_endpoint_auth_method: 'none',
      },
      {
        client_id: 'device',
        ...alone,
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      },
      { client_id: 'owner', ...secret, ...alone, grant_types: ['password'] },
      { client_id: 'bearer', ...secret, ...alone, grant_types: [JWT_BEARER, TOKEN_EXCHANGE] },
      ...(x.clients ?? []),
    ],
    scopes: ['openid', 'offline_access', 'read', 'write'],
    claims: { openid: ['sub'] },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: `${id}@idp.example` }),
    }),
    issueRefreshToken: async (_ctx, client, token) =>
      client.grantTypeAllowed('refresh_token') && token.scopes.has('offline_access'),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => certificateOf(ctx),
        certificateAuthorized: (ctx) => (ctx.socket as import('node:tls').TLSSocket).authorized,
        certificateSubjectMatches: () => true,
      },
    },
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'client_secret_jwt',
      'private_key_jwt',
      'tls_client_auth',
      'none',
    ],
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    // A client that asks again gets another, and what was used twice ends the grant.
    rotateRefreshToken: true,
    responseTypes: ['code', 'id_token', 'id_token token'],
    pkce: { required: () => true },
    ttl: {
      AccessToken: () => idp.lifetime,
      ClientCredentials: () => idp.lifetime,
      AuthorizationCode: 60,
      DeviceCode: 60,
      Grant: 86_400,
      IdToken: 86_400,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
    ...x.more,
  })
  for (const event of ['access_token', 'client_credentials', 'refresh_token'])
    provider.on(`${event}.saved` as never, ((token: { jti: string }) => tokens.push(token.jti)) as never)
  provider.use(async (ctx, next) => {
    await next()
    const { body } = (ctx.oidc ?? {}) as { body?: Record<string, string> }
    if (ctx.path === '/token' && body) asked.push({ ...body })
  })
  addGrants(provider)
  const callback = provider.callback()
  handle = async (request, response) => {
    const url = request.url ?? ''
    if (url.startsWith('/interaction/')) return interact(provider, request, response)
    if (!idp.instead(request, response)) callback(request, response)
  }
  const homes = new Set<string>()
  Object.assign(provider.Client.prototype, {
    redirectUriAllowed: (value: string) =>
      homes.has(new URL(value).origin) && [REDIRECT, '/sign-in/callback'].includes(new URL(value).pathname),
  })
  const idp: Idp = {
    sendBackTo(origin) {
      homes.add(origin)
    },
    issuer,
    ca: ca.cert,
    provider,
    asked,
    tokens,
    instead: () => false,
    lifetime: 3_600,
    browse: (url, how = {}) => browse(url, ca.cert, how),
    jwt: (claims) =>
      new SignJWT({ iss: issuer, ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'one' })
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    addClient: async (metadata) => {
      const { adapter } = provider.Client as unknown as {
        adapter: { upsert(id: string, metadata: ClientMetadata): Promise<void> }
      }
      await adapter.upsert(metadata.client_id, metadata)
    },
    post: (path, form, as) => post(`${issuer}${path}`, ca.cert, form, as),
    async typeCode(code, as) {
      // As the page does in the end: the code is bound to an account and a grant.
      const { DeviceCode, Grant } = provider
      const found = await DeviceCode.findByUserCode(code.replaceAll('-', ''))
      if (!found) throw new Error('no such code')
      const grant = new Grant({ accountId: as, clientId: found.clientId ?? '' })
      grant.addOIDCScope('openid offline_access')
      Object.assign(found, {
        accountId: as,
        grantId: await grant.save(),
        scope: 'openid offline_access',
        authTime: Math.floor(Date.now() / 1000),
        sessionUid: 'a session',
      })
      await found.save()
    },
  }
  return idp
}

/** Grants that the provider leaves to whoever runs it. */
function addGrants(provider: Provider): void {
  const token = async (ctx: KoaContextWithOIDC, accountId: string): Promise<void> => {
    const { client, params } = ctx.oidc as unknown as { client: never; params: { scope?: string } }
    const { AccessToken } = provider
    const given = new AccessToken({
      accountId,
      client,
      scope: params.scope ?? '',
      grantId: 'none',
      gty: 'own',
      expiresWithSession: false,
      sessionUid: undefined,
    } as never)
    const value = await given.save()
    ctx.body = {
      access_token: value,
      token_type: 'Bearer',
      expires_in: given.expiration,
      scope: params.scope,
    }
  }
  const refused = (ctx: KoaContextWithOIDC, error_description: string): void => {
    ctx.status = 400
    ctx.body = { error: 'invalid_grant', error_description }
  }
  const parameters = (ctx: KoaContextWithOIDC) => ctx.oidc.params as Record<string, string>
  provider.registerGrantType(
    'password',
    async (ctx) => {
      const { username, password = '' } = parameters(ctx)
      if (password === PASSWORD) return token(ctx, username as string)
      refused(ctx, `${password} is not the password`)
    },
    ['username', 'password', 'scope'],
  )
  provider.registerGrantType(JWT_BEARER, async (ctx) => token(ctx, subjectOf(parameters(ctx).assertion)), [
    'assertion',
    'scope',
  ])
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => token(ctx, subjectOf(parameters(ctx).subject_token)),
    ['subject_token', 'subject_token_type', 'scope', 'audience'],
  )
}

/** What a JWT says: whether it is right is for the tests to see. */
function subjectOf(token = ''): string {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sub
}

function jwkOf(key: KeyObject) {
  return key.export({ format: 'jwk' }) as Record<string, string>
}

function certificateOf(ctx: KoaContextWithOIDC): string | undefined {
  const peer = (ctx.socket as import('node:tls').TLSSocket).getPeerCertificate()
  if (!peer?.raw) return undefined
  return `-----BEGIN CERTIFICATE-----\n${peer.raw.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}

/** The page where people sign in and consent: one button, or the other. */
async function interact(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const details = await provider.interactionDetails(request, response)
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html')
    response.end(
      `<title>Sign in</title><form method="post"><input name="as" value="ada"><button id="yes">Sign in</button><button id="no" name="refuse" value="1">Refuse</button></form>`,
    )
    return
  }
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  const form = new URLSearchParams(Buffer.concat(parts).toString())
  if (form.get('refuse')) {
    await provider.interactionFinished(request, response, {
      error: 'access_denied',
      error_description: '<script>alert(1)</script> said no',
    })
    return
  }
  const accountId = form.get('as') ?? 'ada'
  const { client_id: clientId, scope } = details.params as { client_id: string; scope: string }
  const grant = new provider.Grant({ accountId, clientId })
  grant.addOIDCScope(scope ?? '')
  const grantId = await grant.save()
  await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } })
}

async function post(
  url: string,
  ca: string,
  form: Readonly<Record<string, string>>,
  as: string,
): Promise<number> {
  const { request } = await import('node:https')
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Basic ${Buffer.from(as).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    }
    const sending = request(url, { ca, method: 'POST', headers, agent: false }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode ?? 0))
    })
    sending.on('error', reject)
    sending.end(new URLSearchParams(form).toString())
  })
}

/** Follows redirects with cookies, and presses the button, until it is sent elsewhere. */
async function browse(
  from: string,
  ca: string,
  { as = 'ada', refuse = false, until = REDIRECT }: { as?: string; refuse?: boolean; until?: string },
): Promise<string> {
  const { request } = await import('node:https')
  const agent = new Agent({ ca, keepAlive: false })
  const cookies = new Map<string, string>()
  let url = from
  for (let i = 0; i < 12; i++) {
    const { pathname } = new URL(url)
    if (pathname === until) return url
    const form = pathname.startsWith('/interaction/')
      ? new URLSearchParams(refuse ? { as, refuse: '1' } : { as }).toString()
      : undefined
    const location = await new Promise<string | undefined>((resolve, reject) => {
      const sending = request(url, { agent, method: form === undefined ? 'GET' : 'POST' }, (answer) => {
        for (const line of answer.headers['set-cookie'] ?? []) {
          const [pair = ''] = line.split(';')
          const at = pair.indexOf('=')
          cookies.set(pair.slice(0, at), pair.slice(at + 1))
        }
        answer.resume()
        answer.on('end', () => resolve(answer.headers.location))
      })
      sending.on('error', reject)
      sending.setHeader('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
      if (form !== undefined) sending.setHeader('content-type', 'application/x-www-form-urlencoded')
      sending.end(form)
    })
    if (location === undefined) return url
    url = new URL(location, url).href
  }
  throw new Error('it is sent from page to page')
}
