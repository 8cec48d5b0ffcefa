import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Teardown } from '../kit/site.ts'

/** Stands before a listener and passes bytes on as they are, so that a client's connections can be told. */
export interface Relay {
  readonly port: number
  /** The first line of each connection that brought one, in order. */
  readonly opened: readonly string[]
}

export async function startRelay(t: Teardown, port: number): Promise<Relay> {
  const opened: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const listener = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [client, listener],
      [listener, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
    client.once('data', (chunk: Buffer) => opened.push(chunk.toString('latin1').split('\r\n')[0] as string))
    client.pipe(listener)
    listener.pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, opened }
}
