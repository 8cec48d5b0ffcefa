import { destinationText } from '../core/destination.ts'
import type { Connection } from '../core/words.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { closed, Name, noSuch } from './schema.ts'

/** A connection with its destinations as text. It never holds a secret. */
export type ConnectionView = Omit<Connection, 'destinations'> & { readonly destinations: readonly string[] }

/** Throws bad_request where there is none of that name. */
export async function findConnection(
  { as, store }: Pick<Context, 'as' | 'store'>,
  name: string,
): Promise<Connection> {
  const connection = await store.connection(as, name)
  if (connection) return connection
  const known = (await store.connections(as)).map((other) => other.name)
  throw noSuch('connection', name, known, '`locum connection ls` lists them.')
}

function view(connection: Connection): ConnectionView {
  return { ...connection, destinations: connection.destinations.map(destinationText) }
}

export const listConnections = defineOperation({
  name: 'connection.ls',
  summary: 'List connections',
  input: closed({}),
  who: administrators,
  run: async ({ as, store }): Promise<readonly ConnectionView[]> => (await store.connections(as)).map(view),
})

export const showConnection = defineOperation({
  name: 'connection.show',
  summary: 'Show one connection',
  input: closed({ name: Name }),
  who: administrators,
  run: async (context, { name }): Promise<ConnectionView> => view(await findConnection(context, name)),
})
