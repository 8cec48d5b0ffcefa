import type { Static, TSchema } from 'typebox'
import { type Audit, doneBy } from '../core/audit.ts'
import type { AuthMethods } from '../core/auth-method.ts'
import type { Clock } from '../core/clock.ts'
import { asLocumError, LocumError } from '../core/errors.ts'
import type { Means } from '../core/means.ts'
import { withoutSecrets } from '../core/shown.ts'
import type { Sealer, Store } from '../core/store.ts'
import { type Principal, SYSTEM } from '../core/words.ts'
import { checkInput } from './schema.ts'

/** What an operation may use of the world. */
export interface Context {
  /** For whom it is done. */
  readonly as: Principal
  readonly store: Store
  readonly sealer: Sealer
  readonly methods: AuthMethods
  readonly audit: Audit
  readonly clock: Clock
  readonly means: Means
  random(bytes: number): Uint8Array
  readonly env: Readonly<Record<string, string | undefined>>
  /** The whole file as UTF-8. Throws as `node:fs` does. */
  readFile(path: string): Promise<string>
  /** Takes what the person should know although it was done; a line, never a secret. */
  warn(line: string): void
}

/** Who may. `says` completes “Only …”. */
export interface Rule {
  readonly says: string
  allows(as: Principal): boolean
}

export const administrators: Rule = { says: 'an administrator', allows: (as) => as.admin }

/** What reaches through to secrets, or to this machine: its files, its environment. */
export const dataHolder: Rule = {
  says: 'whoever holds the data folder',
  allows: ({ via }) => via === 'local',
}

/** Each for what is theirs, which the operation itself judges. */
export const everybody: Rule = {
  says: 'somebody who has shown who they are',
  allows: ({ via }) => via !== 'default' && via !== 'link',
}

/** What people can do: written once, for the command, the file and the API. */
export interface Operation<I extends TSchema = TSchema, O = unknown> {
  /** `principal.add` */
  readonly name: string
  readonly summary: string
  readonly input: I
  readonly who: Rule
  /** Present where it changes something: what the audit says was changed. Asked again with the output where it succeeded. */
  readonly subject?: (input: Static<I>, output?: O) => string
  /** False where it turned out that nothing had to change, which the audit then leaves out. */
  readonly changed?: (output: O) => boolean
  /** It waits for others, so that what it writes is no one transaction. */
  readonly waits?: boolean
  run(context: Context, input: Static<I>): Promise<O>
}

/** Keeps the types of input and output together. */
export function defineOperation<I extends TSchema, O>(operation: Operation<I, O>): Operation<I, O> {
  return operation
}

/**
 * Runs an operation: who may, then the input, then the work. All the writes of one that changes
 * something happen, with its line in the audit, or none, unless it waits for others. `around` is called
 * with the work, within the same transaction. Throws not_allowed, bad_request (naming the field), and what both throw.
 */
export async function runOperation<I extends TSchema, O>(
  context: Context,
  operation: Operation<I, O>,
  input: unknown,
  around: (inside: Context, work: () => Promise<O>) => Promise<O> = (_, work) => work(),
): Promise<O> {
  const { as, store, audit } = context
  const { subject } = operation
  let about = '?'
  const record = (outcome: 'done' | 'failed') =>
    audit.record({
      event: 'change',
      ...doneBy(as),
      operation: operation.name,
      subject: about,
      outcome,
    })
  try {
    if (!operation.who.allows(as)) {
      throw new LocumError('not_allowed', `Only ${operation.who.says} may do that.`, {
        hint: operation.who === dataHolder ? 'It takes the command on the machine that has it.' : undefined,
      })
    }
    const checked = checkInput(operation.input, input)
    if (!subject) return await around(context, () => operation.run(context, checked))
    about = subject(checked)
    const work = async (inside: Context) => {
      const output = await around(inside, () => operation.run(inside, checked))
      about = subject(checked, output)
      if (operation.changed?.(output) !== false) record('done')
      return output
    }
    // Who may was judged above.
    return await (operation.waits
      ? work(context)
      : store.transact(SYSTEM, (store) => work({ ...context, store })))
  } catch (thrown) {
    const error = asLocumError(thrown)
    if (subject) {
      // What was typed in an id's place may be a secret that slipped there.
      about = withoutSecrets(about)
      record('failed')
    }
    throw error
  }
}
