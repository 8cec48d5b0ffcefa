import Type from 'typebox'
import { audienceFor, unapproved } from '../core/approval.ts'
import { checkFields, credentialPlace, newCredentialId } from '../core/credential.ts'
import { type CredentialType, fieldsOfType } from '../core/credential-type.ts'
import { audienceCovers, destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import { placeOf, withProvider } from '../core/provider.ts'
import type { JsonObject } from '../core/secret.ts'
import { ownerOf, uselessScope } from '../core/source.ts'
import type { Binding, Connection, Credential, Provider, Scope } from '../core/words.ts'
import { findConnection } from './connections.ts'
import { openFingerprint } from './fingerprint.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
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
 * the method does not take. Warns of secrets that are too short to be searched for in answers.
 */
export async function enterCredential(context: Context, entry: Entry): Promise<Credential> {
  const { as, store, sealer, methods, clock, random } = context
  const { scope, current, provider } = entry
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
  const credential = await store.putCredential(as, {
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
    projects: entry.projects ?? current?.projects ?? [],
    managedBy: entry.managedBy,
    createdAt: current?.createdAt ?? now,
    changedAt: now,
  })
  if (!current) await store.bind(as, { connection: connection.name, scope, credential: credential.id })
  return credential
}

/** What a connection's credentials are made of, where it says a type. Throws bad_request where that is gone. */
async function typeOf(
  context: Pick<Context, 'as' | 'store'>,
  { methodConfig: { type } }: Pick<Connection, 'methodConfig'>,
): Promise<CredentialType | undefined> {
  return typeof type === 'string' ? findType(context, type) : undefined
}

/** As the type has them. What checks them is loaded where there is one: most commands never see a type. */
async function checkTyped({ name, schema }: CredentialType, fields: JsonObject): Promise<JsonObject> {
  const { fieldsByType } = await import('./type-check.ts')
  return fieldsByType(name, schema, fields)
}

function plainFields({ schema }: CredentialType): string[] {
  return fieldsOfType(schema).flatMap(({ name, secret }) => (secret ? [] : [name]))
}

async function find({ as, store }: Context, id: string): Promise<Credential> {
  const credential = await store.credential(as, id)
  if (credential) return credential
  throw new LocumError('bad_request', 'There is no credential of that id.', {
    hint: '`locum credential ls` lists them.',
  })
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

/** Whether it serves wherever the connection now leads a secret, and as the connection now puts it in. */
function approves(credential: Credential, connection: Connection): boolean {
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

async function usesOf({ as, store }: Pick<Context, 'as' | 'store'>): Promise<Uses> {
  const [bindings, connections, providers] = await Promise.all([
    store.bindings(as),
    store.connections(as),
    store.providers(as),
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
    state:
      fieldNames.length === 0
        ? 'suspended'
        : credential.disabled
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

async function viewOne(context: Context, id: string): Promise<CredentialView> {
  return view(await find(context, id), await usesOf(context), context.methods)
}

/** Throws bad_request where it is a user's who is not there. */
export async function checkScope({ as, store }: Context, scope: Scope): Promise<void> {
  if (!scope.startsWith('user:') || (await store.principal(as, scope.slice(5)))) return
  throw new LocumError('bad_request', `There is no principal \`${scope.slice(5)}\`.`, {
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
  who: administrators,
  subject: (input) => `${input.connection}/${input.for}`,
  async run(context, input): Promise<CredentialView> {
    const { as, store } = context
    const connection = await findConnection(context, input.connection)
    const scope = input.for as Scope
    await checkScope(context, scope)
    const useless = uselessScope(connection, scope)
    if (useless !== undefined) context.warn(useless)
    const [binding] = (await store.bindings(as, connection.name)).filter((b) => b.scope === scope)
    const current = binding && (await find(context, binding.credential))
    if (current) refuseManaged(current)
    const provider = await findProviderOf(context, connection)
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
  who: administrators,
  async run(context): Promise<readonly CredentialView[]> {
    const uses = await usesOf(context)
    const credentials = await context.store.credentials(context.as)
    return credentials.map((credential) => view(credential, uses, context.methods))
  },
})

const One = closed({ id: Type.String({ minLength: 1, maxLength: 128 }) })

export const showCredential = defineOperation({
  name: 'credential.show',
  summary: 'Show one credential, without its secrets',
  input: One,
  who: administrators,
  run: (context, { id }): Promise<CredentialView> => viewOne(context, id),
})

export const disableCredential = defineOperation({
  name: 'credential.disable',
  summary: 'Stop a credential from being used',
  input: One,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<CredentialView> {
    await find(context, id)
    await context.store.setCredentialDisabled(context.as, id, true)
    return viewOne(context, id)
  },
})

export const enableCredential = defineOperation({
  name: 'credential.enable',
  summary: 'Let a disabled credential be used again',
  input: One,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<CredentialView> {
    const credential = await find(context, id)
    if (credential.fieldNames.length === 0) {
      const [bound] = (await viewOne(context, id)).bindings
      throw new LocumError('not_allowed', `${id} has to be entered again: its owner got a new key.`, {
        hint: bound && `locum credential set ${bound.connection} --for ${bound.for}`,
      })
    }
    await context.store.setCredentialDisabled(context.as, id, false)
    return viewOne(context, id)
  },
})

export const removeCredential = defineOperation({
  name: 'credential.rm',
  summary: 'Remove a credential for good',
  input: One,
  who: administrators,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<{ id: string }> {
    refuseManaged(await find(context, id))
    await context.store.removeCredential(context.as, id)
    return { id }
  },
})
