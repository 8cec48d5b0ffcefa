/** Takes the lease argv[3] in the store of argv[2] for argv[4] ms, says its fence, and never lets go. */
import { SYSTEM } from '../../../core/words.ts'
import { openStore } from '../../../store/open.ts'

const [data, key, ttl] = process.argv.slice(2) as [string, string, string]
const { store } = await openStore({ data })
await store.lease(SYSTEM, key, Number(ttl), async (fence) => {
  console.log(fence)
  process.stdin.resume()
  await new Promise(() => {})
})
