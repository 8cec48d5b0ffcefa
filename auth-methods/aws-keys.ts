import type { AuthMethod, FieldRule } from '../core/auth-method.ts'
import type { JsonObject } from '../core/secret.ts'
import type { AwsKeys } from './aws/signature.ts'
import { awsSigning, checkSigning, SIGNING_SCHEMA, signingValues } from './aws/signing.ts'
import { wrong } from './reading.ts'

/** Access keys, as a credential or a provider holds them. */
export const KEY_FIELDS: Readonly<Record<string, FieldRule>> = {
  accessKeyId: { title: 'Access key ID', secret: false, required: true },
  secretAccessKey: { title: 'Secret access key', secret: true, required: true },
  sessionToken: { title: 'Session token', secret: true, required: false },
}

/** Requests to AWS, signed with access keys (Signature Version 4). */
export const awsKeys: AuthMethod = {
  ...awsSigning,
  id: 'aws-keys',
  title: 'AWS access keys',
  fields: KEY_FIELDS,
  configKeys: Object.keys(SIGNING_SCHEMA),
  configSchema: SIGNING_SCHEMA,
  provider: {
    required: false,
    configKeys: [],
    configSchema: {},
    fields: KEY_FIELDS,
    fieldsWithin: 'credentials',
    endpoints: () => [],
    credentialFields: () => ({}),
  },
  worksWithoutCredential: (_config, provider) => provider !== undefined,
  checkConfig: checkSigning,
  checkFields: (fields) => void keysOf(fields),
  values: ({ fields, provider }) => signingValues(keysOf(provider?.fields ?? fields)),
}

/** Throws bad_request. */
export function keysOf({ accessKeyId, secretAccessKey, sessionToken }: JsonObject): AwsKeys {
  if (typeof accessKeyId !== 'string' || !/^\w{16,128}$/.test(accessKeyId))
    throw wrong('An access key ID is 16 to 128 letters and digits, such as AKIAIOSFODNN7EXAMPLE.')
  if (typeof secretAccessKey !== 'string' || !/^[\x21-\x7e]{16,256}$/.test(secretAccessKey))
    throw wrong('A secret access key is one text without blanks.')
  if (sessionToken === undefined || sessionToken === null || sessionToken === '')
    return { accessKeyId, secretAccessKey }
  if (typeof sessionToken !== 'string' || !/^[\x21-\x7e]+$/.test(sessionToken))
    throw wrong('A session token is one text without blanks.')
  return { accessKeyId, secretAccessKey, sessionToken }
}
