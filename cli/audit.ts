import { setTimeout as timeout } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import { LocumError } from '../core/errors.ts'
import { isForPeople, listAudit, verifyAudit } from '../operations/audit.ts'
import type { AuditRecord } from '../site.ts'
import { json, table, timeText } from './output.ts'
import { type GlobalOptions, withSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface TailOptions extends GlobalOptions {
  readonly lines: number
  readonly follow?: boolean
}

/** ms between looks for new records. */
const FOLLOW_EVERY = 500

/** `locum audit …` */
export function auditCommand(terminal: Terminal): Command {
  const audit = new Command('audit')

  audit
    .command('tail')
    .description('Show the last records')
    .option('-n, --lines <number>', 'how many', count, 20)
    .option('-f, --follow', 'wait for more')
    .action(async (_: unknown, command: Command) => {
      const { lines, follow, ...options } = command.optsWithGlobals() as TailOptions
      const show = (
        records: readonly AuditRecord['record'][],
        heads: readonly string[] | undefined,
        now: number,
      ) => {
        if (options.json) terminal.write(records.map((record) => json(record)).join(''))
        else
          terminal.write(
            table(
              terminal,
              heads,
              records.map((record) => row(terminal, record, now)),
            ),
          )
      }
      if (!follow)
        return withSession(terminal, options, async ({ clock, run }) => {
          const { records } = await run(listAudit, { limit: lines })
          show(records.toReversed(), HEADS, clock.now())
        })
      await withSite(terminal, options, async ({ site, clock }) => {
        // Noted first: what is recorded while the rest is read may come twice, and is told by its number.
        const ends = await site.trailEnds()
        const last: AuditRecord['record'][] = []
        const seen = new Map<string, number>()
        for await (const each of site.means.trail.read()) {
          seen.set(each.file, each.record.seq)
          if (!isForPeople(each)) continue
          last.push(each.record)
          if (last.length > lines) last.shift()
        }
        show(last, HEADS, clock.now())
        const stopped = terminal.untilStopped().then(() => true)
        while (!(await Promise.race([stopped, timeout(FOLLOW_EVERY, false)]))) {
          const fresh = await site.readTrailBehind(ends)
          const isNew = (each: AuditRecord) =>
            isForPeople(each) && each.record.seq > (seen.get(each.file) ?? 0)
          show(
            fresh.filter(isNew).map(({ record }) => record),
            undefined,
            clock.now(),
          )
        }
      })
    })

  audit
    .command('verify')
    .description('Find records that were changed, removed, moved or cut off, and rows changed outside Locum')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ run }) => {
        const { faults } = await run(verifyAudit, {})
        if (options.json) terminal.write(json({ faults }))
        else if (faults.length === 0) terminal.write('The audit is whole.\n')
        else {
          const lines = faults.map(
            ({ file, line, text }) => `${file}${line === undefined ? '' : `:${line}`}: ${text}\n`,
          )
          terminal.write(lines.join(''))
        }
        if (faults.length === 0) return
        const many = faults.length === 1 ? 'a fault' : `${faults.length} faults`
        throw new LocumError('internal', `The audit has ${many}.`, {
          hint: 'Somebody changed its files or the database, or a disk lost a part of them. Keep them as they are and find out.',
        })
      })
    })

  audit
    .command('export')
    .description('Write all records as JSON Lines')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSite(terminal, options, async ({ site }) => {
        for await (const { record } of site.means.trail.read()) terminal.write(json(record))
      })
    })
  return audit
}

function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is a number of records.')
  return Number(text)
}

const HEADS = ['time', 'event', 'who', 'what', 'where', 'result']

function row(terminal: Terminal, record: AuditRecord['record'], now: number): string[] {
  const text = (name: string) =>
    record[name] === undefined || record[name] === '' ? '-' : String(record[name])
  const at = timeText(terminal, Date.parse(record.at), now)
  const who = () => {
    const by = record.actor === 'service' ? `${text('caller')} (service)` : text('caller')
    return record.for === undefined ? by : `${by} for ${record.for}`
  }
  const request = () => `${text('method')} ${text('destination')}${record.path ?? ''}`
  switch (record.event) {
    case 'use':
      return [at, 'use', who(), request(), text('connection'), text('credential')]
    case 'outcome':
      return [
        at,
        'outcome',
        '-',
        text('request'),
        '-',
        `${text('status')}${record.code ? ` ${record.code}` : ''}`,
      ]
    case 'refused':
      return [at, 'refused', who(), request(), text('connection'), text('code')]
    case 'change':
      return [at, 'change', who(), text('operation'), text('subject'), text('outcome')]
    default:
      return [at, record.event, '-', '-', '-', '-']
  }
}
