import { Readable } from 'node:stream'
import type { STSClientConfig } from '@aws-sdk/client-sts'
import type { MethodIO } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import { refusalOf } from './refusals.ts'
import type { Role } from './role.ts'
import type { AwsKeys } from './signature.ts'

/** STS, asked with base credentials, by the way of every request of Locum's own. */
export interface Sts {
  /** Throws refresh_failed. */
  assume(x: Assuming): Promise<{ keys: AwsKeys; expiresAt: number }>
  /** The ARN of whoever asks. Throws refresh_failed. */
  whoAmI(): Promise<string>
}

export interface Assuming {
  readonly name: string
  readonly tags: readonly { Key: string; Value: string }[]
  readonly sourceIdentity: string | undefined
  /** Left out to see that it is refused. */
  readonly externalId: string | undefined
}

/** `base`: left out for the environment's own (variables, profile, web identity, container, instance). */
export async function openSts(role: Role, base: AwsKeys | undefined, io: MethodIO): Promise<Sts> {
  const { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts')
  let ahead = 0
  const client = new STSClient({
    region: role.region,
    endpoint: role.endpoint,
    credentials: base && { ...base },
    // A second time where its clock is off.
    maxAttempts: 2,
    requestHandler: handlerBy(io, role, (date) => {
      ahead = date - io.now()
    }),
  })
  return {
    async assume({ name, tags, sourceIdentity, externalId }) {
      if (role.arn === undefined) throw noRole()
      const command = new AssumeRoleCommand({
        RoleArn: role.arn,
        RoleSessionName: name,
        DurationSeconds: role.duration,
        ExternalId: externalId,
        Policy: role.policy,
        Tags: tags.length === 0 ? undefined : [...tags],
        SourceIdentity: sourceIdentity,
      })
      const { Credentials: given } = await asked(role, io, () => client.send(command))
      const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = given ?? {}
      if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration)
        throw new LocumError('refresh_failed', 'STS gave no whole session.')
      const keys = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
      // When it ends is said by STS's clock, which can be another than this machine's.
      return { keys, expiresAt: Expiration.getTime() - ahead }
    },
    async whoAmI() {
      const { Arn } = await asked(role, io, () => client.send(new GetCallerIdentityCommand({})))
      if (Arn) return Arn
      throw new LocumError('refresh_failed', 'STS did not say who asks.')
    },
  }
}

/** The SDK's HTTP, under Locum's rules. `ondate` is told what time each answer says it is, Unix ms. */
function handlerBy(
  io: MethodIO,
  role: Role,
  ondate: (date: number) => void,
): STSClientConfig['requestHandler'] {
  const fetch = io.callOut(role.rules)
  return {
    async handle(request: Asked) {
      const { protocol, hostname, port, path, method, headers, query = {}, body } = request
      const search = new URLSearchParams(query).toString()
      const url = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}${search && `?${search}`}`
      const response = await fetch(url, { method, headers, body, signal: io.signal, redirect: 'manual' })
      const date = Date.parse(response.headers.get('date') ?? '')
      if (Number.isFinite(date)) ondate(date)
      const answer = Buffer.from(await response.arrayBuffer())
      return {
        response: {
          statusCode: response.status,
          headers: Object.fromEntries(response.headers),
          body: Readable.from([answer]),
        },
      }
    },
  } as never
}

interface Asked {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly method: string
  readonly headers: Record<string, string>
  readonly query?: Record<string, string>
  readonly body?: string
}

function noRole(): LocumError {
  return new LocumError('refresh_failed', 'The provider has no role yet.', {
    hint: '`locum provider trust-policy NAME` says how it is made; then write its `roleArn` into the file.',
    lasting: true,
  })
}

async function asked<T>({ endpoint }: Role, { signal }: MethodIO, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof LocumError) throw thrown
    if (signal.aborted) throw signal.reason
    throw refusalOf(thrown, endpoint)
  }
}
