import Type from 'typebox'
import type { CaKeeper, TrustedCa } from '../core/ca.ts'
import { LocumError } from '../core/errors.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed, Duration, durationMs } from './schema.ts'

/** What a rotation came to. */
export interface Rotation {
  readonly changed: boolean
  /** What clients should trust now, the CA that signs first. */
  readonly trusted: readonly TrustedCa[]
}

/** Over a site's CA. */
export function rotateCa(ca: CaKeeper) {
  return defineOperation({
    name: 'ca.rotate',
    summary: 'Make the next CA, which clients trust beside this one until it takes over',
    input: closed({ after: Type.Optional(Duration), now: Type.Optional(Type.Boolean()) }),
    who: administrators,
    subject: () => 'ca',
    changed: ({ changed }: Rotation) => changed,
    async run({ store, clock }, { after, now }): Promise<Rotation> {
      if (now && after !== undefined) {
        throw new LocumError('bad_request', 'The next CA takes over now or after a while, not both.')
      }
      const wait = now ? 0 : after === undefined ? undefined : durationMs(after)
      const changed = await ca.rotate(store, wait === undefined ? undefined : clock.now() + wait)
      return { changed, trusted: await ca.describe(store) }
    },
  })
}
