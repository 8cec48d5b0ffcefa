import { jwtVerify } from 'jose'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Issuer, Signature } from '../core/identity.ts'
import type { JsonObject } from '../core/secret.ts'
import type { IssuerKeys } from './keys.ts'
import { type ReadToken, refuseToken } from './token.ts'

/** By how much an issuer's clock may be ahead, s. Nobody is let in by it after a token's end. */
const TOLERANCE = 30

const ANOTHER = 'Ask the issuer for a new token.'

/** The claims of a token whose signature, issuer, audience and times hold, with its end in Unix ms. Rejects with caller_unauthenticated. */
export async function verifyToken(
  text: string,
  { alg }: ReadToken,
  { issuer, keys, clock }: { issuer: Issuer; keys: IssuerKeys; clock: Clock },
): Promise<{ claims: JsonObject; expiresAt: number }> {
  if (!issuer.algorithms.includes(alg as Signature))
    refuseToken(
      'The token is signed by an algorithm that is not taken from its issuer.',
      `Ask the issuer for one of these: ${issuer.algorithms.join(', ')}.`,
    )
  const { payload } = await jwtVerify(text, keys.find, {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    audience: issuer.audience,
    requiredClaims: ['exp'],
    clockTolerance: TOLERANCE,
    currentDate: new Date(clock.now()),
  }).catch(refuse)
  const { exp = 0, iat = 0 } = payload
  if (exp * 1000 <= clock.now()) refuseExpired()
  if (iat * 1000 > clock.now() + TOLERANCE * 1000) refuseEarly()
  return { claims: payload as unknown as JsonObject, expiresAt: exp * 1000 }
}

/** What a jose error means to a caller. It is never a cause: it holds the claims. */
function refuse(thrown: unknown): never {
  if (thrown instanceof LocumError) throw thrown
  const { code, claim, reason } = thrown as { code?: string; claim?: string; reason?: string }
  if (code === 'ERR_JWT_EXPIRED') refuseExpired()
  if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')
    refuseToken('The signature of the token does not hold.', 'Send the token as the issuer gave it.')
  if (code === 'ERR_JWKS_NO_MATCHING_KEY')
    refuseToken(
      "The token's key id is none of its issuer's.",
      `${ANOTHER} Where its keys were changed just now, the next try finds them.`,
      TOLERANCE,
    )
  if (code === 'ERR_JWKS_MULTIPLE_MATCHING_KEYS')
    refuseToken(
      'The token does not say which of its issuer’s keys has signed it.',
      'Have the issuer put a key id (`kid`) into its tokens.',
    )
  if (claim === 'aud')
    refuseToken(
      'The token is for another audience than this Locum.',
      "Ask the issuer for a token with the audience that `identity.issuers` names; an ID token's is its client's id.",
    )
  if (claim === 'exp' && reason === 'missing')
    refuseToken('The token has no end (`exp`).', 'Ask the issuer for tokens that expire.')
  if (claim === 'nbf' && reason === 'check_failed') refuseEarly()
  refuseToken(
    'The token cannot be verified: a claim of time is no number, a header is not known, or the key is too weak.',
    ANOTHER,
  )
}

function refuseExpired(): never {
  refuseToken('The token has expired.', ANOTHER)
}

function refuseEarly(): never {
  refuseToken(
    'The token is not valid yet.',
    `Set the clocks of the issuer and of this machine right: they may differ by ${TOLERANCE} s.`,
  )
}
