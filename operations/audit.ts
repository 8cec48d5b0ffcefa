import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import type { TrailFault, TrailRecord } from '../core/trail.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed } from './schema.ts'

/** Records of the audit, the newest first. */
export interface AuditPage {
  readonly records: readonly TrailRecord['record'][]
  /** Where to go on from, to older ones; left out where there are none. */
  readonly before?: string
}

/** At most so many records at once. */
const MOST = 10_000
const PLACE = /^(?<file>[A-Za-z0-9._-]{1,200}):(?<seq>\d{1,15})$/

export const listAudit = defineOperation({
  name: 'audit.ls',
  summary: 'The last records of the audit, or those before one, the newest first',
  input: closed({
    limit: Type.Optional(Type.Integer({ minimum: 0, maximum: MOST, expected: `how many, ${MOST} at most` })),
    before: Type.Optional(Type.String({ pattern: PLACE.source, expected: 'what a page said' })),
  }),
  who: administrators,
  async run({ means: { trail } }, { limit = 20, before }): Promise<AuditPage> {
    const last: TrailRecord[] = []
    let found = before === undefined
    for await (const each of trail.read()) {
      if (placeOf(each) === before) {
        found = true
        break
      }
      if (!isForPeople(each)) continue
      last.push(each)
      // One more says whether there are older ones.
      if (last.length > limit + 1) last.shift()
    }
    if (!found)
      throw new LocumError('bad_request', '`before`: there is no such record.', {
        hint: 'Begin again without it.',
      })
    const page = last.length > limit ? last.slice(1) : last
    const [oldest] = page
    const records = page.map(({ record }) => record).reverse()
    return last.length > page.length && oldest ? { records, before: placeOf(oldest) } : { records }
  },
})

function placeOf({ file, record }: TrailRecord): string {
  return `${file}:${record.seq}`
}

/** Not what the store says to `audit.verify` alone. */
export function isForPeople({ record: { event } }: Pick<TrailRecord, 'record'>): boolean {
  return event !== 'rows' && event !== 'rows-kept'
}

export const verifyAudit = defineOperation({
  name: 'audit.verify',
  summary: 'Find records that were changed, removed, moved or cut off, and rows changed outside Locum',
  input: closed({}),
  who: administrators,
  run: async ({ means: { trail } }): Promise<{ faults: readonly TrailFault[] }> => ({
    faults: await trail.verify(),
  }),
})
