/** Writes to the store, then the audit of argv[2] until neither takes more, and says in JSON how each refused. */
import { SYSTEM } from '../../../core/words.ts'
import { openStore } from '../../../store/open.ts'

const { audit, store } = await openStore({ data: process.argv[2] as string })
const contact = 'x'.repeat(20_000)
const refusals: Record<string, unknown> = {}
for (const [name, write] of [
  ['store', () => store.setSite(SYSTEM, { contact })],
  ['audit', async () => audit.record({ event: 'start', version: contact, node: '24' })],
] as const) {
  let written = 0
  try {
    for (; written < 10_000; written++) await write()
  } catch (thrown) {
    const { code, detail } = thrown as { code: string; detail: string }
    refusals[name] = { code, detail, written }
  }
}
refusals.reads = (await store.site()).contact === contact
console.log(JSON.stringify(refusals))
process.exit()
