import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AuthMethod } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { RequestHead } from '../../core/heads.ts'

/** The signature that `tokenMethod` puts in X-Signature: of method, authority and target. */
export function signatureOf(token: string, head: Pick<RequestHead, 'method' | 'host' | 'target'>): string {
  return createHmac('sha256', token).update(`${head.method} ${head.host}${head.target}`).digest('hex')
}

/** A method that does all that a method can: it fetches a token, signs each request, renews on a 401. */
export const tokenMethod: AuthMethod = {
  id: 'token',
  title: 'Token',
  fields: {
    clientId: { title: 'Client', secret: false, required: true },
    clientSecret: { title: 'Client secret', secret: true, required: true },
  },
  variables: ['Access_Token'],
  configKeys: ['url'],
  async acquire({ config, fields }, io) {
    const response = await io.callOut({ allowPrivateNetwork: true, allowPlaintext: true })(
      String(config.url),
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(fields),
        signal: io.signal,
      },
    )
    if (response.status === 400)
      throw new LocumError('reauthorization_required', 'Consent was withdrawn.', { lasting: true })
    if (!response.ok) throw new LocumError('refresh_failed', `The token endpoint said ${response.status}.`)
    const { token, lifetime } = (await response.json()) as { token: string; lifetime?: number }
    return { values: { token }, expiresAt: lifetime === undefined ? undefined : io.now() + lifetime * 1_000 }
  },
  values: ({ grant }) => ({ values: { Access_Token: grant?.values.token ?? null }, plain: [] }),
  inject: () => [['Authorization', 'Bearer {{$Auth.Access_Token}}']],
  sign({ values }, head) {
    const token = values.reveal().values.Access_Token as string
    return { set: [['X-Signature', signatureOf(token, head)]] }
  },
  challenge: (_config, response) => (response.status === 401 ? 'renew' : undefined),
}

export interface TokenEndpoint {
  readonly url: string
  /** What it was asked with, in order. */
  readonly asked: readonly { clientId: string; clientSecret: string }[]
  /** What it gave, in order. */
  readonly tokens: readonly string[]
  /** Seconds that the next tokens live; undefined: for ever. */
  lifetime: number | undefined
  /** The status of the next answers. */
  status: number
  /** Answers wait for it. */
  gate: Promise<unknown>
  /** Resolves when the next request has come. */
  next(): Promise<void>
}

/** A token endpoint on a free port. */
export async function startTokenEndpoint(t: { teardown(work: () => unknown): void }): Promise<TokenEndpoint> {
  const asked: { clientId: string; clientSecret: string }[] = []
  const tokens: string[] = []
  let came = () => {}
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    asked.push(JSON.parse(Buffer.concat(parts).toString()))
    came()
    await endpoint.gate
    const token = `token-${asked.length}-${'x'.repeat(20)}`
    if (endpoint.status === 200) tokens.push(token)
    response.writeHead(endpoint.status, { connection: 'close' })
    response.end(JSON.stringify({ token, lifetime: endpoint.lifetime }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint: TokenEndpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    asked,
    tokens,
    lifetime: undefined,
    status: 200,
    gate: Promise.resolve(),
    next: () =>
      new Promise((resolve) => {
        came = resolve
      }),
  }
  return endpoint
}
