import { destinationText } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import { allowsCaller } from '../core/route.ts'
import type { Connection, Principal } from '../core/words.ts'
import { type Context, defineOperation, everybody } from './operation.ts'
import { closed, Name, noSuch } from './schema.ts'

/** A connection with its destinations as text. It never holds a secret: what it sends is the placeholder. */
export type ConnectionView = Omit<Connection, 'destinations'> & { readonly destinations: readonly string[] }

/** Throws not_found where there is none of that name. */
export async function findConnection(
  { as, store }: Pick<Context, 'as' | 'store'>,
  name: string,
): Promise<Connection> {
  const connection = await store.connection(as, name)
  if (connection) return connection
  const known = (await store.connections(as)).map((other) => other.name)
  throw noSuch('connection', name, known, '`locum connection ls` lists them.')
}

/** One that whoever asks may use; an administrator all. Throws not_found, the same whether there is none or it is not for them. */
export async function findUsable(context: Pick<Context, 'as' | 'store'>, name: string): Promise<Connection> {
  const { as, store } = context
  if (as.admin) return findConnection(context, name)
  const connection = await store.connection(as, name)
  if (connection && mayUse(as, connection)) return connection
  throw new LocumError('not_found', `There is no connection \`${name}\` that you may use.`, {
    hint: '`locum connection ls` lists them.',
  })
}

function mayUse(as: Principal, connection: Connection): boolean {
  return as.admin || allowsCaller({ connection }, as)
}

function view(connection: Connection): ConnectionView {
  return { ...connection, destinations: connection.destinations.map(destinationText) }
}

export const listConnections = defineOperation({
  name: 'connection.ls',
  summary: 'List connections',
  input: closed({}),
  who: everybody,
  run: async ({ as, store }): Promise<readonly ConnectionView[]> =>
    (await store.connections(as)).filter((one) => mayUse(as, one)).map(view),
})

export const showConnection = defineOperation({
  name: 'connection.show',
  summary: 'Show one connection',
  input: closed({ name: Name }),
  who: everybody,
  run: async (context, { name }): Promise<ConnectionView> => view(await findUsable(context, name)),
})
