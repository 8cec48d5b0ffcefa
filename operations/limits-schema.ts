import Type from 'typebox'
import type { Limits } from '../core/limits.ts'
import { about, closed } from './schema.ts'

const Count = Type.Integer({ minimum: 1, maximum: 1_000_000, expected: 'a whole number, 1 or more' })
const Rate = Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000, expected: 'a number above 0' })
const BudgetText = Type.String({
  pattern: '^[1-9][0-9]{0,11}/(?:minute|hour|day)$',
  expected: 'a number a minute, hour or day: 1000/day',
})

const LIMITS = {
  connections: Type.Optional(
    about('Connections of its clients that are open at once.', Count, { examples: [200] }),
  ),
  inFlight: Type.Optional(
    about('Requests under way at once, WebSockets and untouched tunnels among them.', Count, {
      examples: [50],
    }),
  ),
  rate: Type.Optional(about('Requests a second, in the long run.', Rate, { examples: [20, 0.5] })),
  burst: Type.Optional(
    about("Requests at once after a pause. Left out: one second's.", Count, { examples: [100] }),
  ),
}

/** What an operation takes. */
export const LimitsInput = closed({
  connections: Type.Optional(Count),
  inFlight: Type.Optional(Count),
  rate: Type.Optional(Rate),
  burst: Type.Optional(Count),
})

export const LimitsEntry = closed(LIMITS, 'limits: { connections, inFlight, rate, burst }')

export const SiteLimitsEntry = closed(
  {
    ...LIMITS,
    newcomers: Type.Optional(
      about(
        'Connections, all together, whose client has not shown who it is; the oldest of too many is closed. At most half the files that the process may open.',
        Count,
        { default: 16384 },
      ),
    ),
  },
  'limits: { connections, inFlight, rate, burst, newcomers }',
)

export const BudgetsEntry = closed(
  {
    total: Type.Optional(about('By all callers together.', BudgetText, { examples: ['20000/day'] })),
    perCaller: Type.Optional(about('By each of them.', BudgetText, { examples: ['1000/day'] })),
  },
  'budgets: { total: 20000/day, perCaller: 1000/day }',
)

/** Undefined where none is said. */
export function someLimits(limits: Limits | undefined): Limits | undefined {
  return limits && Object.keys(limits).length > 0 ? limits : undefined
}
