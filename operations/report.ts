import { LocumError } from '../core/errors.ts'
import type { Path } from './document.ts'

/** Takes what is wrong, at a path within the connection. */
export type Report = (path: Path, says: string, part?: 'key' | 'value') => void

/** Runs a check of the core's and reports what it throws. */
export function attempt<T>(
  problem: Report,
  path: Path,
  work: () => T,
  part?: 'key' | 'value',
): T | undefined {
  try {
    return work()
  } catch (thrown) {
    if (!(thrown instanceof LocumError)) throw thrown
    const detail = thrown.detail.replace(/\.$/, '')
    problem(path, thrown.hint === undefined ? detail : `${detail} (${thrown.hint})`, part)
    return undefined
  }
}
