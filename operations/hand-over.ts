import Type from 'typebox'
import { credentialPlace } from '../core/credential.ts'
import { LocumError } from '../core/errors.ts'
import { bindingPlace } from '../core/provider.ts'
import { isServed } from '../core/source.ts'
import { type Credential, type Principal, type Scope, type Sealed, SYSTEM } from '../core/words.ts'
import { CredentialId, type CredentialView, viewOne } from './credentials.ts'
import { type Context, defineOperation, everybody } from './operation.ts'
import { findKept, refuseManaged } from './ownership.ts'
import { findPrincipal } from './principals.ts'
import { closed, PrincipalId } from './schema.ts'

/** ms that an offer waits. */
export const OFFERED_FOR = 7 * 86_400_000

/** What somebody is asked to take over. Nothing of it serves them before they do. */
export interface OfferView {
  readonly id: string
  readonly name: string
  /** Whose it is. */
  readonly from: string
  readonly to: string
  /** What it is approved for, and will be. */
  readonly audience: readonly string[]
  /** Projects whose members use it, and will. */
  readonly projects: readonly string[]
  /** Unix ms. */
  readonly until: number
}

export const giveCredential = defineOperation({
  name: 'credential.give',
  summary: 'Offer a credential to a new owner, who has to accept it',
  input: closed({ id: CredentialId, to: PrincipalId }),
  who: everybody,
  subject: ({ id, to }) => `${id}/user:${to}`,
  async run(context, { id, to }): Promise<OfferView> {
    const { store, clock } = context
    const credential = await findKept(context, id)
    refuseManaged(credential)
    const { owner, fieldNames } = credential
    if (owner === 'site')
      throw new LocumError('bad_request', `${id} is the site's: it has no owner who could hand it over.`, {
        hint: `Share it instead: locum credential share ${id} --project NAME`,
      })
    if (fieldNames.length === 0)
      throw new LocumError('not_allowed', `${id} has to be entered again: its owner got a new key.`)
    const bindings = await store.bindings(SYSTEM)
    const isConsent = bindings.some(
      (one) => one.credential === id && one.connection.startsWith(bindingPlace('')),
    )
    if (isConsent)
      throw new LocumError('bad_request', `${id} is somebody's consent, which nobody else can have given.`, {
        hint: 'The other consents themselves: locum connect PROVIDER',
      })
    const record = await findNewOwner(context, to)
    if (owner === `user:${record.id}`) throw new LocumError('bad_request', `${id} is ${owner}'s already.`)
    const offer = { to, until: clock.now() + OFFERED_FOR }
    await store.setCredentialOffer(SYSTEM, id, offer)
    return viewOf(credential, offer)
  },
})

async function findNewOwner({ as, store }: Context, id: string) {
  // Whether others are there is for an administrator alone to find out by a guess that is near.
  const found = as.admin ? await findPrincipal({ as: SYSTEM, store }, id) : await store.principal(SYSTEM, id)
  if (found && !found.disabled && found.kind === 'user') return found
  throw new LocumError('not_found', `There is no user \`${id}\` who could accept it.`)
}

function viewOf(
  { id, name, owner, audience, projects }: Credential,
  { to, until }: { to: string; until: number },
): OfferView {
  return { id, name, from: owner, to, audience, projects, until }
}

export const listOffers = defineOperation({
  name: 'credential.offers',
  summary: 'List credentials that are offered',
  input: closed({}),
  who: everybody,
  async run({ as, store, clock }): Promise<readonly OfferView[]> {
    const all = await store.credentials(SYSTEM)
    return all.flatMap((one) => {
      const isAsked = as.via === 'local' || one.offer?.to === as.id
      return one.offer && isAsked && one.offer.until > clock.now() ? [viewOf(one, one.offer)] : []
    })
  },
})

const Answer = closed({ id: CredentialId, as: Type.Optional(PrincipalId) })

export const acceptCredential = defineOperation({
  name: 'credential.accept',
  summary: 'Become the owner of a credential that is offered',
  input: Answer,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id, as: named }): Promise<CredentialView> {
    const { store, sealer, clock } = context
    const { credential, to } = await findOffered(context, id, named)
    const { offer, ...before } = credential
    const next = { ...before, owner: `user:${to}`, version: before.version + 1, changedAt: clock.now() }
    const moved = before.fieldNames.map((field) => [
      field,
      sealer.move(
        credentialPlace(before, field),
        credentialPlace(next, field),
        before.sealed[field] as Sealed,
      ),
    ])
    await store.putCredential(SYSTEM, { ...next, sealed: Object.fromEntries(moved) })
    await moveUses(context, before, to)
    return viewOne(context, id)
  },
})

/** Where it served the old owner it serves the new one, who may have chosen otherwise; the old one if it is shared with them. */
async function moveUses({ store }: Context, before: Credential, to: string): Promise<void> {
  const from = before.owner as Scope
  const next: Scope = `user:${to}`
  const old = await store.principal(SYSTEM, from.slice('user:'.length))
  const bindings = await store.bindings(SYSTEM)
  const stays = isServed({ owner: next, projects: before.projects }, from, old ?? { projects: [] })
  for (const { connection, scope, credential } of bindings) {
    if (credential !== before.id || scope !== from) continue
    if (!stays) await store.unbind(SYSTEM, connection, scope)
    const taken = bindings.some((one) => one.connection === connection && one.scope === next)
    if (!taken) await store.bind(SYSTEM, { connection, scope: next, credential })
  }
}

export const declineCredential = defineOperation({
  name: 'credential.decline',
  summary: 'Leave a credential to its owner: as whom it is offered to, or as who offers it',
  input: Answer,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id, as: named }): Promise<{ id: string }> {
    const { as, store } = context
    const credential = await store.credential(SYSTEM, id)
    const own = as.via === 'local' || credential?.owner === `user:${as.id}`
    if (!(own && credential?.offer)) await findOffered(context, id, named)
    await store.setCredentialOffer(SYSTEM, id, undefined)
    return { id }
  },
})

/** What is offered to whoever asks. `named`: for whom whoever holds the data folder answers. Throws bad_request, not_allowed. */
async function findOffered({ as, store, clock }: Context, id: string, named: string | undefined) {
  const to = answererOf(as, named)
  const credential = await store.credential(SYSTEM, id)
  if (credential?.offer?.to === to && credential.offer.until > clock.now()) return { credential, to }
  throw new LocumError('not_found', 'No credential of that id is offered to you, or not any more.', {
    hint: '`locum credential offers` lists those that are.',
  })
}

/** Nobody answers for another, an administrator neither (R28). */
function answererOf(as: Principal, named: string | undefined): string {
  if (as.via === 'local') {
    if (named !== undefined) return named
    throw new LocumError('bad_request', 'Say who accepts it: --as ID.')
  }
  if (named === undefined || named === as.id) return as.id
  throw new LocumError('not_allowed', 'Nobody answers for another.')
}
