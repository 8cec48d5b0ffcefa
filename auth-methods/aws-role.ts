import { randomUUID } from 'node:crypto'
import type {
  AcquireInput,
  AuthMethod,
  Finding,
  MethodIO,
  OpenProvider,
  ProviderRules,
} from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import { NOBODY } from '../core/words.ts'
import { isDenied } from './aws/refusals.ts'
import { ROLE_SCHEMA, type Role, readRole, sessionName, tagsFor, variablesIn } from './aws/role.ts'
import type { AwsKeys } from './aws/signature.ts'
import { awsSigning, checkSigning, SIGNING_SCHEMA, signingValues } from './aws/signing.ts'
import { openSts, type Sts } from './aws/sts.ts'
import { trustFor } from './aws/trust.ts'
import { KEY_FIELDS, keysOf } from './aws-keys.ts'
import { drawnFrom } from './drawn.ts'
import { wrong } from './reading.ts'

const rules: ProviderRules = {
  required: true,
  configKeys: Object.keys(ROLE_SCHEMA),
  configSchema: ROLE_SCHEMA,
  configFiles: [['ca']],
  fields: Object.fromEntries(
    Object.entries(KEY_FIELDS).map(([name, rule]) => [name, { ...rule, required: false }]),
  ),
  fieldsWithin: 'credentials',
  checkConfig(config, fields) {
    readRole(config)
    const given = ['accessKeyId', 'secretAccessKey'].filter((name) => fields.includes(name))
    if (given.length === 1 || (given.length === 0 && fields.length > 0))
      throw wrong(
        '`credentials` are accessKeyId and secretAccessKey together, or left out for the environment’s own',
      )
  },
  endpoints: (config) => [new URL(readRole(config).endpoint).href],
  // Each user has sessions of their own, which bear their name.
  ofCaller(config, caller) {
    const drawn = drawnFrom(variablesIn(readRole(config)), caller)
    return drawn ? [caller.principal.id, drawn] : [caller.principal.id]
  },
  async trust({ provider, sites, principal }, io) {
    const role = readRole(provider.config)
    const sts = principal === undefined ? await stsFor(role, provider, io) : undefined
    return trustFor(role, provider.name, sites, principal ?? (await (sts as Sts).whoAmI()))
  },
  prove,
}

/** Requests to AWS, signed with the session of a role that is assumed for whoever calls. */
export const awsRole: AuthMethod = {
  ...awsSigning,
  id: 'aws-role',
  title: 'AWS role',
  fields: {},
  configKeys: Object.keys(SIGNING_SCHEMA),
  configSchema: SIGNING_SCHEMA,
  provider: rules,
  worksWithoutCredential: () => true,
  checkConfig: checkSigning,
  async acquire(x, io) {
    const { keys, expiresAt } = await assume(x, io, await io.siteId())
    return { values: { ...keys }, expiresAt }
  },
  values({ grant }) {
    if (!grant) throw new LocumError('internal', 'There is no session of the role.')
    return signingValues(keysOf(grant.values))
  },
  challenge(config, response, now, then) {
    const error = response.fields.get('x-amzn-errortype') ?? ''
    if (/^(?:ExpiredToken|InvalidClientTokenId|UnrecognizedClient)/.test(error)) return 'renew'
    return awsSigning.challenge(config, response, now, then)
  },
}

/** Throws refresh_failed, placeholder_unknown, bad_request. */
async function assume(
  { provider, caller = NOBODY }: AcquireInput,
  io: MethodIO,
  externalId: string | undefined,
): Promise<{ keys: AwsKeys; expiresAt: number }> {
  if (!provider) throw wrong('aws-role needs a provider')
  const role = readRole(provider.config)
  const { id } = caller.principal
  const name = sessionName(await io.siteId(), id)
  const tags = tagsFor(role, caller, io.now())
  const sts = await stsFor(role, provider, io)
  return sts.assume({ name, tags, sourceIdentity: role.sourceIdentity ? name : undefined, externalId })
}

function stsFor(role: Role, { fields }: OpenProvider, io: MethodIO): Promise<Sts> {
  const hasKeys = typeof fields.accessKeyId === 'string'
  return openSts(role, hasKeys ? keysOf(fields) : undefined, io)
}

/** The role can be assumed, and it cannot without this site's external id. */
async function prove(x: AcquireInput, io: MethodIO): Promise<readonly Finding[]> {
  const site = await io.siteId()
  try {
    await assume(x, io, site)
  } catch (thrown) {
    if (!(thrown instanceof LocumError)) throw thrown
    return [{ says: `The role is not assumed: ${thrown.detail}`, holds: false, hint: thrown.hint }]
  }
  const others = [
    ['without an external id', undefined],
    ['with another site’s external id', randomUUID()],
  ] as const
  const findings: Finding[] = [{ says: 'The role is assumed.', holds: true }]
  for (const [how, externalId] of others) {
    const refused = await isRefused(() => assume(x, io, externalId))
    findings.push(
      refused
        ? { says: `It is refused ${how}.`, holds: true }
        : {
            says: `It is assumed ${how} as well: whoever may ask for it in another’s name gets it.`,
            holds: false,
            hint: 'Give the role the trust policy of `locum provider trust-policy NAME`.',
          },
    )
  }
  return findings
}

/** Throws what is no refusal. */
async function isRefused(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return false
  } catch (thrown) {
    if (isDenied(thrown)) return true
    throw thrown
  }
}
