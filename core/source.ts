import { checkApproved } from './approval.ts'
import { audienceCovers, covers, type Destination, destinationText } from './destination.ts'
import { LocumError } from './errors.ts'
import type { Connection, Credential, Principal, Scope } from './words.ts'

/** Where to look for a credential, in order. The first that exists is used, whether it works or not. */
export function scopesFor(connection: Connection, principal: Principal): readonly Scope[] {
  const { source, fallback } = connection
  const scopes: Scope[] = []
  if (source === 'per-user') scopes.push(`user:${principal.id}`)
  if (source === 'per-profile' || (source === 'per-user' && fallback.includes('profile'))) {
    if (principal.profile !== undefined) scopes.push(`profile:${principal.profile}`)
  }
  if (source === 'shared' || fallback.includes('shared')) scopes.push('shared')
  return scopes
}

/** The error for a caller with no credential in any of the scopes. */
export function missingCredential(connection: Connection, scopes: readonly Scope[]): LocumError {
  const looked = scopes.length === 0 ? 'the caller has no profile' : `looked for ${scopes.join(', then ')}`
  return new LocumError(
    'credential_missing',
    `There is no credential for the connection \`${connection.name}\` (${looked}).`,
    {
      hint: `locum credential set ${connection.name} --for ${scopes[0] ?? 'profile:NAME'}`,
    },
  )
}

/**
 * A user's own credential serves nobody who showed no key: a sidecar's default is set by whoever
 * writes the file, and is no door to it (R28). Throws not_allowed.
 */
export function checkCaller(connection: Connection, principal: Principal, scope: Scope): void {
  if (principal.via !== 'default' || principal.kind !== 'user' || !scope.startsWith('user:')) return
  throw new LocumError(
    'not_allowed',
    `The credential for \`${connection.name}\` (${scope}) is a user's own, and this caller showed no key.`,
    { hint: "Call with the user's proxy key, or let the default principal be a service." },
  )
}

/**
 * Whether a credential that is bound for somebody serves them now: their own, the site's where an administrator
 * bound it for all or a profile, and any other while they are a member of a project that it is shared with.
 */
export function isServed(
  { owner, projects }: Pick<Credential, 'owner' | 'projects'>,
  scope: Scope,
  principal: Pick<Principal, 'projects'>,
): boolean {
  if (owner === ownerOf(scope)) return true
  return projects.some((project) => principal.projects.includes(project))
}

/** Judged at every use, so that who leaves a project, or is no longer shared with, uses it no more. Throws not_allowed. */
export function checkShared(
  connection: Connection,
  credential: Pick<Credential, 'owner' | 'projects'>,
  scope: Scope,
  principal: Principal,
): void {
  if (isServed(credential, scope, principal)) return
  throw new LocumError(
    'not_allowed',
    `The credential for \`${connection.name}\` (${scope}) is somebody else's, and not shared with a project of \`${principal.id}\`.`,
    { hint: `Enter another: locum credential set ${connection.name} --for ${scope}` },
  )
}

/**
 * Judges a credential for a destination before anything is opened. Throws credential_missing where
 * it is disabled, credential_outside_audience where it was not approved for the destination or for what the connection does
 * with it, or only a wildcard that nobody vouches for covers it. `where`: what errors call the destination.
 */
export function checkUse(
  connection: Connection,
  credential: Credential,
  scope: Scope,
  asked: Destination,
  where = destinationText(asked),
): void {
  const { disabled, blocked, fieldNames } = credential
  if (disabled || blocked) {
    const which = `The credential for \`${connection.name}\` (${scope})`
    // A user's own loses its fields when its owner's keys go (R28).
    const emptied = fieldNames.length === 0
    throw new LocumError(
      'credential_missing',
      `${which} ${emptied ? 'has to be entered again' : 'is disabled'}.`,
      {
        hint: emptied
          ? `locum credential set ${connection.name} --for ${scope}`
          : `locum credential enable ${credential.id}`,
      },
    )
  }
  if (!audienceCovers(credential.audience, asked)) {
    throw new LocumError(
      'credential_outside_audience',
      `The credential for \`${connection.name}\` (${scope}) was not approved for ${where}.`,
      {
        hint: `Its owner approves it by entering it again: locum credential set ${connection.name} --for ${scope}`,
      },
    )
  }
  checkWildcard(connection, asked, where)
  checkApproved(connection, credential, scope)
}

/** A wildcard carries no secret unless somebody vouches that no label under it is another's. */
export function checkWildcard(
  connection: Connection,
  asked: Destination,
  where = destinationText(asked),
): void {
  if (connection.ownedWildcard) return
  if (connection.destinations.some((declared) => !declared.wildcard && covers(declared, asked))) return
  throw new LocumError(
    'credential_outside_audience',
    `The connection \`${connection.name}\` reaches ${where} through a wildcard only, and such carry no secret.`,
    { hint: 'If every name under it is yours, say `ownedWildcard: true`.' },
  )
}

/** R3: no secret over plain http unless the connection says so. */
export function checkPlaintext(
  connection: Connection,
  asked: Destination,
  where = destinationText(asked),
): void {
  if (asked.scheme === 'http' && !connection.allowPlaintext) {
    throw new LocumError('not_allowed', `A secret would go to ${where} unencrypted.`, {
      hint: 'Use https, or say `allowPlaintext: true` on the connection.',
    })
  }
}

/** Whose a credential is that serves this scope. */
export function ownerOf(scope: Scope): string {
  return scope.startsWith('user:') ? scope : 'site'
}

/** Undefined where it makes sense; else why nobody would ever be served by it. */
export function uselessScope(connection: Connection, scope: Scope): string | undefined {
  const kind = scope.split(':')[0] as 'shared' | 'profile' | 'user'
  const { source, fallback } = connection
  const looks =
    kind === 'shared'
      ? source === 'shared' || fallback.includes('shared')
      : kind === 'profile'
        ? source === 'per-profile' || fallback.includes('profile')
        : source === 'per-user'
  if (looks) return undefined
  const rule = fallback.length === 0 ? source : `${source}, then ${fallback.join(', then ')}`
  return `\`${connection.name}\` never looks for a ${kind} credential (its source is ${rule})`
}
