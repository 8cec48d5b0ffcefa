import { createHash } from 'node:crypto'
import type { CallOutRules } from '../../core/call-out.ts'
import { type BodyRule, compileBody, objectWriting } from '../../core/common-body.ts'
import type { VariablePath } from '../../core/placeholder.ts'
import type { JsonObject } from '../../core/secret.ts'
import type { Caller } from '../../core/words.ts'
import { isObject, RULES_SCHEMA, readRules, text, urlOf, wrong } from '../reading.ts'

/** A role that is assumed, as a provider says it (AWS STS API, AssumeRole). */
export interface Role {
  /** Undefined until there is one: its trust policy comes first. */
  readonly arn: string | undefined
  /** Paths under which a role may be assumed. */
  readonly paths: readonly string[]
  /** Seconds. */
  readonly duration: number
  readonly region: string
  readonly endpoint: string
  /** Session tags, written for each caller. */
  readonly tags: Extract<BodyRule, { kind: 'json' }>
  /** A session policy, as JSON. */
  readonly policy: string | undefined
  /** Who calls is the session's source identity too. */
  readonly sourceIdentity: boolean
  readonly rules: CallOutRules
}

/** The path of roles that are made for Locum. */
const USUAL_PATH = '/locum-assumable-role/'
/** Seconds (AWS STS API, AssumeRole, DurationSeconds). */
const DURATION = { usual: 3600, least: 900, most: 43_200 }
const USUAL_REGION = 'us-east-1'
const ARN = /^arn:aws[a-z-]*:iam::\d{12}:role(\/(?:[\x21-\x7e]+\/)?)[\w+=,.@-]{1,64}$/
const PATH = /^\/(?:[\x21-\x7e]+\/)?$/
/** Characters of a policy, before AWS packs it. */
const LONGEST_POLICY = 2048
const MOST_TAGS = 50
const TAG = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

export const ROLE_SCHEMA: { readonly [key: string]: JsonObject } = {
  roleArn: {
    type: 'string',
    description: 'The role. It may follow later: `locum provider trust-policy` comes first.',
  },
  rolePath: {
    type: 'array',
    items: { type: 'string' },
    description: `Paths that the role may have; ${USUAL_PATH} unless told. A role’s name counts for nothing.`,
  },
  duration: { type: 'integer', description: 'Seconds that a session lives; 3600 unless told.' },
  region: { type: 'string', description: 'The region of STS; us-east-1 unless told.' },
  stsEndpoint: { type: 'string', description: 'Where STS is, in place of the region’s own.' },
  tags: {
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Session tags. `$User` can stand in them.',
  },
  policy: { type: 'object', description: 'A session policy, which takes rights away.' },
  sourceIdentity: { type: 'boolean', description: 'Says who calls as the session’s source identity too.' },
  ...RULES_SCHEMA,
}

/** Throws bad_request. */
export function readRole(config: JsonObject): Role {
  const rules = readRules(config)
  const region = config.region === undefined ? USUAL_REGION : text(config.region, 'region')
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw wrong('`region` is small letters, digits and hyphens')
  const paths = readPaths(config.rolePath)
  const sourceIdentity = config.sourceIdentity ?? false
  if (typeof sourceIdentity !== 'boolean') throw wrong('`sourceIdentity` is true or false')
  return {
    arn: config.roleArn === undefined ? undefined : readArn(text(config.roleArn, 'roleArn'), paths),
    paths,
    duration: readDuration(config.duration),
    region,
    endpoint:
      config.stsEndpoint === undefined
        ? `https://sts.${region}.${region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'}`
        : urlOf(config, 'stsEndpoint', rules),
    tags: readTags(config.tags ?? {}),
    policy: readPolicy(config.policy),
    sourceIdentity,
    rules,
  }
}

function readPaths(value: JsonObject[string] | undefined): string[] {
  if (value === undefined) return [USUAL_PATH]
  const paths = Array.isArray(value) ? value.map((one) => text(one, 'rolePath')) : []
  if (paths.length === 0 || !paths.every((path) => PATH.test(path)))
    throw wrong(`\`rolePath\` is a list of paths that begin and end with a slash, such as ${USUAL_PATH}`)
  return paths
}

/** The path is what stands before the name: a role called like the path is outside it. */
function readArn(arn: string, paths: readonly string[]): string {
  const path = ARN.exec(arn)?.[1]
  if (path === undefined) throw wrong('`roleArn` is no role: arn:aws:iam::123456789012:role/PATH/NAME')
  if (!paths.includes(path)) {
    throw wrong(`the role’s path is ${path}, and \`rolePath\` has ${paths.join(', ')}`)
  }
  return arn
}

function readDuration(value: JsonObject[string] | undefined = DURATION.usual): number {
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < DURATION.least ||
    value > DURATION.most
  )
    throw wrong(`\`duration\` is ${DURATION.least} to ${DURATION.most} seconds`)
  return value
}

function readTags(value: JsonObject[string]): Role['tags'] {
  if (!isObject(value) || Object.keys(value).length > MOST_TAGS)
    throw wrong(`\`tags\` is a mapping of at most ${MOST_TAGS} names to texts`)
  for (const [key, one] of Object.entries(value)) {
    if (key === '' || key.length > 128 || !TAG.test(key) || key.startsWith('aws:'))
      throw wrong(`\`tags\` cannot have \`${key}\` as a name`)
    text(one, `tags.${key}`)
  }
  const tags = compileBody({ json: value })
  if (tags.kind !== 'json') throw new Error('tags are JSON')
  const other = variablesIn({ tags }).find(({ root }) => root !== 'User')
  if (other) throw wrong(`${other.text} cannot stand in a session tag; there is $User`)
  return tags
}

/** Every variable of its session tags. */
export function variablesIn({ tags }: Pick<Role, 'tags'>): VariablePath[] {
  return [...tags.members.values()].flatMap(({ paths }) => [...paths])
}

function readPolicy(value: JsonObject[string] | undefined): string | undefined {
  if (value === undefined) return undefined
  if (!isObject(value) || !Array.isArray(value.Statement))
    throw wrong('`policy` is a policy of IAM: { Version: "2012-10-17", Statement: [ … ] }')
  const policy = JSON.stringify(value)
  if (policy.length > LONGEST_POLICY)
    throw wrong(`\`policy\` has at most ${LONGEST_POLICY} characters as JSON`)
  return policy
}

/** The tags of a caller's session. Throws placeholder_unknown, and bad_request for a value that no tag can have. */
export function tagsFor({ tags }: Role, caller: Caller, now: number): { Key: string; Value: string }[] {
  const written = objectWriting(tags.members).write({ caller, now }, () => {})
  return Object.entries(JSON.parse(written) as JsonObject).map(([Key, value]) => {
    const Value = typeof value === 'string' ? value : JSON.stringify(value)
    if (Value.length > 256 || !TAG.test(Value))
      throw wrong(`The session tag \`${Key}\` would hold what AWS does not take, for this caller.`)
    return { Key, Value }
  })
}

/** Characters of a session name (AWS STS API, AssumeRole, RoleSessionName). */
const LONGEST_NAME = 64

/**
 * Tells site and user apart in CloudTrail: eight characters of the site's id, `+`, which is in no user's id, and that. One
 * that is too long ends in a hash, so that no two are the same.
 */
export function sessionName(site: string, user: string): string {
  const name = `${site.slice(0, 8)}+${user.replaceAll(/[^\w=,.@-]/g, '_')}`
  if (name.length <= LONGEST_NAME && !/[^\w=,.@-]/.test(user)) return name
  const hash = createHash('sha256').update(user).digest('hex').slice(0, 24)
  return `${name.slice(0, LONGEST_NAME - hash.length - 1)}+${hash}`
}
