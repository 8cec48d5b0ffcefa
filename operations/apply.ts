import Type from 'typebox'
import { doneBy } from '../core/audit.ts'
import { LOCAL } from '../core/words.ts'
import { type FileContent, readConfigFile } from './file.ts'
import { findFingerprint } from './fingerprint.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { NOTHING, type PlannedChange, planFile, takeSnapshot } from './reconcile.ts'
import { closed } from './schema.ts'

/** What was, or would be, changed; and what the file says to `serve` alone. */
export interface Applied {
  readonly changes: readonly PlannedChange[]
  readonly content: FileContent
}

const Input = closed({ file: Type.String({ minLength: 1 }), prune: Type.Optional(Type.Boolean()) })

async function plan(context: Context, { file, prune }: { file: string; prune?: boolean }) {
  const content = await readConfigFile(file, context)
  for (const note of content.notes) context.warn(note)
  const { as, methods, warn } = context
  const now = await takeSnapshot(context.store, as)
  const x = { as, methods, prune: prune ?? false, warn }
  return { content, steps: planFile(content, now, await findFingerprint(context), x) }
}

export const applyFile = defineOperation({
  name: 'apply',
  summary: 'Add and change what a file names',
  input: Input,
  who: administrators,
  subject: ({ file }) => file,
  changed: ({ changes }: Applied) => changes.length > 0,
  async run(context, input): Promise<Applied> {
    const { content, steps } = await plan(context, input)
    for (const { change, run } of steps) {
      await run(context)
      context.audit.record({
        event: 'change',
        ...doneBy(context.as),
        operation: `${change.kind}.${change.action}`,
        subject: change.id,
        outcome: 'done',
      })
    }
    return { changes: steps.map(({ change }) => change), content }
  },
})

export const checkFile = defineOperation({
  name: 'check',
  summary: 'Say what applying a file would do, changing nothing',
  input: Input,
  who: administrators,
  async run(context, input): Promise<Applied> {
    const { content, steps } = await plan(context, input)
    return { changes: steps.map(({ change }) => change), content }
  },
})

/** As `check`, for a data folder that was never used and stays so. */
export async function checkFileAlone(
  io: Pick<Context, 'methods' | 'env' | 'readFile' | 'warn'>,
  file: string,
): Promise<Applied> {
  const content = await readConfigFile(file, io)
  for (const note of content.notes) io.warn(note)
  const steps = planFile(content, NOTHING, undefined, { ...io, as: LOCAL, prune: false })
  return { changes: steps.map(({ change }) => change), content }
}
