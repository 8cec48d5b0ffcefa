/**
 * Changes rows of the store in argv[2], and says the number after each change, until it is killed.
 * With argv[3] `before` or `after` it makes one change of ada and kills itself before, or just after,
 * the commit.
 */
import { writeSync } from 'node:fs'
import { SYSTEM } from '../../../core/words.ts'
import { openStore } from '../../../store/open.ts'

const [data, moment] = process.argv.slice(2) as [string, string | undefined]
const dieAt = moment === 'before' ? '"event":"rows"' : moment === 'after' ? '"event":"rows-kept"' : undefined

const { store } = await openStore({
  data,
  audit: {
    write(fd, bytes) {
      const dies = dieAt !== undefined && Buffer.from(bytes).includes(dieAt)
      if (dies && moment === 'after') process.kill(process.pid, 'SIGKILL')
      const written = writeSync(fd, bytes)
      if (dies) process.kill(process.pid, 'SIGKILL')
      return written
    },
  },
})
const ada = { id: 'ada', kind: 'user' as const, projects: [], admin: false, disabled: false }
for (let n = 1; ; n++) {
  await store.transact(SYSTEM, async () => {
    await store.putPrincipal(SYSTEM, { ...ada, email: `${n}@example.com` })
    await store.removeKeys(SYSTEM, 'ada')
    await store.addKey(SYSTEM, { hash: `hash-${process.pid}-${n}`, principal: 'ada', createdAt: n })
  })
  writeSync(1, `${n}\n`)
  await new Promise((resolve) => setImmediate(resolve))
}
