import { fieldsOfType } from '../core/credential-type.ts'
import { LocumError } from '../core/errors.ts'
import { bindingPlace, fieldsOf, isByConsent, placeOf, withProvider } from '../core/provider.ts'
import { isServed, ownerOf, uselessScope } from '../core/source.ts'
import { type Connection, type Credential, type Principal, type Scope, SYSTEM } from '../core/words.ts'
import { findUsable } from './connections.ts'
import { approves, CredentialId, type CredentialView, typeOf, viewOne } from './credentials.ts'
import { type Context, defineOperation, everybody } from './operation.ts'
import { demandScope, findCredential, findKept, refuseManaged } from './ownership.ts'
import { demandProject, isEditor } from './projects.ts'
import { findProviderOf } from './providers.ts'
import { closed, Label, Name, ScopeText } from './schema.ts'

const WithProject = closed({ id: CredentialId, project: Label })

export const shareCredential = defineOperation({
  name: 'credential.share',
  summary: 'Let the members of a project use a credential',
  input: WithProject,
  who: everybody,
  subject: ({ id, project }) => `${id}/${project}`,
  async run(context, { id, project }): Promise<CredentialView> {
    const credential = await findKept(context, id)
    refuseManaged(credential)
    await demandProject(context, project)
    if (!credential.projects.includes(project)) {
      const projects = [...credential.projects, project].sort()
      await context.store.setCredentialProjects(SYSTEM, id, projects)
    }
    return viewOne(context, id)
  },
})

export const unshareCredential = defineOperation({
  name: 'credential.unshare',
  summary: 'Let the members of a project use a credential no longer',
  input: WithProject,
  who: everybody,
  subject: ({ id, project }) => `${id}/${project}`,
  async run(context, { id, project }): Promise<{ id: string; projects: readonly string[] }> {
    const { credential } = await findCredential(context, id)
    // Whoever edits a project takes out of it what they please; it gives nobody anything.
    if (!(await isEditor(context, project))) await findKept(context, id)
    refuseManaged(credential)
    const projects = credential.projects.filter((one) => one !== project)
    if (projects.length === credential.projects.length)
      throw new LocumError('bad_request', `${id} is not shared with a project \`${project}\`.`)
    await context.store.setCredentialProjects(SYSTEM, id, projects)
    return { id, projects }
  },
})

const Use = closed({ id: CredentialId, connection: Name, for: ScopeText })
const useText = ({ id, connection, for: scope }: { id: string; connection: string; for: string }) =>
  `${id} ${connection}/${scope}`

export const useCredential = defineOperation({
  name: 'credential.use',
  summary: 'Choose a credential for a connection',
  input: Use,
  who: everybody,
  subject: useText,
  async run(context, input): Promise<CredentialView> {
    const { store } = context
    const scope = input.for as Scope
    await demandScope(context, scope)
    const { credential } = await findCredential(context, input.id)
    await demandServed(context, credential, scope)
    const { connection, place } = await placeFor(context, input.connection)
    await demandFit(context, credential, connection, place)
    const useless = uselessScope(connection, scope)
    if (useless !== undefined) context.warn(useless)
    const before = await store.bound(SYSTEM, place, [scope])
    if (before && before.credential.id !== credential.id) {
      if (before.credential.owner === ownerOf(scope)) refuseManaged(before.credential)
      context.warn(`${before.credential.id} no longer serves ${connection.name} for ${scope}`)
    }
    await store.bind(SYSTEM, { connection: place, scope, credential: credential.id })
    return viewOne(context, credential.id)
  },
})

export const unuseCredential = defineOperation({
  name: 'credential.unuse',
  summary: 'Undo the choice of a credential for a connection',
  input: Use,
  who: everybody,
  subject: useText,
  async run(context, input): Promise<Pick<CredentialView, 'id'>> {
    const { store } = context
    const scope = input.for as Scope
    await demandScope(context, scope)
    // Also where it is no longer shared with them: they undo what they have chosen.
    const { place } = await placeFor({ ...context, as: SYSTEM }, input.connection)
    const bound = await store.bound(SYSTEM, place, [scope])
    if (bound?.credential.id !== input.id)
      throw new LocumError(
        'bad_request',
        `That credential does not serve \`${input.connection}\` for ${scope}.`,
        { hint: '`locum credential ls` says where each is used.' },
      )
    if (bound.credential.owner === ownerOf(scope)) {
      refuseManaged(bound.credential)
      if (place !== input.connection)
        throw new LocumError('bad_request', `${input.id} is a consent, which serves where it was given.`, {
          hint: `To end it: locum credential rm ${input.id}`,
        })
    }
    await store.unbind(SYSTEM, place, scope)
    return { id: input.id }
  },
})

/** Throws not_allowed where it would not serve them: judged here, so that it is said at once, and again at each use. */
async function demandServed({ as, store }: Context, credential: Credential, scope: Scope): Promise<void> {
  const { id, owner } = credential
  const user = scope.startsWith('user:') ? scope.slice('user:'.length) : undefined
  const nobody: Pick<Principal, 'projects'> = { projects: [] }
  const served = user === undefined ? nobody : user === as.id ? as : await store.principal(SYSTEM, user)
  if (isServed(credential, scope, served ?? nobody)) return
  throw new LocumError(
    'not_allowed',
    user === undefined
      ? `${id} is ${owner}'s own, and cannot serve ${scope}.`
      : `${id} is not shared with a project of ${user}.`,
    {
      hint:
        user === undefined
          ? 'Its owner shares it with a project, whose members choose it for themselves.'
          : `locum credential share ${id} --project NAME`,
    },
  )
}

/** A connection with what its credentials are approved for, and where it looks for them. */
async function placeFor(context: Context, name: string): Promise<{ connection: Connection; place: string }> {
  const connection = await findUsable(context, name)
  const method = context.methods.get(connection.method)
  if (!method) throw new LocumError('internal', `The connection's method is not known here.`)
  const provider = await findProviderOf({ ...context, as: SYSTEM }, connection)
  return {
    connection: withProvider(connection, method, provider),
    place: placeOf(connection, method, provider),
  }
}

/** Throws bad_request where it is made of something else, credential_outside_audience where it was not approved for that. */
async function demandFit(
  context: Context,
  credential: Credential,
  connection: Connection,
  place: string,
): Promise<void> {
  const { id, fieldNames } = credential
  if (fieldNames.length === 0)
    throw new LocumError('not_allowed', `${id} has to be entered again: its owner got a new key.`)
  const uses = (await context.store.bindings(SYSTEM)).filter((one) => one.credential === id)
  const consented = uses.some((one) => one.connection.startsWith(bindingPlace('')))
  const fits =
    place === connection.name
      ? !consented && (await takes(context, connection, fieldNames))
      : uses.some((one) => one.connection === place)
  if (!fits)
    throw new LocumError('bad_request', `${id} is not made of what \`${connection.name}\` takes.`, {
      hint: `Enter one for it: locum credential set ${connection.name} --for …`,
    })
  if (!approves(credential, connection))
    throw new LocumError(
      'credential_outside_audience',
      `${id} was not approved for \`${connection.name}\`.`,
      {
        hint: `It was for ${credential.audience.join(', ')}.`,
      },
    )
}

/** Whether a connection's credentials are made of these fields. */
async function takes(context: Context, connection: Connection, names: readonly string[]): Promise<boolean> {
  const type = await typeOf(context, connection)
  if (type) {
    const fields = fieldsOfType(type.schema)
    return fields.every(({ name, required }) => !required || names.includes(name))
  }
  const method = context.methods.get(connection.method)
  const provider = await findProviderOf({ ...context, as: SYSTEM }, connection)
  if (!method || isByConsent(method, provider)) return false
  const fields = fieldsOf(method, provider)
  if (fields === 'any') return true
  const known = Object.entries(fields)
  return (
    names.every((name) => name in fields) &&
    known.every(([name, { required }]) => !required || names.includes(name))
  )
}
