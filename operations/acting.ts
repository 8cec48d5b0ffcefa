import { LocumError } from '../core/errors.ts'
import type { Principal, PrincipalRecord } from '../core/words.ts'

/** What is wrong with giving this to a principal; undefined where nothing is. */
export function actingProblem({
  admin,
  mayActFor,
}: Pick<PrincipalRecord, 'admin' | 'mayActFor'>): string | undefined {
  if (!admin || mayActFor === undefined) return undefined
  return 'an administrator never acts for users: let a service of its own do it'
}

/**
 * Who may act for users reaches their credentials. So nobody but the holder of the data folder gives
 * that right away, nor a key to whoever has it (R28); not to themselves either, for when they are no
 * administrator any more. Throws not_allowed.
 */
export function demandHolder(
  as: Principal,
  { id, mayActFor }: Pick<PrincipalRecord, 'id' | 'mayActFor'>,
): void {
  if (mayActFor === undefined || as.via === 'local') return
  throw new LocumError(
    'not_allowed',
    `\`${id}\` may act for users, so an administrator cannot give it that.`,
    {
      hint: 'Do it with the command on the machine that holds the data folder.',
    },
  )
}
