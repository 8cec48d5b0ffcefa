import { createHash } from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import { Flows } from '../core/flows.ts'
import type { JsonObject } from '../core/secret.ts'
import { SYSTEM } from '../core/words.ts'
import type { Context } from '../operations/operation.ts'
import type { Answer } from './asked.ts'

/** ms that an answer is kept. */
const KEPT = 86_400_000
/** ms after which whoever held the work is taken for dead. */
const LEASE = 30_000
const KIND = 'repetition'

/** A request that may come again. */
interface Repetition {
  /** Of this key or session, at this address: nobody else's, not even after somebody has taken up their id (R28). */
  readonly token: string
  /** Of what was asked. */
  readonly digest: string
}

/** Throws bad_request for a key that is none. */
export function repetitionOf(x: {
  key: string | readonly string[]
  caller: string
  method: string
  path: string
  body: string
}): Repetition {
  const { key, caller, method, path, body } = x
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw new LocumError('bad_request', '`Idempotency-Key`: expected 1 to 255 characters without a blank.')
  return {
    token: [caller, method, path, key].join('\n'),
    digest: createHash('sha256').update(body).digest('base64url'),
  }
}

/**
 * Does it once: who comes again within a day with the same body is answered the same. An answer that says
 * no is not kept. Throws conflict where it was asked with another body.
 */
export async function once(
  context: Context,
  repetition: Repetition,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const { store } = context
  const lease = `repetition:${createHash('sha256').update(repetition.token).digest('hex')}`
  return store.lease(SYSTEM, lease, LEASE, async () => {
    const kept = await new Flows(context).see(KIND, repetition.token)
    if (kept === undefined) return work()
    const { digest, answer } = kept as JsonObject
    if (digest !== repetition.digest)
      throw new LocumError('conflict', 'Something else was asked with this `Idempotency-Key`.', {
        hint: 'Another request takes another key.',
      })
    return answer as unknown as Answer
  })
}

/** Keeps an answer, sealed: it may hold a key. In the transaction of what it tells of, so that there is never one without the other. */
export async function keepAnswer(
  inside: Context,
  { token, digest }: Repetition,
  answer: Answer,
): Promise<void> {
  await new Flows(inside).put(KIND, token, { digest, answer: answer as unknown as JsonObject }, KEPT)
}
