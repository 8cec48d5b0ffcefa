import Type from 'typebox'
import { audienceFor, unapproved } from '../core/approval.ts'
import { checkFields, credentialPlace, newCredentialId } from '../core/credential.ts'
import { type CredentialType, fieldsOfType } from '../core/credential-type.ts'
import { audienceCovers, destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import { placeOf, withProvider } from '../core/provider.ts'
import type { JsonObject } from '../core/secret.ts'
import { ownerOf, uselessScope } from '../core/source.ts'
import {
  type Binding,
  type Connection,
  type Credential,
  type Offer,
  type Provider,
  type Scope,
  SYSTEM,
} from '../core/words.ts'
import { findUsable } from './connections.ts'
import { openFingerprint } from './fingerprint.ts'
import { type Context, defineOperation, everybody } from './operation.ts'
import {
  demandScope,
  findCredential,
  findKept,
  refuseManaged,
  type Standing,
  standingOf,
} from './ownership.ts'
import { findProviderOf } from './providers.ts'
import { closed, Label, Name, ScopeText } from './schema.ts'
import { findType } from './types.ts'

/** A credential without anything that is sealed. Times are Unix ms. */
export interface CredentialView {
  readonly id: string
  readonly name: string
  readonly owner: string
  /** Where it is used, and for whom. */
  readonly bindings: readonly { readonly connection: string; readonly for: Scope }[]
  readonly fields: readonly string[]
  readonly audience: readonly string[]
  readonly projects: readonly string[]
  /**
   * `suspended`: its owner got a new key, and has to enter it again. `outside-audience`: a
   * connection that uses it now reaches more than was approved.
   */
  readonly state: 'ready' | 'disabled' | 'suspended' | 'outside-audience'
  /** An administrator stopped it, which its owner does not undo. */
  readonly blocked?: true
  /** To whom it is offered. `until`: Unix ms. */
  readonly offer?: Offer
  readonly managedBy?: string
  readonly version: number
  readonly createdAt: number
  readonly changedAt: number
}

/** What is entered for a connection. */
export interface Entry {
  readonly connection: Connection
  readonly provider: Provider | undefined
  readonly scope: Scope
  readonly fields: JsonObject
  readonly name?: string
  readonly projects?: readonly string[]
  readonly managedBy?: string
  /** What is bound there now. */
  readonly current: Credential | undefined
  /** Stays as it is where the fields are entered again by a file. */
  readonly disabled?: boolean
}

/**
 * Seals the fields and binds them. Replaces what is bound there. Throws bad_request for fields that
 * the method does not take, not_allowed where it would be another user's own. Warns of secrets that are too short to be
 * searched for in answers.
 */
export async function enterCredential(context: Context, entry: Entry): Promise<Credential> {
  const { store, sealer, methods, clock, random } = context
  const { scope, current, provider } = entry
  await demandScope(context, scope)
  const method = methods.get(entry.connection.method)
  if (!method) throw new LocumError('internal', `The connection's method is not known here.`)
  const connection = withProvider(entry.connection, method, provider)
  const type = await typeOf(context, connection)
  const fields = type ? await checkTyped(type, entry.fields) : entry.fields
  const plain = type && plainFields(type)
  for (const warning of checkFields(method, fields, provider, plain)) context.warn(warning)
  if (connection.redact === 'off')
    context.warn(`\`${connection.name}\` says \`redact: off\`: its answers are not searched for this secret.`)
  const now = clock.now()
  const place = {
    id: current?.id ?? newCredentialId(random),
    version: (current?.version ?? 0) + 1,
    owner: ownerOf(scope),
    audience: audienceFor(connection, ownerOf(scope)),
  }
  const fingerprint = await openFingerprint(context)
  const credential = await store.putCredential(SYSTEM, {
    ...place,
    name: entry.name ?? current?.name ?? `${connection.name} for ${scope}`,
    fieldNames: Object.keys(fields),
    ...(plain && { plain: plain.filter((name) => name in fields) }),
    fingerprint: fingerprint(place.id, entry.fields),
    sealed: Object.fromEntries(
      Object.entries(fields).map(([field, value]) => [
        field,
        sealer.seal(credentialPlace(place, field), Buffer.from(JSON.stringify(value), 'utf8')),
      ]),
    ),
    disabled: entry.disabled ?? false,
    ...(current?.blocked && { blocked: true }),
    projects: entry.projects ?? current?.projects ?? [],
    managedBy: entry.managedBy,
    createdAt: current?.createdAt ?? now,
    changedAt: now,
  })
  if (!current) await store.bind(SYSTEM, { connection: connection.name, scope, credential: credential.id })
  return credential
}

/** What a connection's credentials are made of, where it says a type. Throws not_found where that is gone. */
export async function typeOf(
  context: Pick<Context, 'store'>,
  { methodConfig: { type } }: Pick<Connection, 'methodConfig'>,
): Promise<CredentialType | undefined> {
  return typeof type === 'string' ? findType({ ...context, as: SYSTEM }, type) : undefined
}

/** As the type has them. What checks them is loaded where there is one: most commands never see a type. */
async function checkTyped({ name, schema }: CredentialType, fields: JsonObject): Promise<JsonObject> {
  const { fieldsByType } = await import('./type-check.ts')
  return fieldsByType(name, schema, fields)
}

function plainFields({ schema }: CredentialType): string[] {
  return fieldsOfType(schema).flatMap(({ name, secret }) => (secret ? [] : [name]))
}

/** Whether it serves wherever the connection now leads a secret, and as the connection now puts it in. */
export function approves(credential: Credential, connection: Connection): boolean {
  const { audience } = credential
  const covered = connection.destinations
    .filter(({ wildcard }) => connection.ownedWildcard || !wildcard)
    .every(
      (destination) =>
        audience.includes(destinationText(destination)) ||
        (!destination.wildcard && audienceCovers(audience, destination)),
    )
  return covered && unapproved(connection, credential).length === 0
}

/** Everything that says where credentials are used. */
interface Uses {
  readonly bindings: readonly Binding[]
  readonly connections: readonly Connection[]
  readonly providers: readonly Provider[]
}

async function usesOf({ store }: Pick<Context, 'store'>): Promise<Uses> {
  const [bindings, connections, providers] = await Promise.all([
    store.bindings(SYSTEM),
    store.connections(SYSTEM),
    store.providers(SYSTEM),
  ])
  return { bindings, connections, providers }
}

function view(
  credential: Credential,
  { bindings, connections, providers }: Uses,
  methods: Context['methods'],
): CredentialView {
  const own = bindings.filter((binding) => binding.credential === credential.id)
  const covered = connections.every((connection) => {
    const method = methods.get(connection.method)
    const provider = providers.find(({ name }) => name === connection.provider)
    if (!method) return true
    const place = placeOf(connection, method, provider)
    if (!own.some((binding) => binding.connection === place)) return true
    return approves(credential, withProvider(connection, method, provider))
  })
  const { id, name, owner, fieldNames, audience, projects, managedBy, version, createdAt, changedAt } =
    credential
  return {
    id,
    name,
    owner,
    bindings: own.map(({ connection, scope }) => ({ connection, for: scope })),
    fields: fieldNames,
    audience,
    projects,
    ...(credential.blocked && { blocked: true }),
    ...(credential.offer && { offer: credential.offer }),
    state:
      fieldNames.length === 0
        ? 'suspended'
        : credential.disabled || credential.blocked
          ? 'disabled'
          : covered
            ? 'ready'
            : 'outside-audience',
    managedBy,
    version,
    createdAt,
    changedAt,
  }
}

/** What a member sees of one that is another's: whose it is, and where they use it themselves. */
function seenByMember(view: CredentialView, { id, projects }: Context['as']): CredentialView {
  const { offer, managedBy, ...rest } = view
  return {
    ...rest,
    bindings: view.bindings.filter((binding) => binding.for === `user:${id}`),
    fields: [],
    projects: view.projects.filter((project) => projects.includes(project)),
  }
}

function seen(context: Context, credential: Credential, standing: Standing, uses: Uses): CredentialView {
  const whole = view(credential, uses, context.methods)
  return standing === 'member' ? seenByMember(whole, context.as) : whole
}

/** As whoever asks sees it. Throws not_found where it is not there for them. */
export async function viewOne(context: Context, id: string): Promise<CredentialView> {
  const { credential, standing } = await findCredential(context, id)
  return seen(context, credential, standing, await usesOf(context))
}

/** Throws not_found where it is a user's who is not there. */
export async function checkScope({ store }: Pick<Context, 'store'>, scope: Scope): Promise<void> {
  if (!scope.startsWith('user:') || (await store.principal(SYSTEM, scope.slice(5)))) return
  throw new LocumError('not_found', `There is no principal \`${scope.slice(5)}\`.`, {
    hint: `locum principal add ${scope.slice(5)}`,
  })
}

export const setCredential = defineOperation({
  name: 'credential.set',
  summary: 'Enter a credential for a connection, or enter it again',
  input: closed({
    connection: Name,
    for: ScopeText,
    fields: Type.Record(Type.String(), Type.Unknown(), { expected: 'one JSON object' }),
    name: Type.Optional(Label),
  }),
  who: everybody,
  subject: (input) => `${input.connection}/${input.for}`,
  async run(context, input): Promise<CredentialView> {
    const { store } = context
    const scope = input.for as Scope
    await demandScope(context, scope)
    const connection = await findUsable(context, input.connection)
    await checkScope(context, scope)
    const useless = uselessScope(connection, scope)
    if (useless !== undefined) context.warn(useless)
    const bound = await store.bound(SYSTEM, connection.name, [scope])
    // One that is another's and was chosen here stays theirs, as it is.
    const current = bound?.credential.owner === ownerOf(scope) ? bound.credential : undefined
    if (current) refuseManaged(current)
    const provider = await findProviderOf({ ...context, as: SYSTEM }, connection)
    const entered = await enterCredential(context, {
      connection,
      provider,
      scope,
      fields: input.fields as JsonObject,
      name: input.name,
      current,
    })
    return viewOne(context, entered.id)
  },
})

export const listCredentials = defineOperation({
  name: 'credential.ls',
  summary: 'List credentials, without their secrets',
  input: closed({}),
  who: everybody,
  async run(context): Promise<readonly CredentialView[]> {
    const uses = await usesOf(context)
    const views: CredentialView[] = []
    for (const credential of await context.store.credentials(SYSTEM)) {
      const standing = await standingOf(context, credential)
      if (standing !== 'stranger') views.push(seen(context, credential, standing, uses))
    }
    return views
  },
})

/** Any operation on one credential. */
export const CredentialId = Type.String({ minLength: 1, maxLength: 128 })
const One = closed({ id: CredentialId })

export const showCredential = defineOperation({
  name: 'credential.show',
  summary: 'Show one credential, without its secrets',
  input: One,
  who: everybody,
  run: (context, { id }): Promise<CredentialView> => viewOne(context, id),
})

export const renameCredential = defineOperation({
  name: 'credential.rename',
  summary: 'Call a credential something else',
  input: closed({ id: CredentialId, name: Label }),
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id, name }): Promise<CredentialView> {
    refuseManaged(await findKept(context, id))
    await context.store.setCredentialName(SYSTEM, id, name)
    return viewOne(context, id)
  },
})

export const disableCredential = defineOperation({
  name: 'credential.disable',
  summary: 'Stop a credential from being used',
  input: One,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<CredentialView> {
    const { store } = context
    const { standing } = await findCredential(context, id)
    if (standing === 'administrator') await store.setCredentialBlocked(SYSTEM, id, true)
    else {
      await findKept(context, id)
      await store.setCredentialDisabled(SYSTEM, id, true)
    }
    return viewOne(context, id)
  },
})

export const enableCredential = defineOperation({
  name: 'credential.enable',
  summary: 'Let a disabled credential be used again',
  input: One,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<CredentialView> {
    const { as, store } = context
    const { credential, standing } = await findCredential(context, id)
    if (credential.fieldNames.length === 0) {
      const [bound] = (await viewOne(context, id)).bindings
      throw new LocumError('not_allowed', `${id} has to be entered again: its owner got a new key.`, {
        hint: bound && `locum credential set ${bound.connection} --for ${bound.for}`,
      })
    }
    if (standing === 'administrator') {
      await store.setCredentialBlocked(SYSTEM, id, false)
      if (credential.disabled) context.warn(`${credential.owner} has stopped ${id} too`)
      return viewOne(context, id)
    }
    await findKept(context, id)
    if (credential.blocked && as.via !== 'local' && !as.admin) {
      throw new LocumError('not_allowed', `An administrator stopped ${id}, and lets it be used again.`)
    }
    if (credential.blocked) await store.setCredentialBlocked(SYSTEM, id, false)
    await store.setCredentialDisabled(SYSTEM, id, false)
    return viewOne(context, id)
  },
})

export const removeCredential = defineOperation({
  name: 'credential.rm',
  summary: 'Remove a credential for good',
  input: One,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<{ id: string }> {
    const { store } = context
    const { credential, standing } = await findCredential(context, id)
    const abandoned =
      standing === 'administrator' && !(await store.principal(SYSTEM, credential.owner.slice('user:'.length)))
    refuseManaged(abandoned ? credential : await findKept(context, id))
    await store.removeCredential(SYSTEM, id)
    return { id }
  },
})
