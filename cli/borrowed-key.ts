import { asLocumError } from '../core/errors.ts'
import { LENT_FOR, lendKey, prolongKey, returnKey } from '../operations/lent-keys.ts'
import type { Session } from './session.ts'

/** A key that lasts for as long as somebody prolongs it. */
export interface BorrowedKey {
  readonly key: string
  /** From now on it is no key any more; never rejects. */
  giveBack(): Promise<void>
}

/**
 * A key for a principal, beside its own, prolonged every `every` ms until it is given back. Whoever
 * borrowed it may be killed: it ends by itself then, LENT_FOR after it was prolonged last. `warn` is told
 * where it ends before its time. Throws bad_request, not_allowed, store_unavailable.
 */
export async function borrowKey(
  { run }: Pick<Session, 'run'>,
  principal: string,
  warn: (line: string) => void,
  every: number = LENT_FOR / 5,
): Promise<BorrowedKey> {
  const { id, key, hash } = await run(lendKey, { id: principal })
  let failing = false
  let prolonging: Promise<void> | undefined

  async function prolong(): Promise<void> {
    try {
      const there = await run(prolongKey, { id, hash })
      failing = false
      if (there) return
      clearInterval(timer)
      warn(`the key of this run was revoked; ${id} is refused from now on`)
    } catch (thrown) {
      // Said once: it is tried again and again, and the key outlasts several failures.
      if (!failing) warn(`the key of this run cannot be prolonged (${asLocumError(thrown).message})`)
      failing = true
    }
  }

  const timer = setInterval(() => {
    prolonging ??= prolong().finally(() => {
      prolonging = undefined
    })
  }, every)

  return {
    key,
    async giveBack() {
      clearInterval(timer)
      await prolonging
      try {
        await run(returnKey, { id, hash })
      } catch (thrown) {
        const { message } = asLocumError(thrown)
        warn(
          `the key of this run could not be taken back and ends by itself in ${LENT_FOR / 60_000} minutes (${message})`,
        )
      }
    },
  }
}
