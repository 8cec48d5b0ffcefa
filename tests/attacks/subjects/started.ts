import type { Subject } from '../attack.ts'

/** A subject that was started here. */
export interface Started extends Subject {
  stop(): Promise<void>
}
