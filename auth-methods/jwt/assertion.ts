import { randomUUID } from 'node:crypto'
import type { MethodIO } from '../../core/auth-method.ts'
import { type BodyRule, compileBody, objectWriting } from '../../core/common-body.ts'
import { LocumError } from '../../core/errors.ts'
import type { VariablePath, VariableSources } from '../../core/placeholder.ts'
import type { Json, JsonObject } from '../../core/secret.ts'
import { type AuthValues, type Caller, NOBODY } from '../../core/words.ts'
import { isObject, oneOf, text, wrong } from '../reading.ts'
import { ALGORITHMS, algorithmsOf } from './algorithms.ts'

/** Claims that are said by keys of their own, or that each JWT gets anew (RFC 7519 §4.1). */
const STANDARD = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']
const SAID_BY: Readonly<Record<string, string>> = { iss: 'issuer', sub: 'subject', aud: 'audience' }
/** Seconds. */
const LIFETIME = { usual: 300, most: 86_400 }

/** How JWTs are made and signed, as a provider says it. */
export interface Assertion {
  readonly algorithm: string | undefined
  readonly certificate: string | undefined
  /** Seconds. */
  readonly lifetime: number
  readonly claims: Extract<BodyRule, { kind: 'json' }>
}

export const ASSERTION_SCHEMA: { readonly [key: string]: JsonObject } = {
  algorithm: { enum: ALGORITHMS, description: 'How it is signed; RS256 with the default certificate.' },
  certificate: {
    type: 'string',
    description: "The signing certificate; the site's default one unless told.",
  },
  issuer: { type: 'string', description: '`iss`. Variables can stand in it.' },
  subject: { type: 'string', description: '`sub`. Variables can stand in it.' },
  audience: {
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
    description: '`aud`: one or several.',
  },
  lifetime: { type: 'integer', description: 'Seconds; 300 unless told.' },
  claims: {
    type: 'object',
    description: 'Further claims, of any JSON shape. A variable or formula that stands alone keeps its type.',
  },
}

/** Throws bad_request. `audience`: who it is for where nothing says it. */
export function readAssertion(config: JsonObject, audience?: string): Assertion {
  const { certificate, lifetime = LIFETIME.usual, claims = {} } = config
  if (typeof lifetime !== 'number' || !Number.isInteger(lifetime) || lifetime < 1 || lifetime > LIFETIME.most)
    throw wrong(`\`lifetime\` is a whole number of seconds, at most ${LIFETIME.most}`)
  if (!isObject(claims)) throw wrong('`claims` is a mapping of names to values')
  for (const name of Object.keys(claims)) {
    if (!STANDARD.includes(name)) continue
    const key = SAID_BY[name]
    throw wrong(
      key === undefined
        ? `\`claims.${name}\` is set anew in each JWT and cannot be said`
        : `\`claims.${name}\` is said by \`${key}\``,
    )
  }
  const all: Record<string, Json> = { ...claims }
  for (const name of ['issuer', 'subject'])
    if (config[name] !== undefined) all[name === 'issuer' ? 'iss' : 'sub'] = text(config[name], name)
  const aud = config.audience ?? audience
  if (aud !== undefined) all.aud = audienceOf(aud)
  const compiled = compileBody({ json: all })
  if (compiled.kind !== 'json') throw new Error('claims are JSON')
  const assertion = {
    algorithm: oneOf(config, 'algorithm', ALGORITHMS),
    certificate: certificate === undefined ? undefined : text(certificate, 'certificate'),
    lifetime,
    claims: compiled,
  }
  const other = variablesOf(assertion).find(
    ({ root, steps }) => root === 'Api' || (root === 'Auth' && !isClientId(steps)),
  )
  if (other) throw wrong(`${other.text} cannot stand in a JWT; there are $Auth.clientId and $User`)
  return assertion
}

function isClientId(steps: VariablePath['steps']): boolean {
  return steps.length === 1 && steps[0] === 'clientId'
}

function audienceOf(value: Json): Json {
  if (Array.isArray(value) && value.length > 0) return value.map((one) => text(one, 'audience'))
  return text(value, 'audience')
}

/** Every variable of its claims. */
export function variablesOf({ claims }: Pick<Assertion, 'claims'>): VariablePath[] {
  return [...claims.members.values()].flatMap(({ paths }) => [...paths])
}

/**
 * A signed JWT, and when it ends. Throws refresh_failed where the certificate cannot sign so, placeholder_unknown
 * where a claim has no value for this caller.
 */
export async function signAssertion(
  assertion: Assertion,
  x: { fields: JsonObject; caller: Caller | undefined },
  io: MethodIO,
): Promise<{ jwt: string; expiresAt: number }> {
  const { SignJWT } = await import('jose')
  const { privateKey, kid } = await io.signingKeys.key(assertion.certificate)
  const can = algorithmsOf(privateKey)
  const algorithm = assertion.algorithm ?? can[0]
  if (algorithm === undefined || !can.includes(algorithm)) {
    throw new LocumError(
      'refresh_failed',
      `The signing certificate cannot sign with ${algorithm ?? 'anything'}.`,
      {
        hint: `It signs with ${can.join(', ')}; \`locum cert ls\` lists the others.`,
        lasting: true,
      },
    )
  }
  const auth: AuthValues = { values: { clientId: x.fields.clientId ?? null }, plain: ['clientId'] }
  const sources: VariableSources = { auth, caller: x.caller ?? NOBODY, now: io.now() }
  const written = objectWriting(assertion.claims.members).write(sources, () => {})
  const now = Math.floor(io.now() / 1000)
  const until = now + assertion.lifetime
  const jwt = await new SignJWT({ ...(JSON.parse(written) as JsonObject) })
    .setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' })
    .setIssuedAt(now)
    .setNotBefore(now)
    .setExpirationTime(until)
    .setJti(randomUUID())
    .sign(privateKey)
  return { jwt, expiresAt: until * 1000 }
}
