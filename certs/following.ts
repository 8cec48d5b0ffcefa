import { asLocumError } from '../core/errors.ts'
import type { Change } from '../core/words.ts'
import type { Authority } from './authority.ts'
import { NEXT, SIGNING } from './vault.ts'

/** ms until a store that did not answer is asked again. */
const RETRY = 1_000

/** The changes after which the CA may be another: of its vault items, and of everything. */
const CONCERNS = new Set(['*', `vault:${SIGNING}`, `vault:${NEXT}`])

/**
 * Keeps an authority with the store: `take` is told of every change. A store that does not answer is
 * asked again until it does; of anything else `onfault` is told, and the CA stays what it was.
 */
export function followAuthority(
  authority: Pick<Authority, 'reload'>,
  onfault: (error: unknown) => void,
  retry: number = RETRY,
): { take(changes: readonly Change[]): void; close(): Promise<void> } {
  let owed = false
  let closed = false
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined

  async function catchUp(): Promise<void> {
    do {
      owed = false
      try {
        await authority.reload()
      } catch (thrown) {
        const error = asLocumError(thrown)
        if (error.code === 'store_unavailable') timer = setTimeout(start, retry).unref()
        else onfault(error)
      }
    } while (owed && !closed)
    running = undefined
  }

  function start(): void {
    clearTimeout(timer)
    if (!closed) running ??= catchUp()
  }

  return {
    take(changes) {
      if (!changes.some(({ kind, id }) => kind === 'site' && CONCERNS.has(id))) return
      owed = true
      start()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await running
    },
  }
}
