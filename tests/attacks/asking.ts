import { ENTRANCES, type Entrance } from '../kit/raw.ts'
import type { Ground } from './attack.ts'

/** The entrances that the proxy has. */
export function entrancesOf({ subject }: Ground): Entrance[] {
  return ENTRANCES.filter((entrance) => subject.offers.has(entrance))
}

/** The header lines of a request that asks for the secret. */
export function asking({ asks }: Ground, ...more: readonly string[]): string[] {
  return asks === '' ? [...more] : [asks, ...more]
}
