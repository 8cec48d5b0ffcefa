import { lookUp, type VariablePath } from '../core/placeholder.ts'
import type { JsonObject } from '../core/secret.ts'
import type { Caller } from '../core/words.ts'

/**
 * What these variables stand for of a caller, by their texts; null where there is nothing. Undefined where none of them is of
 * a caller. A claim that nothing draws on is not in it: each token of an issuer has other ones.
 */
export function drawnFrom(variables: readonly VariablePath[], caller: Caller): JsonObject | undefined {
  const own = variables.filter(({ root }) => root === 'User')
  if (own.length === 0) return undefined
  return Object.fromEntries(own.map((one) => [one.text, lookUp(one, { caller }) ?? null]))
}
