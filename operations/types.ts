import Type from 'typebox'
import { type CredentialType, fieldsOfType, isOAuthType, type TypeField } from '../core/credential-type.ts'
import { LocumError } from '../core/errors.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { closed, Name, noSuch } from './schema.ts'

/** A type with its fields as forms have them. */
export interface TypeView extends CredentialType {
  readonly fields: readonly TypeField[]
  /** Its tokens come of consent at a provider. */
  readonly oauth: boolean
  /** Connections whose credentials are of it. */
  readonly connections: readonly string[]
}

/** Throws not_found where there is none of that name. */
export async function findType(
  { as, store }: Pick<Context, 'as' | 'store'>,
  name: string,
): Promise<CredentialType> {
  const types = await store.types(as)
  const found = types.find((one) => one.name === name)
  if (found) return found
  const known = types.map((one) => one.name)
  throw noSuch('credential type', name, known, '`locum type import FILE` brings one in.')
}

async function usersOf({ as, store }: Pick<Context, 'as' | 'store'>, name: string): Promise<string[]> {
  const connections = await store.connections(as)
  return connections.filter(({ methodConfig }) => methodConfig.type === name).map((one) => one.name)
}

async function view(context: Context, type: CredentialType): Promise<TypeView> {
  const { schema } = type
  const connections = await usersOf(context, type.name)
  return { ...type, fields: fieldsOfType(schema), oauth: isOAuthType(schema), connections }
}

export const listTypes = defineOperation({
  name: 'type.ls',
  summary: 'List credential types',
  input: closed({}),
  who: administrators,
  async run(context): Promise<readonly TypeView[]> {
    const types = await context.store.types(context.as)
    return Promise.all(types.map((type) => view(context, type)))
  },
})

export const showType = defineOperation({
  name: 'type.show',
  summary: 'Show the fields of a credential type',
  input: closed({ name: Name }),
  who: administrators,
  run: async (context, { name }): Promise<TypeView> => view(context, await findType(context, name)),
})

export const importType = defineOperation({
  name: 'type.import',
  summary: 'Bring in a credential type, or its next version',
  input: closed({ name: Name, schema: Type.Unknown() }),
  who: administrators,
  subject: ({ name }) => name,
  changed: ({ changed }: { changed: boolean }) => changed,
  async run({ as, store }, { name, schema: given }): Promise<{ type: CredentialType; changed: boolean }> {
    const { checkSchema } = await import('./type-check.ts')
    const schema = checkSchema(given)
    const before = (await store.types(as)).find((one) => one.name === name)
    if (before && JSON.stringify(before.schema) === JSON.stringify(schema))
      return { type: before, changed: false }
    return {
      type: await store.putType(as, { name, schema, version: (before?.version ?? 0) + 1 }),
      changed: true,
    }
  },
})

export const removeType = defineOperation({
  name: 'type.rm',
  summary: 'Remove a credential type that no connection uses',
  input: closed({ name: Name }),
  who: administrators,
  subject: ({ name }) => name,
  async run(context, { name }): Promise<void> {
    await findType(context, name)
    const [user] = await usersOf(context, name)
    if (user !== undefined) {
      throw new LocumError('bad_request', `The connection \`${user}\` is of the type \`${name}\`.`, {
        hint: 'Leave `type` out of its `auth` first, and apply the file.',
      })
    }
    await context.store.removeType(context.as, name)
  },
})
