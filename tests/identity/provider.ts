import { once } from 'node:events'
import { createServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'
import { memoryAdapter } from '../kit/idp-memory.ts'
import type { Teardown } from '../kit/site.ts'
import { upstreamCa, upstreamLeaf } from '../kit/upstream.ts'
import { makeKey } from './kit.ts'

/** The resource whose access tokens are JWTs, and the audience of these. */
const RESOURCE = 'urn:example:locum'

/** A certified OpenID provider on this host, over TLS. */
export interface RealProvider {
  readonly issuer: string
  /** PEM of its CA. */
  readonly ca: string
  /** An access token for a client of it (RFC 6749 §4.4), whose subject is the client. */
  token(audience?: string): Promise<string>
  /** From now on it signs with another key, and publishes that one alone. */
  rotate(): Promise<void>
}

export async function startProvider(t: Teardown): Promise<RealProvider> {
  const { cert: ca } = await upstreamCa()
  let provider: Provider | undefined
  const server = createServer(await upstreamLeaf(), (request, response) =>
    provider?.callback()(request, response),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`
  let audience = 'locum'
  let keys = 0
  const rotate = async () => {
    const { privateKey, publicJwk } = await makeKey(`key-${++keys}`, 'RS256')
    const { exportJWK } = await import('jose')
    const jwk = { ...(await exportJWK(privateKey)), kid: publicJwk.kid, alg: 'RS256', use: 'sig' }
    provider = new Provider(issuer, { ...configuration(jwk, () => audience), adapter: memoryAdapter() })
  }
  await rotate()
  return {
    issuer,
    ca,
    rotate,
    async token(wanted = 'locum') {
      audience = wanted
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        resource: RESOURCE,
        scope: 'call',
      })
      const answer = await post(`${issuer}/token`, form.toString(), ca)
      return (JSON.parse(answer) as { access_token: string }).access_token
    },
  }
}

function configuration(jwk: object, audience: () => string): Configuration {
  return {
    jwks: { keys: [jwk] } as Configuration['jwks'],
    cookies: { keys: ['a cookie key for the tests'] },
    clients: [
      {
        client_id: 'worker',
        client_secret: 'the-secret-of-the-worker',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'call',
          audience: audience(),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: () => ({ role: 'sales', groups: ['north'] }),
  }
}

async function post(url: string, body: string, ca: string): Promise<string> {
  const request = httpsRequest(url, {
    method: 'POST',
    ca,
    agent: false,
    auth: 'worker:the-secret-of-the-worker',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  request.end(body)
  const [response] = await once(request, 'response')
  let text = ''
  for await (const piece of response) text += piece
  return text
}
