import Type, { type Static } from 'typebox'
import { LocumError } from '../core/errors.ts'
import { refuseFederated } from '../core/identity.ts'
import { LINK_KEY } from '../core/proxy-key.ts'
import type { PrincipalRecord } from '../core/words.ts'
import { actingProblem, demandHolder } from './acting.ts'
import { endKeys, giveKey, suspendOwn, warnSuspended } from './keys.ts'
import { LimitsInput } from './limits-schema.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { ActForText, closed, Duration, Kind, Label, noSuch, PrincipalId } from './schema.ts'

/** A principal with what is known of its keys. Times are Unix ms. */
export interface PrincipalView extends PrincipalRecord {
  readonly keys: readonly { readonly createdAt: number; readonly expiresAt?: number }[]
  /** Until when a new key can be fetched at a link. */
  readonly linkUntil?: number
}

/** A key is given once: here. */
export interface GivenKey {
  readonly id: string
  readonly key: string
  readonly expiresAt?: number
  /** The user's own credentials that have to be entered again. */
  readonly suspended: readonly string[]
}

const One = closed({ id: PrincipalId })

/** Throws not_found where there is none of that id. */
export async function findPrincipal(
  { as, store }: Pick<Context, 'as' | 'store'>,
  id: string,
): Promise<PrincipalRecord> {
  const record = await store.principal(as, id)
  if (record) return record
  const known = (await store.principals(as)).map((other) => other.id)
  throw noSuch('principal', id, known, '`locum principal ls` lists them.')
}

async function view({ as, store }: Context, record: PrincipalRecord): Promise<PrincipalView> {
  const keys = await store.keys(as, record.id)
  const link = keys.find(({ managedBy }) => managedBy === LINK_KEY)
  return {
    ...record,
    keys: keys.filter((key) => key !== link).map(({ createdAt, expiresAt }) => ({ createdAt, expiresAt })),
    ...(link?.expiresAt !== undefined && { linkUntil: link.expiresAt }),
  }
}

/** A principal that is not there yet, and how long its key lasts. */
export const NewPrincipal = closed({
  id: PrincipalId,
  kind: Type.Optional(Kind),
  profile: Type.Optional(Label),
  email: Type.Optional(Label),
  projects: Type.Optional(Type.Array(Label)),
  admin: Type.Optional(Type.Boolean()),
  mayActFor: Type.Optional(Type.Array(ActForText)),
  limits: Type.Optional(LimitsInput),
  ttl: Type.Optional(Duration),
})

/** Without a key. Throws bad_request, not_allowed. */
export async function register(
  { as, store }: Context,
  input: Static<typeof NewPrincipal>,
): Promise<PrincipalRecord> {
  refuseFederated(input.id)
  if (await store.principal(as, input.id)) {
    throw new LocumError('bad_request', `There is a principal \`${input.id}\` already.`, {
      hint: `For a new key: locum principal rotate-key ${input.id}`,
    })
  }
  const { id, kind = 'user', profile, email, projects = [], admin = false, limits } = input
  const mayActFor = input.mayActFor?.length ? input.mayActFor : undefined
  const wanted = { id, kind, profile, email, projects, admin, mayActFor, limits, disabled: false }
  const unfit = actingProblem(wanted)
  if (unfit !== undefined) throw new LocumError('bad_request', `\`mayActFor\`: ${unfit}.`)
  demandHolder(as, wanted)
  return store.putPrincipal(as, wanted)
}

export const addPrincipal = defineOperation({
  name: 'principal.add',
  summary: 'Add a user or a service and give its proxy key',
  input: NewPrincipal,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, input): Promise<GivenKey> {
    const { id } = await register(context, input)
    return { id, ...(await giveKey(context, id, input.ttl)), suspended: [] }
  },
})

export const listPrincipals = defineOperation({
  name: 'principal.ls',
  summary: 'List users and services',
  input: closed({}),
  who: administrators,
  async run(context): Promise<readonly PrincipalView[]> {
    const records = await context.store.principals(context.as)
    return Promise.all(records.map((record) => view(context, record)))
  },
})

export const showPrincipal = defineOperation({
  name: 'principal.show',
  summary: 'Show one user or service',
  input: One,
  who: administrators,
  async run(context, { id }): Promise<PrincipalView> {
    return view(context, await findPrincipal(context, id))
  },
})

/** Whose keys end, and how long the next one lasts. */
export const NextKey = closed({ id: PrincipalId, ttl: Type.Optional(Duration) })

/** Ends all of its keys, so that it can have another. Returns which of its own credentials that suspends. */
export async function retire(context: Context, id: string): Promise<string[]> {
  const { as } = context
  const record = await findPrincipal(context, id)
  refuseFederated(id)
  if (as.id !== id) demandHolder(as, record)
  const ended = await endKeys(context, id)
  // Elsewhere than at the data folder a first key is no first proof: a user may have called by certificate.
  const keeps = as.via === 'local' ? ended === 0 : as.id === id
  const suspended = keeps ? [] : await suspendOwn(context, record)
  warnSuspended(context, id, suspended)
  return suspended
}

export const rotatePrincipalKey = defineOperation({
  name: 'principal.rotate-key',
  summary: 'Stop all keys of a principal and give a new one',
  input: NextKey,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id, ttl }): Promise<GivenKey> {
    const suspended = await retire(context, id)
    return { id, ...(await giveKey(context, id, ttl)), suspended }
  },
})

function switchPrincipal(verb: 'disable' | 'enable', summary: string) {
  return defineOperation({
    name: `principal.${verb}`,
    summary,
    input: One,
    who: administrators,
    subject: ({ id }) => id,
    async run(context, { id }): Promise<PrincipalRecord> {
      const { version, createdAt, ...record } = await findPrincipal(context, id)
      return context.store.putPrincipal(context.as, { ...record, disabled: verb === 'disable' })
    },
  })
}

export const disablePrincipal = switchPrincipal('disable', 'Refuse a principal until it is enabled again')
export const enablePrincipal = switchPrincipal('enable', 'Take a disabled principal back')

export const revokePrincipal = defineOperation({
  name: 'principal.revoke',
  summary: 'Stop all keys and certificates of a principal; the principal stays',
  input: One,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<{ id: string; revoked: number; suspended: readonly string[] }> {
    const { version, createdAt, ...record } = await findPrincipal(context, id)
    const revoked = await endKeys(context, id)
    await context.store.putPrincipal(context.as, { ...record, revokedAt: context.clock.now() })
    const suspended = await suspendOwn(context, record)
    warnSuspended(context, id, suspended)
    return { id, revoked, suspended }
  },
})

/** The id of the administrator that the first start makes. */
const FIRST_ADMINISTRATOR = 'admin'

/** Undefined where there is an administrator already, or somebody else of that id. */
export const addFirstAdministrator = defineOperation({
  name: 'principal.first',
  summary: 'Add the administrator of a new installation',
  input: closed({}),
  who: administrators,
  subject: () => FIRST_ADMINISTRATOR,
  changed: (given: GivenKey | undefined) => given !== undefined,
  async run(context): Promise<GivenKey | undefined> {
    const { as, store } = context
    const id = FIRST_ADMINISTRATOR
    const known = await store.principals(as)
    if (known.some((principal) => principal.admin || principal.id === id)) return undefined
    await store.putPrincipal(as, { id, kind: 'user', projects: [], admin: true, disabled: false })
    return { id, ...(await giveKey(context, id, undefined)), suspended: [] }
  },
})

/** Undoes `principal.first` where its key could not be handed over. */
export const dropFirstAdministrator = defineOperation({
  name: 'principal.first-undone',
  summary: 'Remove an administrator whose key nobody has seen',
  input: closed({}),
  who: administrators,
  subject: () => FIRST_ADMINISTRATOR,
  run: ({ as, store }): Promise<void> => store.removePrincipal(as, FIRST_ADMINISTRATOR),
})
