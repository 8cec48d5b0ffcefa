import { appendFileSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { AuditEntry } from '../../core/audit.ts'
import { SYSTEM } from '../../core/words.ts'
import { verifyAudit } from '../../store/audit-verify.ts'
import type { OpenStore } from '../../store/open.ts'
import { forge } from './forgery.ts'
import { makeFolder, openSite } from './site.ts'

const use = (request: string): AuditEntry => ({
  event: 'use',
  request,
  caller: 'ada',
  via: 'key',
  actor: 'human',
  entrance: 'forward',
  connection: 'stripe',
  destination: 'https://api.stripe.com',
  method: 'GET',
  path: '/v1/charges',
  slots: ['authorization'],
})
const outcome = (request: string): AuditEntry => ({
  event: 'outcome',
  request,
  actor: 'human',
  status: 200,
  ms: 1,
})
const REFUSED = { code: 'internal', detail: 'The use could not be recorded, so it did not happen.' }

/** What the only file holds, as `event request`. */
function recordsOf(data: string): string[] {
  const folder = join(data, 'audit')
  return readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
      .map(({ event, request }) => `${event} ${request}`),
  )
}

async function faultsOf(data: string, { store }: OpenStore): Promise<unknown> {
  const item = await store.vaultItem(SYSTEM, 'audit-signing')
  return verifyAudit(join(data, 'audit'), await store.checkpoints(), item?.open.publicKey as string)
}

t.test('the uses of one turn are recorded in one write, and each goes on only behind it', async (t) => {
  const data = makeFolder(t)
  let writes = 0
  const write = (fd: number, bytes: Uint8Array) => {
    writes++
    return writeSync(fd, bytes)
  }
  const site = await openSite(t, data, { audit: { write } })
  const { audit } = site
  const told: string[] = []
  for (const id of ['r1', 'r2', 'r3']) {
    audit.recordThen(use(id), (error) => {
      t.equal(error, undefined)
      t.ok(recordsOf(data).includes(`use ${id}`))
      told.push(id)
    })
  }
  audit.recordSoon(outcome('r0'))
  t.strictSame(told, [])
  t.equal(writes, 0)
  await turn()
  t.strictSame(told, ['r1', 'r2', 'r3'])
  t.equal(writes, 1)
  t.strictSame(recordsOf(data), ['outcome r0', 'use r1', 'use r2', 'use r3'])
  audit.recordThen(use('r4'), () => told.push('r4'))
  audit.record(use('r5'))
  await turn()
  t.strictSame(recordsOf(data).slice(4), ['use r5', 'use r4'])
  await audit.close()
  t.strictSame(await faultsOf(data, site), [])
})

t.test('uses that cannot be recorded are refused, all of them, and the file stays whole', async (t) => {
  const data = makeFolder(t)
  let full = false
  const write = (fd: number, bytes: Uint8Array) => {
    if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    return writeSync(fd, bytes)
  }
  const site = await openSite(t, data, { audit: { write } })
  const { audit } = site
  audit.record(use('r1'))
  full = true
  const told: unknown[] = []
  audit.recordSoon(outcome('r1'))
  audit.recordThen(use('r2'), (error) => told.push(error))
  audit.recordThen(use('r3'), (error) => told.push(error))
  await turn()
  t.match(told, [REFUSED, REFUSED])
  t.strictSame(recordsOf(data), ['use r1'])
  full = false
  audit.recordThen(use('r4'), (error) => told.push(error))
  await turn()
  t.equal(told[2], undefined)
  await audit.close()
  t.strictSame(recordsOf(data), ['use r1', 'outcome r1', 'use r4'])
  t.strictSame(await faultsOf(data, site), [])
})

t.test('a use that closing overtakes is refused', async (t) => {
  const data = makeFolder(t)
  const { audit } = await openSite(t, data)
  audit.record(use('r1'))
  const told: unknown[] = []
  audit.recordThen(use('r2'), (error) => told.push(error))
  audit.recordSoon(outcome('r1'))
  const closed = audit.close()
  await turn()
  await closed
  t.match(told, [REFUSED])
  t.strictSame(recordsOf(data), ['use r1', 'outcome r1'])
})

t.test('one hash covers all records of a write, and every tampering with them is found', async (t) => {
  const data = makeFolder(t)
  const site = await openSite(t, data)
  const { audit } = site
  audit.record(use('r0'))
  for (const id of ['r1', 'r2', 'r3']) audit.recordThen(use(id), () => {})
  await turn()
  audit.record(use('r4'))
  await audit.close()
  const folder = join(data, 'audit')
  const file = join(folder, readdirSync(folder)[0] as string)
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  t.strictSame(
    lines.map((line) => 'hash' in JSON.parse(line)),
    [true, false, false, true, true],
  )
  t.strictSame(await faultsOf(data, site), [])
  const edit = (i: number) => lines.with(i, lines[i]?.replace('"ada"', '"eve"') as string)
  const unhashed = (i: number) => lines.with(i, lines[i]?.replace(/,"hash":.*$/, '}') as string)
  const cases: [title: string, lines: string[], faults: string[]][] = [
    ['an edit of the first', edit(1), ['changed 4']],
    ['an edit in the middle', edit(2), ['changed 4']],
    ['an edit of the last', edit(3), ['changed 4']],
    ['a hash taken away', unhashed(3), ['changed 5']],
    ['the last hash taken away', unhashed(4), ['checkpoint-differs 5']],
    ['a false hash in the middle', lines.with(2, forge(lines[0] as string)), ['out-of-order 3', 'changed 4']],
    ['a hash that is no last member', lines.with(2, `${lines[0]} `), ['not-a-record 3']],
    ['a cut within', lines.slice(0, 3), ['cut 3']],
    ['a record more', [...lines, lines[1]?.replace('"seq":2', '"seq":6') as string], ['after-the-end 6']],
  ]
  for (const [title, tampered, expected] of cases) {
    writeFileSync(file, tampered.map((line) => `${line}\n`).join(''))
    const faults = (await faultsOf(data, site)) as { kind: string; line?: number }[]
    t.strictSame(
      faults.map(({ kind, line }) => `${kind} ${line}`),
      expected,
      title,
    )
  }
})

t.test('what stands behind the last hash of a file that is still written is not whole', async (t) => {
  const data = makeFolder(t)
  const site = await openSite(t, data)
  site.audit.record(use('r1'))
  const folder = join(data, 'audit')
  const file = join(folder, readdirSync(folder)[0] as string)
  const [line] = readFileSync(file, 'utf8').split('\n') as [string]
  appendFileSync(file, `${line.replace('"seq":1', '"seq":2').replace(/,"hash":.*$/, '}')}\n`)
  t.match(await faultsOf(data, site), [{ kind: 'cut', line: 2, text: /not whole/ }])
})
