import Type from 'typebox'
import { destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import { allowsCaller } from '../core/route.ts'
import { type Connection, type Principal, SYSTEM } from '../core/words.ts'
import {
  type CredentialView,
  listCredentials,
  removeCredential,
  setCredential,
  showCredential,
} from './credentials.ts'
import { type Context, defineOperation, everybody } from './operation.ts'
import { closed, Label, Name } from './schema.ts'

/** Who somebody is here. */
export interface OwnView {
  readonly id: string
  readonly kind: 'user' | 'service'
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
  readonly admin: boolean
}

/** A connection as those see it who may use it. */
export interface UsableConnection {
  readonly name: string
  readonly destinations: readonly string[]
  readonly method: string
  readonly provider?: string
  readonly source: Connection['source']
  readonly fallback: Connection['fallback']
}

/** What is somebody's own is found and written by the program itself, for them and nobody else. */
function inside(context: Context): Context {
  return { ...context, as: SYSTEM }
}

function ownerText({ id }: Principal): string {
  return `user:${id}`
}

/** Throws not_found, the same whether there is no such connection or they may not use it. */
export async function demandUsable(context: Context, name: string): Promise<void> {
  const connection = await context.store.connection(SYSTEM, name)
  if (connection && allowsCaller({ connection }, context.as)) return
  throw new LocumError('not_found', `There is no connection \`${name}\` that you may use.`)
}

/** Throws not_found, the same whether there is no such credential or it is another's. */
async function findOwn(context: Context, id: string): Promise<CredentialView> {
  const credential = await context.store.credential(SYSTEM, id)
  if (credential?.owner === ownerText(context.as)) return showCredential.run(inside(context), { id })
  throw new LocumError('not_found', 'You have no credential of that id.')
}

export const showOwn = defineOperation({
  name: 'own.show',
  summary: 'Say who you are here',
  input: closed({}),
  who: everybody,
  run: async ({ as: { id, kind, profile, email, projects, admin } }): Promise<OwnView> => ({
    ...{ id, kind, profile, email, projects, admin },
  }),
})

export const listUsable = defineOperation({
  name: 'own.connections',
  summary: 'List the connections that you may use',
  input: closed({}),
  who: everybody,
  async run({ as, store }): Promise<readonly UsableConnection[]> {
    const connections = await store.connections(SYSTEM)
    return connections
      .filter((connection) => allowsCaller({ connection }, as))
      .map(({ name, destinations, method, provider, source, fallback }) => ({
        ...{ name, destinations: destinations.map(destinationText), method, provider, source, fallback },
      }))
  },
})

export const listOwnCredentials = defineOperation({
  name: 'own.credential.ls',
  summary: 'List your own credentials, without their secrets',
  input: closed({}),
  who: everybody,
  async run(context): Promise<readonly CredentialView[]> {
    const all = await listCredentials.run(inside(context), {})
    return all.filter(({ owner }) => owner === ownerText(context.as))
  },
})

const One = closed({ id: Type.String({ minLength: 1, maxLength: 128 }) })

export const showOwnCredential = defineOperation({
  name: 'own.credential.show',
  summary: 'Show one of your own credentials, without its secrets',
  input: One,
  who: everybody,
  run: (context, { id }): Promise<CredentialView> => findOwn(context, id),
})

export const setOwnCredential = defineOperation({
  name: 'own.credential.set',
  summary: 'Enter your own credential for a connection, or enter it again',
  input: closed({
    connection: Name,
    fields: Type.Record(Type.String(), Type.Unknown(), { expected: 'one JSON object' }),
    name: Type.Optional(Label),
  }),
  who: everybody,
  subject: ({ connection }) => connection,
  async run(context, input): Promise<CredentialView> {
    await demandUsable(context, input.connection)
    return setCredential.run(inside(context), { ...input, for: ownerText(context.as) })
  },
})

export const removeOwnCredential = defineOperation({
  name: 'own.credential.rm',
  summary: 'Remove one of your own credentials for good',
  input: One,
  who: everybody,
  subject: ({ id }) => id,
  async run(context, { id }): Promise<{ id: string }> {
    await findOwn(context, id)
    return removeCredential.run(inside(context), { id })
  },
})
