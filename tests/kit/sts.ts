import { randomBytes, randomUUID } from 'node:crypto'
import { type Aws, type AwsCall, type Keys, type Said, startAws } from './aws.ts'
import { makeServices } from './aws-services.ts'
import type { Teardown } from './site.ts'

/** What a role lets happen, as its trust policy says. */
export interface TestRole {
  readonly arn: string
  /** External ids; undefined: whoever asks gets it. */
  externalIds: readonly string[] | undefined
}

/** A question that STS was asked. */
export type AskedSts = Readonly<Record<string, string>>

export interface TestSts {
  readonly aws: Aws
  readonly asked: AskedSts[]
  readonly roles: TestRole[]
  /** Answered in place of what would be. */
  failing: Said | undefined
  /** Waited for before a question is answered. */
  before?: () => Promise<void>
}

export const STS_HOST = 'sts.eu-west-1.amazonaws.com'
export const BASE: Keys = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}

/**
 * An AWS whose STS gives sessions of roles to the base keys, and whose other services take them and nothing else. The
 * signatures of both are checked by botocore.
 */
export async function startSts(t: Teardown, hosts: readonly string[]): Promise<TestSts> {
  const services = makeServices()
  const answer = async (call: AwsCall): Promise<Said> => {
    if (call.scope.service !== 'sts') return services(call)
    const question = Object.fromEntries(new URLSearchParams(call.body.toString()))
    if (question.Action !== 'AssumeRole') return services(call)
    sts.asked.push(question)
    await sts.before?.()
    return sts.failing ?? assume(question)
  }
  const assume = (question: AskedSts): Said => {
    const role = sts.roles.find(({ arn }) => arn === question.RoleArn)
    const { externalIds } = role ?? {}
    if (!role || (externalIds && !externalIds.includes(question.ExternalId ?? '')))
      return refusal('AccessDenied')
    const keys: Keys = {
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64url'),
      sessionToken: randomBytes(60).toString('base64'),
    }
    sts.aws.keys = [...sts.aws.keys, keys]
    const until = new Date(Date.now() + sts.aws.ahead + Number(question.DurationSeconds) * 1000).toISOString()
    return {
      headers: { 'Content-Type': 'text/xml' },
      body: `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>${keys.accessKeyId}</AccessKeyId><SecretAccessKey>${keys.secretAccessKey}</SecretAccessKey><SessionToken>${keys.sessionToken}</SessionToken><Expiration>${until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
    }
  }
  const sts: TestSts = {
    aws: await startAws(t, [STS_HOST, ...hosts], [BASE], answer),
    asked: [],
    roles: [],
    failing: undefined,
  }
  return sts
}

/** An error as STS writes it. */
export function refusal(code: string, status = 403): Said {
  return {
    status,
    headers: { 'Content-Type': 'text/xml' },
    body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>User is not authorized, said with a secret: ${BASE.secretAccessKey}</Message></Error><RequestId>${randomUUID()}</RequestId></ErrorResponse>`,
  }
}
