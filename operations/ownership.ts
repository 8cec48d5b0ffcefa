import { LocumError } from '../core/errors.ts'
import { ownerOf } from '../core/source.ts'
import { type Credential, type Scope, SYSTEM } from '../core/words.ts'
import type { Context } from './operation.ts'

type Asking = Pick<Context, 'as' | 'store'>

/**
 * How somebody stands to a credential. `keeper`: decides about it, as its owner does or, for what the site or a
 * service owns, an administrator. `administrator`: of somebody else's own, which they can stop and nothing else
 * (R28). `member`: of a project that it is shared with. `stranger`: it is not there for them.
 */
export type Standing = 'keeper' | 'administrator' | 'member' | 'stranger'

export async function standingOf({ as, store }: Asking, credential: Credential): Promise<Standing> {
  const { owner, projects } = credential
  // Whoever holds the data folder holds everything.
  if (as.via === 'local' || owner === `user:${as.id}`) return 'keeper'
  if (as.admin) return (await isKeptBySite({ store }, owner)) ? 'keeper' : 'administrator'
  return projects.some((project) => as.projects.includes(project)) ? 'member' : 'stranger'
}

/** A service enters nothing by itself: what is its own, administrators keep. */
async function isKeptBySite({ store }: Pick<Context, 'store'>, owner: string): Promise<boolean> {
  if (owner === 'site') return true
  return (await store.principal(SYSTEM, owner.slice('user:'.length)))?.kind === 'service'
}

/** A credential that is there for whoever asks. Throws not_found, the same whether it is another's or nobody's. */
export async function findCredential(
  context: Asking,
  id: string,
): Promise<{ credential: Credential; standing: Standing }> {
  const credential = await context.store.credential(SYSTEM, id)
  const standing = credential ? await standingOf(context, credential) : 'stranger'
  if (credential && standing !== 'stranger') return { credential, standing }
  throw new LocumError('not_found', 'There is no credential of that id.', {
    hint: '`locum credential ls` lists them.',
  })
}

/** One that whoever asks decides about. Throws not_found where it is not there for them, not_allowed. */
export async function findKept(context: Asking, id: string): Promise<Credential> {
  const { credential, standing } = await findCredential(context, id)
  if (standing === 'keeper') return credential
  const { owner } = credential
  throw new LocumError(
    'not_allowed',
    `${id} is for its owner to change (${owner === 'site' ? 'administrators' : owner}).`,
    {
      hint:
        standing === 'administrator'
          ? `\`locum credential disable ${id}\` stops it at once.`
          : `\`locum credential use ${id} --connection NAME --for user:…\` chooses it for a connection.`,
    },
  )
}

/** Throws not_allowed where a file has it. */
export function refuseManaged(credential: Credential): void {
  if (credential.managedBy === undefined) return
  throw new LocumError(
    'not_allowed',
    `The credential ${credential.id} belongs to the file named \`${credential.managedBy}\`.`,
    { hint: 'Change it there and apply the file; `locum credential disable` stops it at once.' },
  )
}

/**
 * Throws not_allowed where whose credential serves there is not for them to say: everybody says it for themselves, an
 * administrator for what the site and services own.
 */
export async function demandScope({ as, store }: Asking, scope: Scope): Promise<void> {
  if (as.via === 'local' || scope === `user:${as.id}`) return
  if (as.admin && (await isKeptBySite({ store }, ownerOf(scope)))) return
  const own = `user:${as.id}`
  throw new LocumError(
    'not_allowed',
    as.admin
      ? `Which credential serves ${scope} is for that user to say.`
      : `You say it for yourself alone (${own}).`,
    { hint: as.admin ? 'Share one with a project of theirs, from which they choose it.' : `--for ${own}` },
  )
}
