import { redactFor } from './approval.ts'
import { audienceCovers } from './destination.ts'
import { LocumError } from './errors.ts'
import type { Question } from './explain.ts'
import { fieldsOf, isByConsent, needsNoCredential, placeOf, withProvider } from './provider.ts'
import type { Route } from './route.ts'
import { checkPlaintext, checkShared, checkUse, missingCredential, scopesFor } from './source.ts'
import type { Candidate } from './target.ts'
import type { Credential, Provider, Redact, Scope } from './words.ts'

export interface CredentialExplanation {
  /** Scopes in the order in which they are looked for. */
  readonly looked: readonly Scope[]
  /** The first that exists. */
  readonly scope?: Scope
  readonly id?: string
  readonly version?: number
  readonly disabled?: boolean
  readonly audience?: readonly string[]
  /** Whether the audience covers the destination; absent where that is not known. */
  readonly approved?: boolean
  /** What becomes of echoes, where the connection says. */
  readonly redact?: Redact
}

/** The provider of a connection. Throws internal where it is gone. */
function providerFor(
  { providers }: Question,
  { connection: { name, provider } }: Route,
): Provider | undefined {
  if (provider === undefined) return undefined
  const found = providers.find((one) => one.name === provider)
  if (found) return found
  throw new LocumError('internal', `The provider \`${provider}\` of \`${name}\` is not there.`, {
    hint: 'Apply the file that has it; `locum provider ls` lists those that are there.',
  })
}

/** Whether there is any credential to look for. */
export function takesCredential(question: Question, route: Route): boolean {
  const provider = providerFor(question, route)
  const fields = fieldsOf(route.method, provider)
  return fields === 'any' || Object.keys(fields).length > 0 || isByConsent(route.method, provider)
}

/**
 * The credential that would serve, judged as far as that can be without opening it; undefined where none is needed. Tells
 * what is found on the way. Throws what a request would be refused with.
 */
export async function judgeCredential(
  question: Question,
  route: Route,
  candidate: Candidate | undefined,
  tell: (found: CredentialExplanation) => void,
): Promise<Credential | undefined> {
  const { bound, caller } = question
  const { method } = route
  const provider = providerFor(question, route)
  const connection = withProvider(route.connection, method, provider)
  const looked = scopesFor(connection, caller.principal)
  tell({ looked })
  const found = await bound(placeOf(route.connection, method, provider), looked)
  if (!found) {
    if (needsNoCredential(route.connection, method, provider)) return undefined
    const missing = missingCredential(connection, looked)
    if (!isByConsent(method, provider)) throw missing
    const hint = `Consent at ${provider?.name}: locum connect ${provider?.name} --for ${looked[0] ?? 'profile:NAME'}`
    throw new LocumError(missing.code, missing.detail, { hint })
  }
  const { credential } = found
  const { id, version, audience } = credential
  const disabled = credential.disabled || credential.blocked === true
  const { scope } = found.binding
  const approved = candidate && audienceCovers(audience, candidate.destination)
  const redact = connection.redact && redactFor(connection, credential)
  tell({ looked, scope, id, version, disabled, audience, approved, redact })
  checkShared(connection, credential, scope, caller.principal)
  // Where the base draws on the credential, the destination is not known without opening it.
  if (candidate) {
    checkPlaintext(connection, candidate.destination)
    checkUse(connection, credential, scope, candidate.destination)
  }
  return credential
}
