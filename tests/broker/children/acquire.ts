/** Opens the connection `crm` of the store in argv[2] many times at once, and says what came of it in JSON. */
import { createInterface } from 'node:readline'
import { StoreBroker } from '../../../broker/broker.ts'
import { StoreDirectory } from '../../../broker/directory.ts'
import { Grants } from '../../../broker/grants.ts'
import { systemClock } from '../../../core/clock.ts'
import { callOutBy } from '../../../proxy/upstreams/call-out.ts'
import { Upstreams } from '../../../proxy/upstreams/upstreams.ts'
import { connectH1 } from '../../../proxy/wire/h1/client.ts'
import { openStore } from '../../../store/open.ts'
import { makeCaller, to } from '../../core/kit.ts'
import { noSigningKeys } from '../../kit/signing.ts'
import { tokenMethod } from '../../kit/token-method.ts'

const { store, sealer, close } = await openStore({ data: process.argv[2] as string })
const directory = new StoreDirectory({
  store,
  methods: new Map([[tokenMethod.id, tokenMethod]]),
  clock: systemClock,
  onfault: (error) => console.error(error),
})
await directory.start()
const upstreams = new Upstreams({
  connect: (socket) => connectH1(socket),
  lookup: async () => [],
  ownListeners: () => [],
})
const grants = new Grants({
  store,
  sealer,
  clock: systemClock,
  callOut: callOutBy(upstreams),
  signingKeys: noSigningKeys,
})
const broker = new StoreBroker({ store, sealer, clock: systemClock, directory, grants })
console.log('ready')
// Both processes are told at once.
for await (const _ of createInterface({ input: process.stdin })) break
const route = directory.routeNamed('crm')
if (!route) throw new Error('no connection')
const materials = await Promise.all(
  Array.from({ length: 50 }, (_, i) =>
    broker.open({ caller: makeCaller({}, `session ${i}`), route, destination: to('https://crm.example') }),
  ),
)
const values = materials.map((material) => material.values.reveal().values.Access_Token)
console.log(JSON.stringify([...new Set(values)]))
broker.close()
await upstreams.close()
await directory.close()
await close()
