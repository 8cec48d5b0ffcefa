import { createPublicKey, type KeyObject } from 'node:crypto'
import type { AuditCheckpoint } from '../core/store.ts'
import { ChainFollower, chainStart, splitLine } from './audit-chain.ts'
import { type AuditRecord, auditFiles, auditLines, parseRecord } from './audit-read.ts'
import { isSigned, isSignedStart } from './checkpoints.ts'

/** What is wrong, where, and in words for people. */
export interface AuditFault {
  readonly kind:
    | 'not-a-record'
    | 'changed'
    | 'out-of-order'
    | 'cut'
    | 'checkpoint-differs'
    | 'after-the-end'
    | 'missing-file'
    | 'bad-signature'
    | 'unknown-file'
    | 'row'
  /** Of the audit; `database` for a row that no record knows. */
  readonly file: string
  /** 1 for the first; where it belongs to a line. */
  readonly line?: number
  readonly text: string
}

/** ms within which a process has stored its file's first checkpoint. */
const FIRST_CHECKPOINT = 5_000

/**
 * Follows every file's chain and holds it against the checkpoints (those in the store, and any that
 * were exported before: several for one file are all held). Finds an edit, a deletion, a reordering,
 * a cut tail, a missing or added file and a forged checkpoint. Not found: a cut that leaves all that
 * a checkpoint covers, where the process was killed within the second before its next one.
 * At most one fault a line; after a broken link the chain is followed anew from that line. `each` is
 * given all records, a file's in their order.
 */
export async function verifyAudit(
  folder: string,
  checkpoints: readonly AuditCheckpoint[],
  publicKey: KeyObject | string,
  each: (record: AuditRecord) => void = () => {},
): Promise<readonly AuditFault[]> {
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey
  const faults: AuditFault[] = []
  const signed = new Map<string, AuditCheckpoint[]>()
  for (const checkpoint of checkpoints) {
    const { file } = checkpoint
    if (isSigned(checkpoint, key)) signed.set(file, [...(signed.get(file) ?? []), checkpoint])
    else
      faults.push({
        kind: 'bad-signature',
        file,
        text: 'A checkpoint of the file is not signed by this site.',
      })
  }
  const files = await auditFiles(folder)
  for (const file of files) {
    const known = signed.get(file)
    signed.delete(file)
    faults.push(...(await verifyFile(folder, file, known, key, each)))
  }
  for (const [file, [checkpoint]] of signed) {
    const records = `${checkpoint?.records} record${checkpoint?.records === 1 ? '' : 's'}`
    faults.push({ kind: 'missing-file', file, text: `The file is missing; it had at least ${records}.` })
  }
  return faults
}

const TORN = 'The end is not whole: the machine stopped while it was written, or it was cut.'

function changedText(from: number, to: number): string {
  if (from === to) return 'The record or the one before it was changed.'
  return `One of the records ${from} to ${to}, or the one before them, was changed.`
}

async function verifyFile(
  folder: string,
  file: string,
  checkpoints: readonly AuditCheckpoint[] | undefined,
  key: KeyObject,
  each: (record: AuditRecord) => void,
): Promise<AuditFault[]> {
  const faults: AuditFault[] = []
  const hashes = new Map(checkpoints?.map((each) => [each.records, each.hash]))
  const end = checkpoints?.find((each) => each.final)?.records ?? Number.POSITIVE_INFINITY
  const chain = new ChainFollower()
  /** The first line that no hash has covered yet. */
  let open: number | undefined
  let count = 0
  let first: number | undefined
  let last = 0
  for await (const { line, text, whole } of auditLines(folder, file)) {
    count = line
    const found = (kind: AuditFault['kind'], words: string) => faults.push({ kind, file, line, text: words })
    const split = splitLine(text)
    const record = parseRecord(text)
    if (!record || (!split && record.hash !== undefined)) {
      found('not-a-record', whole ? 'The line is not a record.' : TORN)
      chain.begin(undefined)
      open = undefined
      continue
    }
    if (line === 1) {
      const start = chainStart(String(record.site), file)
      chain.begin(start)
      if (isSignedStart(start, record.signature, key)) first = Date.parse(record.at)
    }
    each({ file, line, text, whole, record })
    last = Date.parse(record.at)
    const from = open ?? line
    open = split ? undefined : from
    if (!split) chain.take(text)
    const follows = !split || chain.close(split)
    if (record.seq !== line)
      found('out-of-order', `The record is number ${record.seq}, and stands at ${line}.`)
    else if (!follows) found('changed', changedText(from, line))
    else if (line > end) found('after-the-end', `The file was closed after ${end} records.`)
    else if (hashes.has(line) && hashes.get(line) !== split?.hash) {
      found('checkpoint-differs', 'The record is not the one that the signed checkpoint stands for.')
    }
  }
  // A process that is killed with its first records has stored no checkpoint yet.
  const young = first !== undefined && last - first < FIRST_CHECKPOINT
  if (!checkpoints && count > 0 && !young) {
    faults.push({
      kind: 'unknown-file',
      file,
      text: 'No checkpoint knows the file: it was put there, or the store was changed.',
    })
  }
  const most = Math.max(0, ...hashes.keys())
  if (count < most) {
    faults.push({ kind: 'cut', file, line: count, text: `The file had ${most} records and has ${count}.` })
  } else if (open !== undefined && faults.at(-1)?.line !== count)
    faults.push({ kind: 'cut', file, line: count, text: TORN })
  return faults
}
