import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { TSchema } from 'typebox'
import { methods } from '../../auth-methods/index.ts'
import { credentialPlace } from '../../core/credential.ts'
import { LocumError } from '../../core/errors.ts'
import { LOCAL } from '../../core/words.ts'
import { type Applied, applyFile, checkFile } from '../../operations/apply.ts'
import { type Context, type Operation, runOperation } from '../../operations/operation.ts'
import { meansOf } from '../../site.ts'
import { type AuditRecord, readAudit } from '../../store/audit-read.ts'
import { openStore } from '../../store/open.ts'

/** A data folder, and what people do to it. */
export interface Desk {
  readonly context: Context
  readonly env: Record<string, string>
  readonly warnings: string[]
  run<I extends TSchema, O>(operation: Operation<I, O>, input: unknown): Promise<O>
  /** Writes a file beside the others. */
  write(name: string, text: string): Promise<string>
  apply(text: string, options?: { prune?: boolean; name?: string }): Promise<Applied>
  check(text: string, options?: { prune?: boolean }): Promise<Applied>
  /** The fields of what is bound there, opened as the broker would. */
  fieldsOf(connection: string, scope: string): Promise<Record<string, unknown> | undefined>
  changes(): Promise<AuditRecord['record'][]>
}

export async function openDesk(t: Test): Promise<Desk> {
  const folder = t.testdir({ data: {}, files: {} })
  const data = join(folder, 'data')
  const opened = await openStore({ data })
  const { store, sealer, audit, close } = opened
  t.teardown(close)
  const env: Record<string, string> = {}
  const warnings: string[] = []
  const context: Context = {
    as: LOCAL,
    store,
    sealer,
    methods,
    audit,
    clock: { now: () => Date.now() },
    means: meansOf(opened, {
      data,
      clock: { now: () => Date.now() },
      withProving: () => Promise.reject(new Error('nothing is tried at a desk')),
    }),
    random: (bytes) => randomBytes(bytes),
    env,
    readFile: (path) => readFile(path, 'utf8'),
    warn: (line) => warnings.push(line),
  }
  const run: Desk['run'] = (operation, input) => runOperation(context, operation, input)
  const write = async (name: string, text: string) => {
    const path = join(folder, 'files', name)
    await writeFile(path, text)
    return path
  }
  return {
    context,
    env,
    warnings,
    run,
    write,
    async apply(text, { prune, name = 'locum.yaml' } = {}) {
      return run(applyFile, { file: await write(name, text), prune: prune ?? false })
    },
    async check(text, { prune } = {}) {
      return run(checkFile, { file: await write('locum.yaml', text), prune: prune ?? false })
    },
    async fieldsOf(connection, scope) {
      const bindings = await store.bindings(LOCAL, connection)
      const id = bindings.find((binding) => binding.scope === scope)?.credential
      const credential = id === undefined ? undefined : await store.credential(LOCAL, id)
      if (!credential) return undefined
      return Object.fromEntries(
        Object.entries(credential.sealed).map(([field, sealed]) => [
          field,
          JSON.parse(sealer.open(credentialPlace(credential, field), sealed).toString()),
        ]),
      )
    },
    async changes() {
      const records: AuditRecord['record'][] = []
      for await (const { record } of readAudit(join(data, 'audit'))) {
        if (record.event === 'change') records.push(record)
      }
      return records
    },
  }
}

/** What an operation was refused with. Fails the test where it was not. */
export async function refusal(work: Promise<unknown>): Promise<LocumError> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof LocumError) return outcome
  throw new Error('it was not refused', { cause: outcome })
}

/** `ACTION KIND ID: KEYS`, as short as that. */
export function summary({ changes }: Applied): string[] {
  return changes.map(
    ({ action, kind, id, keys }) => `${action} ${kind} ${id}${keys.length > 0 ? `: ${keys.join(', ')}` : ''}`,
  )
}
