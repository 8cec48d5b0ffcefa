/** Records in the audit of argv[2], says the number after each record returned, until it is killed. */
import { writeSync } from 'node:fs'
import { openStore } from '../../../store/open.ts'

const { audit } = await openStore({ data: process.argv[2] as string })
for (let n = 1; ; n++) {
  audit.record({
    event: 'change',
    caller: 'local',
    via: 'local',
    actor: 'human',
    operation: 'test',
    subject: `${n}`,
    outcome: 'done',
  })
  writeSync(1, `${n}\n`)
  if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
}
