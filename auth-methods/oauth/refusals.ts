import { LocumError } from '../../core/errors.ts'
import type { Json } from '../../core/secret.ts'
import { SHORTEST_SECRET } from '../../core/secret-forms.ts'

/** Errors of RFC 6749 §5.2 and RFC 8628 §3.5, and what to do about them. */
const HINTS: Readonly<Record<string, string>> = {
  invalid_client: "See the provider's client id, its secret and `clientAuth`, and apply the file again.",
  unauthorized_client: 'The client may not use this grant: allow it at the provider.',
  unsupported_grant_type: 'The server does not know this grant: choose another `grant`.',
  invalid_scope: 'See `scopes`, and what the client may ask for.',
  invalid_request: 'See `tokenParams`, and what the provider documents.',
  invalid_target: 'See `resource` or `audience` in `tokenParams` (RFC 8707).',
  access_denied: 'Consent was refused.',
  expired_token: 'The code is over: begin again.',
}

/** May be over the next time. */
const PASSING = ['temporarily_unavailable', 'server_error', 'slow_down', 'authorization_pending']

interface Asked {
  /** The provider's. */
  readonly name: string
  /** What was sent, and is in no error. */
  readonly secrets: readonly Json[]
  /** Whether it was somebody's consent of before that was refused. */
  readonly consented: boolean
  /** What to do where what was sent is refused. */
  readonly hint: string | undefined
}

/** What a failed request to a server means. Nothing of what the library says of an answer's content is in it. */
export function refusalOf(thrown: unknown, { name, secrets, consented, hint }: Asked): LocumError {
  const own = ownError(thrown)
  if (own) return own
  const {
    error,
    error_description: description,
    status = 0,
    code,
  } = thrown as {
    error?: unknown
    error_description?: unknown
    status?: number
    code?: unknown
  }
  if (typeof error === 'string' && /^[\w.-]{1,64}$/.test(error)) {
    const says = `${name} said ${error}${described(description, secrets)}.`
    if (error === 'invalid_grant' && consented) {
      return new LocumError('reauthorization_required', says, {
        hint: `Somebody has to consent again: locum connect ${name}`,
        lasting: true,
      })
    }
    const passing = PASSING.includes(error) || status >= 500 || status === 429
    return new LocumError('refresh_failed', says, {
      hint:
        (error === 'invalid_grant' ? hint : undefined) ??
        HINTS[error] ??
        'See what the provider documents about it.',
      lasting: !passing,
    })
  }
  if (typeof code === 'string' && /^OAUTH_[A-Z_]{1,60}$/.test(code)) {
    const answered = (thrown as { cause?: { status?: number } }).cause?.status
    const with_ = typeof answered === 'number' ? ` (it answered with ${answered})` : ''
    return new LocumError('refresh_failed', `${name} answered with what is no answer${with_}.`, {
      hint: `See its endpoints in the file, and what they say: ${code}.`,
      cause: thrown,
    })
  }
  return new LocumError('refresh_failed', `Nothing could be had from ${name}.`, { cause: thrown })
}

/** Our own, however deep a library has packed it; and that nobody waits any longer. */
function ownError(thrown: unknown): LocumError | undefined {
  for (let at = thrown, deep = 0; at instanceof Error && deep < 5; at = at.cause, deep++)
    if (at instanceof LocumError) return at
  if (thrown instanceof Error && thrown.name === 'TimeoutError')
    return new LocumError('refresh_failed', 'The token endpoint did not answer in time.', { cause: thrown })
  return undefined
}

/** Its own words, as far as they are words, without what was sent. */
function described(description: unknown, secrets: readonly Json[]): string {
  if (typeof description !== 'string') return ''
  let words = description.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 400)
  // The longest first: a shorter one may be a piece of it.
  const sent = secrets.filter((one) => typeof one === 'string').sort((x, y) => y.length - x.length)
  for (const secret of sent) if (secret.length >= SHORTEST_SECRET) words = words.replaceAll(secret, '***')
  return ` (${words.slice(0, 200).trim().replace(/\.$/, '')})`
}
