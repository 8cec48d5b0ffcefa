/**
 * One process of many over the data folder in argv[2]. A line `TIME COUNT` on standard input is a moment: at this time so
 * many callers open the connection `api` at once; a line in JSON says what came of it.
 */
import { createInterface } from 'node:readline'
import { methods } from '../../auth-methods/index.ts'
import { StoreBroker } from '../../broker/broker.ts'
import { StoreDirectory } from '../../broker/directory.ts'
import { Grants } from '../../broker/grants.ts'
import { openSigningKeys } from '../../certs/signing.ts'
import { asLocumError } from '../../core/errors.ts'
import { callOutBy } from '../../proxy/upstreams/call-out.ts'
import { Upstreams } from '../../proxy/upstreams/upstreams.ts'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { openStore } from '../../store/open.ts'
import { makeCaller } from '../core/kit.ts'

let time = Date.now()
const clock = { now: () => time }
const { store, sealer, close } = await openStore({ data: process.argv[2] as string, clock })
const directory = new StoreDirectory({ store, methods, clock, onfault: (error) => console.error(error) })
await directory.start()
const upstreams = new Upstreams({
  connect: (socket) => connectH1(socket),
  lookup: async () => [],
  ownListeners: () => [],
})
const callOut = callOutBy(upstreams)
const grants = new Grants({
  store,
  sealer,
  clock,
  callOut,
  signingKeys: openSigningKeys(store, sealer, clock),
})
const broker = new StoreBroker({ store, sealer, clock, directory, grants })
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [now, count] = line.split(' ').map(Number)
  time = now as number
  const route = directory.routeNamed('api')
  const [destination] = route?.connection.destinations ?? []
  if (!route || !destination) throw new Error('no connection')
  const opened = await Promise.allSettled(
    Array.from({ length: count as number }, async (_, i) =>
      broker.open({ caller: makeCaller({ id: 'ada' }, `session ${i}`), route, destination }),
    ),
  )
  const tokens = opened.flatMap((one) =>
    one.status === 'fulfilled' ? [String(one.value.values.reveal().values.Access_Token)] : [],
  )
  const errors = opened.flatMap((one) =>
    one.status === 'rejected' ? [`${asLocumError(one.reason).code}: ${asLocumError(one.reason).detail}`] : [],
  )
  console.log(
    JSON.stringify({ tokens: [...new Set(tokens)], errors: [...new Set(errors)], served: tokens.length }),
  )
}
broker.close()
await upstreams.close()
await directory.close()
await close()
