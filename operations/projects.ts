import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import { type PrincipalRecord, type Project, SYSTEM } from '../core/words.ts'
import { administrators, type Context, defineOperation, everybody } from './operation.ts'
import { findPrincipal } from './principals.ts'
import { closed, Label, PrincipalId } from './schema.ts'

/** A project, and what it is about. */
export interface ProjectView {
  readonly name: string
  readonly members: readonly { readonly id: string; readonly editor: boolean }[]
  /** Ids of the credentials that are shared with it. */
  readonly credentials: readonly string[]
  /** Connections that are for projects, this one among them. */
  readonly connections: readonly string[]
}

type Asking = Pick<Context, 'as' | 'store'>

/** Everything that names a project. */
async function surveyOf({ store }: Pick<Context, 'store'>) {
  const [declared, principals, credentials, connections] = await Promise.all([
    store.projects(SYSTEM),
    store.principals(SYSTEM),
    store.credentials(SYSTEM),
    store.connections(SYSTEM),
  ])
  const view = (name: string): ProjectView => {
    const editors = declared.find((one) => one.name === name)?.editors ?? []
    const inIt = ({ projects }: { projects?: readonly string[] }) => projects?.includes(name) ?? false
    return {
      name,
      members: principals.filter(inIt).map(({ id }) => ({ id, editor: editors.includes(id) })),
      credentials: credentials.filter(inIt).map(({ id }) => id),
      connections: connections.filter(({ allow }) => inIt(allow)).map((one) => one.name),
    }
  }
  const names = [
    ...declared.map(({ name }) => name),
    ...[...principals, ...credentials].flatMap(({ projects }) => projects),
    ...connections.flatMap(({ allow }) => allow.projects ?? []),
  ]
  return { names: [...new Set(names)].sort(), view, declared, principals, credentials, connections }
}

/** Whether they are there for whoever asks: an administrator sees all, others those that they are in. */
function isSeen(as: Context['as'], name: string): boolean {
  return as.admin || as.projects.includes(name)
}

/** Throws not_found where there is none of that name, or they are not in it. */
export async function demandProject({ as, store }: Asking, name: string): Promise<ProjectView> {
  const { names, view } = await surveyOf({ store })
  if (names.includes(name) && isSeen(as, name)) return view(name)
  throw new LocumError('not_found', `There is no project \`${name}\`${as.admin ? '' : ' that you are in'}.`, {
    hint: as.admin ? `locum project add ${name}` : '`locum project ls` lists yours.',
  })
}

/** Whether whoever asks says who is a member. */
export async function isEditor({ as, store }: Asking, name: string): Promise<boolean> {
  if (as.admin) return true
  if (!as.projects.includes(name)) return false
  const found = (await store.projects(SYSTEM)).find((one) => one.name === name)
  return found?.editors.includes(as.id) ?? false
}

export const listProjects = defineOperation({
  name: 'project.ls',
  summary: 'List projects, their members and what is shared with them',
  input: closed({}),
  who: everybody,
  async run({ as, store }): Promise<readonly ProjectView[]> {
    const { names, view } = await surveyOf({ store })
    return names.filter((name) => isSeen(as, name)).map(view)
  },
})

export const showProject = defineOperation({
  name: 'project.show',
  summary: 'Show one project',
  input: closed({ name: Label }),
  who: everybody,
  run: (context, { name }): Promise<ProjectView> => demandProject(context, name),
})

export const addProject = defineOperation({
  name: 'project.add',
  summary: 'Add a project',
  input: closed({ name: Label }),
  who: administrators,
  subject: ({ name }) => name,
  async run({ as, store }, { name }): Promise<ProjectView> {
    const { declared, view } = await surveyOf({ store })
    if (declared.some((one) => one.name === name))
      throw new LocumError('bad_request', `There is a project \`${name}\` already.`, {
        hint: `locum project show ${name}`,
      })
    await store.putProject(as, { name, editors: [] })
    return view(name)
  },
})

export const removeProject = defineOperation({
  name: 'project.rm',
  summary: 'Remove a project: nobody is a member of it any more, and nothing is shared with it',
  input: closed({ name: Label }),
  who: administrators,
  subject: ({ name }) => name,
  async run({ as, store }, { name }): Promise<ProjectView> {
    const gone = await demandProject({ as, store }, name)
    const { principals, credentials } = await surveyOf({ store })
    const inIt = ({ projects }: { projects: readonly string[] }) => projects.includes(name)
    const without = (projects: readonly string[]) => projects.filter((one) => one !== name)
    for (const principal of principals.filter(inIt)) {
      // Of an issuer's users their tokens say it.
      if (principal.federated) continue
      refuseFile(principal.managedBy, `\`${principal.id}\` is in \`${name}\``)
      await putProjects({ store }, principal, without(principal.projects))
    }
    for (const credential of credentials.filter(inIt)) {
      refuseFile(credential.managedBy, `${credential.id} is shared with \`${name}\``)
      await store.setCredentialProjects(SYSTEM, credential.id, without(credential.projects))
    }
    await store.removeProject(as, name)
    return gone
  },
})

const Member = { project: Label, id: PrincipalId }

export const addMember = defineOperation({
  name: 'project.member.add',
  summary: 'Let somebody use what is shared with a project',
  input: closed({ ...Member, editor: Type.Optional(Type.Boolean()) }),
  who: everybody,
  subject: ({ project, id }) => `${project}/${id}`,
  async run(context, { project, id, editor = false }): Promise<ProjectView> {
    const { store } = context
    await demandProject(context, project)
    const found = await demandMembership(context, project, id)
    if (!found.projects.includes(project)) {
      refuseFile(found.managedBy, `\`${id}\` is not in \`${project}\``)
      await putProjects(context, found, [...found.projects, project].sort())
    }
    await putEditor(context, project, id, editor)
    return (await surveyOf({ store })).view(project)
  },
})

export const removeMember = defineOperation({
  name: 'project.member.rm',
  summary: 'Take somebody out of a project: what is shared with it serves them no more',
  input: closed(Member),
  who: everybody,
  subject: ({ project, id }) => `${project}/${id}`,
  async run(context, { project, id }): Promise<ProjectView> {
    const { as, store } = context
    await demandProject(context, project)
    const found = as.id === id && as.via !== 'local' ? await recordOf(context, id) : undefined
    const record = found ?? (await demandMembership(context, project, id))
    if (!record.projects.includes(project))
      throw new LocumError('not_found', `\`${id}\` is not in the project \`${project}\`.`)
    if (record.federated) throw federated(id)
    refuseFile(record.managedBy, `\`${id}\` is in \`${project}\``)
    await putProjects(
      context,
      record,
      record.projects.filter((one) => one !== project),
    )
    await putEditor(context, project, id, false)
    return (await surveyOf({ store })).view(project)
  },
})

function recordOf({ store }: Pick<Context, 'store'>, id: string): Promise<PrincipalRecord> {
  return findPrincipal({ as: SYSTEM, store }, id)
}

/** The record of somebody whose membership whoever asks decides. Throws not_allowed, bad_request. */
async function demandMembership(context: Asking, project: string, id: string): Promise<PrincipalRecord> {
  if (!(await isEditor(context, project)))
    throw new LocumError(
      'not_allowed',
      `Only an editor of \`${project}\`, or an administrator, may do that.`,
      {
        hint: `\`locum project show ${project}\` says who edits it.`,
      },
    )
  const found = await context.store.principal(SYSTEM, id)
  if (!found)
    throw new LocumError('not_found', `There is no principal \`${id}\`.`, {
      hint: 'An administrator adds them: locum principal add ID',
    })
  if (found.federated) throw federated(id)
  return found
}

function federated(id: string): LocumError {
  return new LocumError('not_allowed', `The projects of \`${id}\` are those that its issuer says.`, {
    hint: 'Change them at the identity provider.',
  })
}

function refuseFile(managedBy: string | undefined, says: string): void {
  if (managedBy === undefined) return
  throw new LocumError('not_allowed', `${says}, as the file named \`${managedBy}\` says.`, {
    hint: 'Change it there and apply the file.',
  })
}

async function putProjects(
  { store }: Pick<Context, 'store'>,
  { version, createdAt, ...record }: PrincipalRecord,
  projects: readonly string[],
): Promise<void> {
  await store.putPrincipal(SYSTEM, { ...record, projects })
}

async function putEditor(
  { store }: Pick<Context, 'store'>,
  name: string,
  id: string,
  editor: boolean,
): Promise<void> {
  const found: Pick<Project, 'editors'> | undefined = (await store.projects(SYSTEM)).find(
    (one) => one.name === name,
  )
  const others = (found?.editors ?? []).filter((one) => one !== id)
  const editors = editor ? [...others, id].sort() : others
  if (editors.join() !== (found?.editors ?? []).join()) await store.putProject(SYSTEM, { name, editors })
}
