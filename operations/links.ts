import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import { Flows } from '../core/flows.ts'
import { isProxyKey, LINK_KEY, proxyKeyHash, proxyKeyText } from '../core/proxy-key.ts'
import type { JsonObject } from '../core/secret.ts'
import { SYSTEM } from '../core/words.ts'
import { giveKey } from './keys.ts'
import { administrators, type Context, defineOperation, type Rule } from './operation.ts'
import { type GivenKey, NewPrincipal, NextKey, register, retire } from './principals.ts'
import { closed } from './schema.ts'

/** ms that a link is good. */
export const LINK_FOR = 24 * 3_600_000

/** What waits, sealed, under a link's ticket. */
const KIND = 'key'

interface Waiting extends JsonObject {
  readonly id: string
  /** Of the key. */
  readonly ttl: string | null
}

/** A ticket is given once: here. Whoever brings it fetches the key. */
export interface GivenLink {
  readonly id: string
  readonly ticket: string
  /** When the link is over, Unix ms. */
  readonly expiresAt: number
  /** The user's own credentials that have to be entered again. */
  readonly suspended: readonly string[]
}

/** No ticket is a right to anything else, and nothing else one to open a link. */
const bearers: Rule = { says: 'whoever has been given the link', allows: ({ via }) => via === 'link' }

export const invitePrincipal = defineOperation({
  name: 'principal.invite',
  summary: 'Add a user or a service, and give a link at which it fetches its proxy key once',
  input: NewPrincipal,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, input): Promise<GivenLink> {
    const { id } = await register(context, input)
    return { id, ...(await giveLink(context, id, input.ttl)), suspended: [] }
  },
})

export const linkPrincipalKey = defineOperation({
  name: 'principal.link-key',
  summary: 'Stop all keys of a principal, and give a link at which it fetches a new one once',
  input: NextKey,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id, ttl }): Promise<GivenLink> {
    const suspended = await retire(context, id)
    return { id, ...(await giveLink(context, id, ttl)), suspended }
  },
})

/**
 * Beside what waits, the ticket stands among the principal's keys, where it calls nothing: so that it ends with them,
 * whoever ends them, and with the principal.
 */
async function giveLink(context: Context, principal: string, ttl: string | undefined) {
  const { as, store, clock, random } = context
  const ticket = proxyKeyText(random(32))
  const now = clock.now()
  const expiresAt = now + LINK_FOR
  const hash = proxyKeyHash(ticket)
  await store.addKey(as, { hash, principal, createdAt: now, expiresAt, managedBy: LINK_KEY })
  const waiting: Waiting = { id: principal, ttl: ttl ?? null }
  await new Flows(context).put(KIND, ticket, waiting, LINK_FOR)
  return { ticket, expiresAt }
}

const Ticket = closed({ ticket: Type.String({ minLength: 1, maxLength: 128 }) })

export const showLink = defineOperation({
  name: 'link.show',
  summary: 'Say for whom a link is, without using it up',
  input: Ticket,
  who: bearers,
  async run(context, { ticket }): Promise<Pick<GivenLink, 'id' | 'expiresAt'>> {
    const waiting = await new Flows(context).see(KIND, ticket)
    return standing(context, ticket, waiting as Waiting | undefined)
  },
})

export const redeemLink = defineOperation({
  name: 'link.redeem',
  summary: 'Fetch the proxy key for which a link was given, once',
  input: Ticket,
  who: bearers,
  // Never the ticket.
  subject: (_, output?: GivenKey) => output?.id ?? 'a link',
  async run(context, { ticket }): Promise<GivenKey> {
    const { store } = context
    const waiting = (await new Flows(context).take(KIND, ticket)) as Waiting | undefined
    const { id } = await standing(context, ticket, waiting)
    await store.removeKeys(SYSTEM, id, proxyKeyHash(ticket))
    const given = await giveKey({ ...context, as: SYSTEM }, id, waiting?.ttl ?? undefined)
    return { id, ...given, suspended: [] }
  },
})

/** Throws bad_request, the same whatever is wrong with it. */
async function standing(
  { store, clock }: Context,
  ticket: string,
  waiting: Waiting | undefined,
): Promise<{ id: string; expiresAt: number }> {
  const found =
    waiting && isProxyKey(ticket) ? await store.keyHolder(SYSTEM, proxyKeyHash(ticket)) : undefined
  const { expiresAt = 0, managedBy } = found?.key ?? {}
  if (
    found?.principal.id === waiting?.id &&
    found &&
    !found.principal.disabled &&
    managedBy === LINK_KEY &&
    expiresAt > clock.now()
  )
    return { id: found.principal.id, expiresAt }
  throw new LocumError('bad_request', 'This link is good for nothing, or not any more: it serves once.', {
    hint: 'Ask whoever sent it for another.',
  })
}
