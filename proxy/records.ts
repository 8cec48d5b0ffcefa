import { type Audit, actorOf } from '../core/audit.ts'
import type { Material } from '../core/directory.ts'
import type { Code, Entrance, LocumError } from '../core/errors.ts'
import { pathOnly } from '../core/target.ts'
import type { Caller } from '../core/words.ts'
import type { Unsearched } from './answer/head.ts'

/** The status in the audit of a request whose client went before an answer began. */
const CLIENT_GONE = 499

/** What the audit says of any request. */
export interface About {
  readonly request: string
  readonly caller: Caller | undefined
  readonly entrance: Entrance
  readonly connection: string | undefined
  readonly destination: string | undefined
  readonly method: string
  readonly path: string | undefined
}

/** Who really called. */
function callerOf({ caller }: About) {
  return caller?.actor ?? caller?.principal
}

/** For whom, where that is another. */
function servedOf({ caller }: About): string | undefined {
  return caller?.actor && caller.principal.id
}

/** Before a byte leaves: `then` goes on, unless it is told of an error. */
export function recordUse(
  audit: Audit,
  about: About,
  x: {
    path: string
    slots: readonly string[]
    credential: Material['credential'] | undefined
    passes?: 'untouched' | 'unmatched'
  },
  then: (error: LocumError | undefined) => void,
): void {
  const caller = callerOf(about)
  audit.recordThen(
    {
      event: 'use',
      request: about.request,
      caller: caller?.id ?? '',
      for: servedOf(about),
      via: caller?.via ?? '',
      actor: actorOf(caller),
      entrance: about.entrance,
      connection: about.connection ?? '',
      destination: about.destination ?? '',
      method: about.method,
      path: pathOnly(x.path),
      credential: x.credential?.id,
      credentialVersion: x.credential?.version,
      scope: x.credential?.scope,
      slots: x.slots,
      passes: x.passes,
    },
    then,
  )
}

/** `status`: 0 where no answer began. */
export function recordOutcome(
  audit: Audit,
  about: About,
  x: {
    status: number
    code: Code | undefined
    masked: number
    unsearched?: Unsearched | undefined
    ms: number
    sent?: number
    received?: number
  },
): void {
  audit.recordSoon({
    event: 'outcome',
    request: about.request,
    actor: actorOf(callerOf(about)),
    status: x.status || CLIENT_GONE,
    code: x.code,
    masked: x.masked || undefined,
    unsearched: x.unsearched,
    ms: x.ms,
    sent: x.sent,
    received: x.received,
  })
}

/** `asked`: for whom the request asked, where it was refused before that was known to be allowed. */
export function recordRefusal(audit: Audit, about: About, code: Code, asked?: string): void {
  audit.recordSoon({
    event: 'refused',
    request: about.request,
    caller: callerOf(about)?.id,
    actor: actorOf(callerOf(about)),
    for: servedOf(about) ?? asked,
    entrance: about.entrance,
    connection: about.connection,
    destination: about.destination,
    method: about.method,
    path: about.path === undefined ? undefined : pathOnly(about.path),
    code,
  })
}
