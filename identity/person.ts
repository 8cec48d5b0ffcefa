import { type Federated, federatedId, type Issuer, SUBJECT } from '../core/identity.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { refuseToken } from './token.ts'

/** Characters of a subject: four times what OpenID Connect Core 1.0 §2 allows. */
const LONGEST_SUBJECT = 1024
/** What a profile or a project may be called (operations/schema.ts). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in it
const LABEL = /^[^\u0000-\u001f\u007f]{1,128}$/

/** A user as a verified token describes them. */
export interface Person {
  readonly id: string
  readonly federated: Federated
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
}

/** Throws caller_unauthenticated where the claims name no user, or more than one profile. */
export function readPerson({ issuer, claims: names }: Issuer, claims: JsonObject): Person {
  const subject = Object.hasOwn(claims, names.id) ? claims[names.id] : undefined
  if (typeof subject !== 'string' || subject === '' || subject.length > LONGEST_SUBJECT)
    refuseToken(
      `The token's claim \`${names.id}\` names no user.`,
      'Ask the issuer for a token that holds it, or name another in `claims: { id }`.',
    )
  // Whoever may write any address into their account would be whoever has it.
  if (names.id === 'email' && claims.email_verified !== true)
    refuseToken(
      "The issuer does not vouch for the token's e-mail address (`email_verified`), which says who calls.",
      'Verify the address at the issuer, or identify users by `sub`.',
    )
  const claim = names.id === SUBJECT ? undefined : names.id
  const federated: Federated = { issuer, ...(claim !== undefined && { claim }), subject }
  return {
    id: federatedId(federated),
    federated,
    profile: readProfile(names.profile, claims),
    email: readEmail(names.email, claims),
    projects: textsOf(claimAt(claims, names.projects)).filter((text) => LABEL.test(text)),
  }
}

function readProfile(name: string | undefined, claims: JsonObject): string | undefined {
  const [profile, ...more] = textsOf(claimAt(claims, name))
  if (profile === undefined) return undefined
  if (more.length > 0 || !LABEL.test(profile))
    refuseToken(
      `The token's claim \`${name}\` is not one profile.`,
      'Ask the issuer for a claim with one short text; a caller has one profile at most.',
    )
  return profile
}

/** What a user only claims to be theirs is not passed on as theirs. */
function readEmail(name: string | undefined, claims: JsonObject): string | undefined {
  const email = claimAt(claims, name)
  if (typeof email !== 'string' || !LABEL.test(email)) return undefined
  return name === 'email' && claims.email_verified === false ? undefined : email
}

/** By its whole name, which may have dots in it, or else step by step: `realm_access.roles`. */
function claimAt(claims: JsonObject, name: string | undefined): Json | undefined {
  if (name === undefined) return undefined
  if (Object.hasOwn(claims, name)) return claims[name]
  let at: Json | undefined = claims
  for (const step of name.split('.')) {
    if (at === undefined || at === null || typeof at !== 'object' || !Object.hasOwn(at, step))
      return undefined
    at = (at as JsonObject)[step]
  }
  return at
}

function textsOf(value: Json | undefined): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  if (!Array.isArray(value)) return []
  return [...new Set((value as readonly Json[]).filter((item) => typeof item === 'string'))]
}
