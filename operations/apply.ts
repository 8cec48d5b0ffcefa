import Type from 'typebox'
import { doneBy } from '../core/audit.ts'
import { LOCAL } from '../core/words.ts'
import { type FileContent, readConfigFile } from './file.ts'
import { findFingerprint } from './fingerprint.ts'
import { administrators, type Context, dataHolder, defineOperation } from './operation.ts'
import { NOTHING, type PlannedChange, planFile, takeSnapshot } from './reconcile.ts'
import { closed } from './schema.ts'
import { readSentFile, SentFile } from './sent-file.ts'

/** What was, or would be, changed. */
export interface Changes {
  readonly changes: readonly PlannedChange[]
}

/** With what the file says to `serve` alone. */
export interface Applied extends Changes {
  readonly content: FileContent
}

const Input = closed({ file: Type.String({ minLength: 1 }), prune: Type.Optional(Type.Boolean()) })

async function plan(context: Context, content: FileContent, prune?: boolean) {
  for (const note of content.notes) context.warn(note)
  const { as, methods, warn } = context
  const now = await takeSnapshot(context.store, as)
  const x = { as, methods, prune: prune ?? false, warn }
  return planFile(content, now, await findFingerprint(context), x)
}

async function apply(context: Context, content: FileContent, prune?: boolean): Promise<Applied> {
  const steps = await plan(context, content, prune)
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
}

async function check(context: Context, content: FileContent, prune?: boolean): Promise<Applied> {
  const steps = await plan(context, content, prune)
  return { changes: steps.map(({ change }) => change), content }
}

export const applyFile = defineOperation({
  name: 'apply',
  summary: 'Add and change what a file names',
  input: Input,
  who: dataHolder,
  subject: ({ file }) => file,
  changed: ({ changes }: Applied) => changes.length > 0,
  run: async (context, { file, prune }) => apply(context, await readConfigFile(file, context), prune),
})

export const checkFile = defineOperation({
  name: 'check',
  summary: 'Say what applying a file would do, changing nothing',
  input: Input,
  who: dataHolder,
  run: async (context, { file, prune }) => check(context, await readConfigFile(file, context), prune),
})

/** As `apply`, of a file that was sent with all that it refers to: nothing is read here (sent-file.ts). */
export const applySent = defineOperation({
  name: 'apply.sent',
  summary: 'Add and change what a file names that is sent with all that it refers to',
  input: SentFile,
  who: administrators,
  subject: ({ file }) => file,
  changed: ({ changes }: Changes) => changes.length > 0,
  async run(context, { prune, ...sent }): Promise<Changes> {
    const { changes } = await apply(context, await readSentFile(sent, context), prune)
    return { changes }
  },
})

export const checkSent = defineOperation({
  name: 'check.sent',
  summary: 'Say what applying a file would do that is sent with all that it refers to, changing nothing',
  input: SentFile,
  who: administrators,
  async run(context, { prune, ...sent }): Promise<Changes> {
    const { changes } = await check(context, await readSentFile(sent, context), prune)
    return { changes }
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
