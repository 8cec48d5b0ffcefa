import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { AuditEntry } from '../../core/audit.ts'
import type { AuditCheckpoint } from '../../core/store.ts'
import { SYSTEM } from '../../core/words.ts'
import { type AuditRecord, readAudit } from '../../store/audit-read.ts'
import { type AuditFault, verifyAudit } from '../../store/audit-verify.ts'
import type { OpenStore } from '../../store/open.ts'
import { forge, forgeAll } from './forgery.ts'
import { makeFolder, openSite, startChild, type Test } from './site.ts'

function use(request: string, more: Partial<Extract<AuditEntry, { event: 'use' }>> = {}): AuditEntry {
  return {
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
    credential: 'c1',
    credentialVersion: 1,
    scope: 'user:ada',
    slots: ['authorization'],
    ...more,
  }
}

const outcome = (request: string): AuditEntry => ({
  event: 'outcome',
  request,
  actor: 'human',
  status: 200,
  ms: 1.5,
})
const REFUSED = { code: 'internal', detail: 'The use could not be recorded, so it did not happen.' }

function folderOf(data: string): string {
  return join(data, 'audit')
}

function linesOf(data: string, file = readdirSync(folderOf(data))[0] as string): string[] {
  const text = readFileSync(join(folderOf(data), file), 'utf8')
  return text.split('\n').slice(0, -1)
}

async function verify(data: string, { store }: OpenStore, more: readonly AuditCheckpoint[] = []) {
  const item = await store.vaultItem(SYSTEM, 'audit-signing')
  return verifyAudit(
    folderOf(data),
    [...(await store.checkpoints()), ...more],
    item?.open.publicKey as string,
  )
}

const kinds = (faults: readonly AuditFault[]) => faults.map(({ kind, line }) => `${kind} ${line ?? '-'}`)

/** Ten records of one process, closed; and an opening to verify with. */
async function makeTrail(t: Test): Promise<{ data: string; file: string; site: OpenStore }> {
  const data = makeFolder(t)
  const writer = await openSite(t, data)
  for (let n = 0; n < 10; n++) writer.audit.record(use(`r${n}`))
  await writer.close()
  const site = await openSite(t, data)
  return { data, file: readdirSync(folderOf(data))[0] as string, site }
}

t.test('a record is in the file when `record` returns, as JSON that comes back as it went in', async (t) => {
  const data = makeFolder(t)
  const clock = { now: () => Date.UTC(2026, 10, 25, 22, 48, 20, 172) }
  const { audit, store } = await openSite(t, data, { clock })
  t.throws(() => readdirSync(folderOf(data)), { code: 'ENOENT' }, 'no file before the first record')
  const odd = use('r1', { caller: 'a"b\\c\u0007\u2028\ud800é\n😀', slots: [] })
  audit.record(odd)
  audit.record(outcome('r1'))
  t.match(linesOf(data)[0], /^[ -~]+$/, 'in ASCII')
  const [first, second] = linesOf(data).map((line) => JSON.parse(line))
  const { hash, signature, ...rest } = first
  t.match(hash, /^[0-9a-f]{64}$/)
  t.match(signature, /^[\w+/]{86}==$/)
  const expected = JSON.parse(JSON.stringify({ seq: 1, site: (await store.site()).id, ...odd }))
  t.strictSame(rest, { ...expected, at: '2026-11-25T22:48:20.172Z' })
  t.match(second, { seq: 2, event: 'outcome', status: 200, ms: 1.5 })
  t.match(readdirSync(folderOf(data)), [/^20261125T224820172Z-\d+-[0-9a-f]{12}\.jsonl$/])
})

t.test('an outcome waits for the next record or the end of the turn, and keeps its place', async (t) => {
  const data = makeFolder(t)
  const { audit } = await openSite(t, data)
  audit.record(use('r1'))
  audit.recordSoon(outcome('r1'))
  t.equal(linesOf(data).length, 1)
  audit.record(use('r2'))
  t.strictSame(
    linesOf(data).map((line) => JSON.parse(line).event),
    ['use', 'outcome', 'use'],
  )
  audit.recordSoon(outcome('r2'))
  await turn()
  t.equal(linesOf(data).length, 4)
  audit.recordSoon(outcome('r3'))
  await audit.close()
  t.equal(linesOf(data).length, 5, 'closing loses none')
})

t.test('an audit that nobody touched has no fault', async (t) => {
  const { data, site } = await makeTrail(t)
  t.strictSame(await verify(data, site), [])
  site.audit.record(use('live'))
  t.strictSame(await verify(data, site), [], 'nor has one whose first checkpoint is still to come')
  await site.audit.close()
  t.strictSame(await verify(data, site), [])
})

t.test('every tampering is found, and where', async (t) => {
  const cases: [title: string, tamper: (lines: string[]) => string[], faults: string[]][] = [
    ['an edit', (l) => l.with(4, l[4]?.replace('"ada"', '"eve"') as string), ['changed 5']],
    ['a longer line', (l) => l.with(4, `${l[4]} `), ['not-a-record 5']],
    [
      'a deletion',
      (l) => l.toSpliced(4, 1),
      ['out-of-order 5', 'out-of-order 6', 'out-of-order 7', 'out-of-order 8', 'out-of-order 9', 'cut 9'],
    ],
    [
      'a reordering',
      (l) => [...l.slice(0, 4), l[5], l[4], ...l.slice(6)] as string[],
      ['out-of-order 5', 'out-of-order 6', 'changed 7'],
    ],
    [
      'a copy put in between',
      (l) => l.toSpliced(5, 0, l[4] as string),
      [
        'out-of-order 6',
        'out-of-order 7',
        'out-of-order 8',
        'out-of-order 9',
        'out-of-order 10',
        'out-of-order 11',
      ],
    ],
    ['a cut tail', (l) => l.slice(0, 7), ['cut 7']],
    ['an emptied file', () => [], ['cut 0']],
    ['a record more', (l) => [...l, forge(l[9] as string)], ['after-the-end 11']],
    ['garbage at the end', (l) => [...l, 'x'], ['not-a-record 11']],
    [
      'another site in the first record',
      (l) => l.with(0, l[0]?.replace(/"site":"./, '"site":"-') as string),
      ['changed 1'],
    ],
    ['the whole chain computed anew', forgeAll, ['checkpoint-differs 10']],
  ]
  for (const [title, tamper, faults] of cases) {
    const { data, file, site } = await makeTrail(t)
    const lines = tamper(linesOf(data))
    writeFileSync(join(folderOf(data), file), lines.map((line) => `${line}\n`).join(''))
    t.strictSame(kinds(await verify(data, site)), faults, title)
  }
})

t.test('a missing, renamed, swapped or added file is found', async (t) => {
  const { data, file, site } = await makeTrail(t)
  const path = join(folderOf(data), file)
  const content = readFileSync(path)
  renameSync(path, join(folderOf(data), 'other.jsonl'))
  t.strictSame(kinds(await verify(data, site)), ['changed 1', 'unknown-file -', 'missing-file -'])
  rmSync(join(folderOf(data), 'other.jsonl'))
  t.strictSame(await verify(data, site), [
    { kind: 'missing-file', file, text: 'The file is missing; it had at least 10 records.' },
  ])
  writeFileSync(path, content)
  t.strictSame(await verify(data, site), [])
  site.audit.record(use('second'))
  await site.audit.close()
  const second = readdirSync(folderOf(data)).find((name) => name !== file) as string
  writeFileSync(join(folderOf(data), second), content)
  t.strictSame(
    kinds(await verify(data, site)),
    ['changed 1', 'checkpoint-differs 1']
      .slice(0, 1)
      .concat(Array.from({ length: 9 }, (_, n) => `after-the-end ${n + 2}`)),
  )
})

t.test('a file without a checkpoint is believed only for the first seconds of a process', async (t) => {
  const data = makeFolder(t)
  const clock = { time: 1_700_000_000_000, now: () => clock.time }
  const site = await openSite(t, data, { clock })
  const key = (await site.store.vaultItem(SYSTEM, 'audit-signing'))?.open.publicKey as string
  const judge = async () => kinds(await verifyAudit(folderOf(data), [], key))
  site.audit.record(use('r1'))
  clock.time += 6_000
  site.audit.record(use('r2'))
  t.strictSame(await judge(), ['unknown-file -'], 'a checkpoint would have been stored by now')
  const file = readdirSync(folderOf(data))[0] as string
  const [first] = linesOf(data) as [string]
  writeFileSync(join(folderOf(data), file), `${first}\n`)
  t.strictSame(await judge(), [])
  writeFileSync(join(folderOf(data), file), `${first.replace(/"signature":"[^"]*"/, '"signature":""')}\n`)
  t.strictSame(await judge(), ['changed 1', 'unknown-file -'], 'and only with its signature')
})

t.test('a forged or edited checkpoint is found, and one that was exported holds for ever', async (t) => {
  const { data, file, site } = await makeTrail(t)
  const [checkpoint] = await site.store.checkpoints()
  if (!checkpoint) throw new Error('There is none.')
  t.match(checkpoint, { file, records: 10, final: true })
  for (const edit of [
    { records: 7 },
    { final: false },
    { hash: 'f'.repeat(64) },
    { at: 1 },
    { file: 'x.jsonl' },
    { signature: '' },
  ]) {
    t.strictSame(
      kinds(await verify(data, site, [{ ...checkpoint, ...edit }])),
      ['bad-signature -'],
      JSON.stringify(edit),
    )
  }
  const exported = checkpoint
  await site.store.transact(SYSTEM, async () => {})
  writeFileSync(join(folderOf(data), file), '')
  const key = (await site.store.vaultItem(SYSTEM, 'audit-signing'))?.open.publicKey as string
  t.strictSame(kinds(await verifyAudit(folderOf(data), [exported], key)), ['cut 0'])
  t.strictSame(await verifyAudit(join(data, 'none'), [], key), [], 'no folder, no records, no fault')
})

t.test('a killed process loses no record that was taken', async (t) => {
  const data = makeFolder(t)
  const child = startChild(t, 'record', [data])
  let last = 0
  while (last < 500) last = Number(await child.line())
  child.process.kill('SIGKILL')
  t.match(await child.ended(), { signal: 'SIGKILL' })
  for (;;) {
    try {
      last = Number(await child.line())
    } catch {
      break
    }
  }
  const records = linesOf(data).map((line) => JSON.parse(line))
  t.ok(records.length >= last, `${records.length} of ${last}`)
  t.strictSame(
    records.map((each) => each.subject),
    records.map((_, n) => `${n + 1}`),
  )
  const site = await openSite(t, data)
  t.strictSame(await verify(data, site), [], 'and its file verifies, without a last checkpoint')
  t.match(await site.store.checkpoints(), [{ final: false }])
})

t.test('a use that cannot be recorded is refused, and the file stays whole', async (t) => {
  const data = makeFolder(t)
  let fail: 'no' | 'at once' | 'half-way' = 'no'
  const write = (fd: number, bytes: Uint8Array) => {
    if (fail === 'at once') throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    if (fail === 'half-way') {
      fail = 'at once'
      return writeSync(fd, bytes, 0, 20)
    }
    return writeSync(fd, bytes)
  }
  const site = await openSite(t, data, { audit: { write } })
  const { audit } = site
  audit.record(use('r1'))
  audit.recordSoon(outcome('r1'))
  for (const how of ['at once', 'half-way'] as const) {
    fail = how
    t.throws(() => audit.record(use('lost')), REFUSED, how)
    t.equal(linesOf(data).length, 1)
    t.equal(readFileSync(join(folderOf(data), readdirSync(folderOf(data))[0] as string)).at(-1), 10)
  }
  await turn()
  fail = 'no'
  audit.record(use('r2'))
  await audit.close()
  t.strictSame(
    linesOf(data).map((line) => JSON.parse(line).request),
    ['r1', 'r1', 'r2'],
    'the outcome that waited is there, the refused use is not',
  )
  t.strictSame(await verify(data, site), [])
})

t.test('a short write is continued', async (t) => {
  const data = makeFolder(t)
  const write = (fd: number, bytes: Uint8Array) => writeSync(fd, bytes.subarray(0, 7))
  const site = await openSite(t, data, { audit: { write } })
  site.audit.record(use('é'))
  site.audit.record(use('r2'))
  await site.audit.close()
  t.equal(linesOf(data).length, 2)
  t.strictSame(await verify(data, site), [])
})

t.test('what waits is bounded while the disk takes nothing', async (t) => {
  const data = makeFolder(t)
  let full = true
  const write = (fd: number, bytes: Uint8Array) => {
    if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    return writeSync(fd, bytes)
  }
  const site = await openSite(t, data, { audit: { write } })
  const large = use('x'.repeat(100_000))
  let taken = 0
  t.throws(() => {
    for (; taken < 1_000; taken++) site.audit.recordSoon(large)
  }, REFUSED)
  t.ok(taken > 30 && taken < 60, `${taken} were taken`)
  full = false
  await site.audit.close()
  t.equal(linesOf(data).length, taken)
})

t.test('what could not be synced stops the next use, and the one after it begins another file', async (t) => {
  const data = makeFolder(t)
  let syncs = 0
  const sync = (_fd: number, done: (error: Error | null) => void) => {
    done(++syncs === 1 ? Object.assign(new Error('input/output error'), { code: 'EIO' }) : null)
  }
  const site = await openSite(t, data, { audit: { sync } })
  site.audit.record(use('r1'))
  while (syncs === 0) await turn()
  t.throws(() => site.audit.record(use('lost')), REFUSED)
  site.audit.record(use('r2'))
  await site.audit.close()
  const files = readdirSync(folderOf(data)).sort()
  t.strictSame(
    files.map((file) => linesOf(data, file).map((line) => JSON.parse(line).request)),
    [['r1'], ['r2']],
  )
  t.match(await site.store.checkpoints(), [{ final: true }, { final: true }])
  t.strictSame(await verify(data, site), [])
})

t.test('a closed audit takes nothing more', async (t) => {
  const data = makeFolder(t)
  const { audit } = await openSite(t, data)
  audit.record(use('r1'))
  await audit.close()
  t.throws(() => audit.record(use('r2')), REFUSED)
  t.throws(() => audit.recordSoon(outcome('r2')), REFUSED)
  await audit.close()
  t.equal(linesOf(data).length, 1)
})

t.test('an audit folder that cannot be made refuses the use', async (t) => {
  const data = makeFolder(t)
  const site = await openSite(t, data)
  writeFileSync(folderOf(data), 'in the way')
  t.throws(() => site.audit.record(use('r1')), REFUSED)
  rmSync(folderOf(data))
  site.audit.record(use('r2'))
  t.equal(linesOf(data).length, 1)
})

t.test('with `durability: disk` a record is synced before it counts', async (t) => {
  const data = makeFolder(t)
  let syncs = 0
  const syncNow = () => {
    syncs++
  }
  const site = await openSite(t, data, { audit: { syncNow } })
  site.audit.waitForDisk()
  syncs = 0
  site.audit.record(use('r1'))
  t.equal(syncs, 1)
  await new Promise((resolve) => site.audit.recordThen(use('r2'), resolve))
  t.equal(syncs, 2)
  site.audit.recordSoon(outcome('r1'))
  await turn()
  await site.audit.close()
  t.equal(linesOf(data).length, 3)
  t.strictSame(await verify(data, site), [])
})

t.test('else only a change of the database is synced before it counts', async (t) => {
  let syncs = 0
  const syncNow = () => {
    syncs++
  }
  const site = await openSite(t, makeFolder(t), { audit: { syncNow } })
  const before = syncs
  site.audit.record(use('r1'))
  await new Promise((resolve) => site.audit.recordThen(use('r2'), resolve))
  t.equal(syncs, before)
  await site.store.setSite(SYSTEM, { contact: 'it@example.com' })
  t.equal(syncs, before + 1)
})

t.test('records of all files are read in time order, without what is no record', async (t) => {
  const data = makeFolder(t)
  const clock = { time: 1_700_000_000_000, now: () => clock.time }
  const one = await openSite(t, data, { clock })
  const two = await openSite(t, data, { clock })
  for (const [n, site] of [one, two, two, one, two, one].entries()) {
    clock.time += 10
    site.audit.record(use(`r${n}`))
  }
  clock.time += 10_000
  const three = await openSite(t, data, { clock })
  three.audit.record(use('r6'))
  for (const file of readdirSync(folderOf(data))) appendFileSync(join(folderOf(data), file), '{"torn":')
  const records: AuditRecord[] = []
  for await (const record of readAudit(folderOf(data))) records.push(record)
  t.strictSame(
    records.map(({ record }) => record.request),
    ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6'],
  )
  t.match(records[3], { line: 2, file: records[0]?.file })
  for await (const { record } of readAudit(folderOf(data))) {
    t.equal(record.request, 'r0')
    break
  }
  for await (const _ of readAudit(join(data, 'none'))) t.fail('there is none')
})

t.test('a record and its checkpoint outlive a transaction that fails around them', async (t) => {
  const data = makeFolder(t)
  const site = await openSite(t, data)
  await t.rejects(
    site.store.transact(SYSTEM, async () => {
      site.audit.record(use('r1'))
      const end = performance.now() + 20
      while (performance.now() < end) await turn()
      throw new Error('stop')
    }),
    { message: 'stop' },
  )
  while ((await site.store.checkpoints()).length === 0) await turn()
  t.match(await site.store.checkpoints(), [{ records: 1, final: false }])
  t.equal(linesOf(data).length, 1)
  t.strictSame(await verify(data, site), [])
})
