/** Opens the store of the folder in argv[2], says its site, data key and master key's digest, and closes it. */
import { openStore } from '../../../store/open.ts'

const { store, sealer, close } = await openStore({ data: process.argv[2] as string })
const place = { table: 't', row: 'r', field: 'f', version: 1, owner: 'site', audience: [] }
const key = Buffer.from(sealer.seal(place, Buffer.from('x')).subarray(1, 9)).toString('hex')
console.log(JSON.stringify({ site: (await store.site()).id, key }))
await close()
