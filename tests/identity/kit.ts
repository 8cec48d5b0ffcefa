import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { connectionTo, SECRET } from '../kit/echo-site.ts'
import { type SiteOptions, startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** A clock that stands still until it is moved. It begins now, since clients look at a leaf's dates by theirs. */
export function makeClock(time = Math.floor(Date.now() / 1000) * 1000) {
  const clock = {
    time,
    now: () => clock.time,
    /** Unix s. */
    get seconds() {
      return Math.floor(clock.time / 1000)
    },
  }
  return clock
}

export type TestClock = ReturnType<typeof makeClock>

interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

export async function makeKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

export interface Signed {
  readonly key?: SigningKey
  readonly header?: object
  /** Claims that are left out. */
  readonly without?: readonly string[]
}

/** What issues tokens: an issuer's keys and its word, without a server. */
export class TestIssuer {
  readonly clock: TestClock
  issuer: string
  keys: SigningKey[] = []

  constructor(issuer: string, clock: TestClock) {
    this.issuer = issuer
    this.clock = clock
  }

  get metadata(): Record<string, unknown> {
    return { issuer: this.issuer, jwks_uri: `${this.issuer}/jwks` }
  }

  get jwks(): { keys: JWK[] } {
    return { keys: this.keys.map(({ publicJwk }) => publicJwk) }
  }

  claims(more: JWTPayload = {}): JWTPayload {
    const now = this.clock.seconds
    return { iss: this.issuer, aud: 'locum', sub: 'ada', iat: now, exp: now + 300, ...more }
  }

  /** A token that lets its user in, but for what is told. */
  token(more: JWTPayload = {}, { key = this.keys[0], header = {}, without = [] }: Signed = {}) {
    const { alg, kid, privateKey } = key as SigningKey
    const claims = Object.entries(this.claims(more)).filter(([name]) => !without.includes(name))
    return new SignJWT(Object.fromEntries(claims))
      .setProtectedHeader({ alg, kid, ...header })
      .sign(privateKey)
  }
}

/** An issuer that is asked by HTTP. `asked`: the paths in order. `down`: it breaks every connection off. */
export async function startIssuer(t: Teardown, clock: TestClock, path = '') {
  const asked: string[] = []
  const state = { down: false }
  const server = createServer((request, response) => {
    asked.push(request.url as string)
    const isKeys = request.url === `${path}/jwks`
    if (state.down) request.socket.destroy()
    else response.end(JSON.stringify(isKeys ? issuer.jwks : issuer.metadata))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const issuer = new TestIssuer(`http://localhost:${(server.address() as AddressInfo).port}${path}`, clock)
  issuer.keys = [await makeKey('first')]
  return Object.assign(issuer, { asked, state })
}

/** What the file says of an issuer on this host. */
export const HERE = { allowPrivateNetwork: true, allowPlaintext: true }

export const CLAIMS = { id: 'sub', profile: 'role', email: 'email', projects: 'groups' }

/** A site with these issuers, the local user `ada`, and a connection that says what the caller is. */
export async function startCallers(
  t: Teardown,
  x: {
    issuers: readonly object[]
    connection?: object
    more?: object
    options?: SiteOptions
  },
) {
  const upstream = await startUpstream(t)
  const config = {
    identity: { issuers: x.issuers },
    principals: [{ id: 'ada', kind: 'user' }],
    connections: [
      connectionTo(upstream, {
        headers: { 'X-User': '{{$User.Id}}', 'X-Session': '{{$Api.Session_Id}}' },
        ...x.connection,
      }),
    ],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
    ...x.more,
  }
  const site = await startSite(t, config, x.options)
  const seen = () => upstream.requests.at(-1)?.headers ?? {}
  return { site, upstream, goal: { ...upstream, name: 'echo' }, seen }
}
