import { LocumError } from '../core/errors.ts'
import { SYSTEM } from '../core/words.ts'
import { auditEnds } from './audit-read.ts'
import { type AuditFault, verifyAudit } from './audit-verify.ts'
import { AUDIT_SIGNING } from './checkpoints.ts'
import type { OpenStore } from './open.ts'
import { RowHistory } from './row-history.ts'

/**
 * What is wrong with the audit in `folder`, and with the database's rows as the audit knows them;
 * other processes may be at work on both. Throws internal where the audit's key is missing.
 */
export async function verifyTrail(
  folder: string,
  { store, rowMarks }: Pick<OpenStore, 'store' | 'rowMarks'>,
): Promise<readonly AuditFault[]> {
  const publicKey = (await store.vaultItem(SYSTEM, AUDIT_SIGNING))?.open.publicKey
  if (publicKey === undefined) throw new LocumError('internal', "The audit's signing key is missing.")
  const history = new RowHistory(await auditEnds(folder))
  const marks = await rowMarks()
  const faults = await verifyAudit(folder, await store.checkpoints(), publicKey, (each) => history.take(each))
  return [...faults, ...history.faults(marks)]
}
