import { LocumError } from '../../core/errors.ts'

/** What AWS calls an error, and what to do about it (AWS STS API, Common errors and AssumeRole), without the `Exception` at the end. */
const HINTS: Readonly<Record<string, string>> = {
  AccessDenied:
    'Compare the role’s trust policy with `locum provider trust-policy NAME`, and see `locum connection test`.',
  ExpiredToken: 'The base credentials have ended: enter others.',
  ExpiredTradeIn: 'The base credentials have ended: enter others.',
  IncompleteSignature: 'See `stsEndpoint` of the provider: what it leads to does not read what STS reads.',
  InvalidAction: 'See `stsEndpoint` of the provider: what it leads to is no STS.',
  InvalidClientTokenId: 'AWS does not know the base access key: see `credentials`.',
  InvalidIdentityToken: 'The web identity of the server is not one that the role takes.',
  MalformedPolicyDocument: 'See `policy` of the provider.',
  NotAuthorized: 'See what the base credentials may do.',
  OptInRequired: 'The account has to subscribe to STS there: choose another `region`.',
  PackedPolicyTooLarge: 'Policy and tags are too large together: shorten them.',
  RegionDisabled: 'STS is not active there: choose another `region`, or activate it in the account.',
  SignatureDoesNotMatch: 'The base secret key is another’s: see `credentials`.',
  UnrecognizedClient: 'AWS does not know the base access key: see `credentials`.',
  ValidationError: 'See `duration`, `tags` and `roleArn` of the provider, and the role’s longest session.',
}
const PASSING =
  /^(?:Throttl|RequestLimit|TooManyRequests|ServiceUnavailable|Internal|RequestTimeout|RequestExpired|IDPCommunication)/

/** STS said in its own words that it will not. */
class Refusal {
  readonly code: string

  constructor(code: string) {
    this.code = code
  }
}

/**
 * What came of a question to STS that failed. Of its answer nothing is repeated but the name of an error that AWS
 * documents: its message can hold what was sent, and what a stranger's STS calls its errors can be anything.
 */
export function refusalOf(thrown: unknown, endpoint: string): LocumError {
  const { name = '', $metadata: about } = thrown as {
    name?: string
    $metadata?: { httpStatusCode?: number }
  }
  const where = new URL(endpoint).origin
  if (name === 'CredentialsProviderError') {
    return new LocumError('refresh_failed', 'Neither provider nor environment has AWS credentials.', {
      hint: 'Write `credentials: { accessKeyId, secretAccessKey }`, or give the server an identity of its own.',
      lasting: true,
    })
  }
  const status = about?.httpStatusCode
  if (status === undefined)
    return new LocumError('refresh_failed', `${where} gave no answer that is one of AWS.`, { cause: thrown })
  const code = name.replace(/Exception$/, '')
  const hint = Object.hasOwn(HINTS, code) ? HINTS[code] : undefined
  if (hint !== undefined) {
    const cause = new Refusal(code)
    return new LocumError('refresh_failed', `${where} said ${code}.`, { hint, lasting: true, cause })
  }
  const passing = status >= 500 || status === 429 || PASSING.test(code)
  return new LocumError('refresh_failed', `${where} refused with status ${status}.`, {
    hint: passing ? 'It may serve a little later.' : 'See what CloudTrail of the account has about it.',
    lasting: !passing,
  })
}

/** Whether STS will not let the role be assumed so. */
export function isDenied(error: unknown): boolean {
  return error instanceof LocumError && error.cause instanceof Refusal && error.cause.code === 'AccessDenied'
}
