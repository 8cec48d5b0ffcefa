import type { Trust } from '../../core/auth-method.ts'
import { wrong } from '../reading.ts'
import type { Role } from './role.ts'

const PRINCIPAL = /^arn:aws[a-z-]*:(?:iam|sts)::\d{12}:[\x21-\x7e]+$/
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

/**
 * Who may assume the role: the principal, and only with the external id of one of these sites (IAM User Guide,
 * "Access to AWS accounts owned by third parties"). Throws bad_request.
 */
export function trustFor(role: Role, name: string, sites: readonly string[], principal: string): Trust {
  if (!PRINCIPAL.test(principal)) throw wrong('`--principal` is an ARN: arn:aws:iam::123456789012:user/NAME')
  const other = sites.find((one) => !UUID.test(one))
  if (other !== undefined) throw wrong('`--site` is the id that `locum site show` prints')
  const further = [
    ...(role.sourceIdentity ? ['sts:SetSourceIdentity'] : []),
    ...(role.tags.members.size > 0 ? ['sts:TagSession'] : []),
  ]
  const Principal = { AWS: standing(principal) }
  const Condition = { StringEquals: { 'sts:ExternalId': oneOrAll(sites) } }
  const assuming = { Effect: 'Allow', Principal, Action: 'sts:AssumeRole', Condition }
  // Asked about these AWS does not say the external id: under that condition they would be refused for ever. They are
  // good for nothing without the first.
  const naming = { Effect: 'Allow', Principal, Action: oneOrAll(further) }
  const policy = {
    Version: '2012-10-17',
    Statement: further.length === 0 ? [assuming] : [assuming, naming],
  }
  const longest = role.duration > 3600 ? ['--max-session-duration', String(role.duration)] : []
  return {
    policy,
    command: [
      ...['aws', 'iam', 'create-role', '--role-name', `locum-${name}`, '--path', role.paths[0] as string],
      ...longest,
      ...['--assume-role-policy-document', JSON.stringify(policy)],
    ],
  }
}

function oneOrAll<T>(all: readonly T[]): T | readonly T[] {
  return all.length === 1 ? (all[0] as T) : all
}

/** A session is gone tomorrow; its role is what a policy can name. */
function standing(arn: string): string {
  const session = /^(arn:aws[a-z-]*):sts::(\d{12}):assumed-role\/([^/]+)\//.exec(arn)
  return session ? `${session[1]}:iam::${session[2]}:role/${session[3]}` : arn
}
