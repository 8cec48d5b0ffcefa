import { AsyncLocalStorage } from 'node:async_hooks'
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import type { Audit } from '../core/audit.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { AuditCheckpoint, Sealer, Store } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import { AuditFile, type AuditOptions, type ChainState } from './audit.ts'

/** The vault item: the Ed25519 key (PKCS #8 DER, sealed) and, open, `publicKey` (SPKI PEM). */
export const AUDIT_SIGNING = 'audit-signing'
/** ms between checkpoints while there are new records. The first record of a file gets one at once. */
const EVERY = 1_000

/** The key that signs checkpoints, made where it is missing. */
export async function auditSigningKey(store: Store, sealer: Sealer): Promise<KeyObject> {
  const place = {
    table: 'certificates',
    row: AUDIT_SIGNING,
    field: 'privateKey',
    version: 1,
    owner: 'site',
    audience: [],
  }
  let item = await store.vaultItem(SYSTEM, AUDIT_SIGNING)
  if (!item) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const der = privateKey.export({ format: 'der', type: 'pkcs8' })
    const sealed = sealer.seal(place, der)
    der.fill(0)
    const open = { publicKey: publicKey.export({ format: 'pem', type: 'spki' }).toString() }
    item = await store.addVaultItem(SYSTEM, AUDIT_SIGNING, { sealed, open })
  }
  const der = sealer.open(place, item.sealed)
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

/** What is signed: the members but the signature, as JSON with sorted names and no spaces. */
function signedBytes({ at, file, final, hash, records }: Omit<AuditCheckpoint, 'signature'>): Buffer {
  return Buffer.from(JSON.stringify({ at, file, final, hash, records }), 'utf8')
}

/** Whether the site's key has signed exactly this. */
export function isSigned(checkpoint: AuditCheckpoint, publicKey: KeyObject): boolean {
  return verify(null, signedBytes(checkpoint), publicKey, Buffer.from(String(checkpoint.signature), 'base64'))
}

/** Whether the site's key has signed this start of a file's chain. */
export function isSignedStart(start: string, signature: unknown, publicKey: KeyObject): boolean {
  if (typeof signature !== 'string') return false
  return verify(null, Buffer.from(start, 'latin1'), publicKey, Buffer.from(signature, 'base64'))
}

export interface CheckpointedAudit extends Audit {
  /** From now on a record counts only when the disk has it; else when the operating system has. */
  waitForDisk(): void
  /** Writes what waits and stores the last checkpoint. Throws as `record`, and as the store. */
  close(): Promise<void>
}

/** The audit of this process, joined to the store by signed checkpoints. */
export function openAudit(
  options: Omit<AuditOptions, 'signStart'>,
  store: Pick<Store, 'addCheckpoint'>,
  key: KeyObject,
  clock: Clock,
): CheckpointedAudit {
  // A record may be taken inside somebody's transaction: the checkpoint is not part of it.
  const outside = AsyncLocalStorage.snapshot()
  let begun = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()

  const signStart = (start: string) => sign(null, Buffer.from(start, 'latin1'), key).toString('base64')
  const file = new AuditFile({ ...options, signStart }, () => {
    const wait = begun ? EVERY : 0
    begun = true
    schedule(wait)
  })

  function schedule(wait: number): void {
    timer ??= outside(() =>
      setTimeout(() => {
        timer = undefined
        running = running.then(storeOrRetry)
      }, wait).unref(),
    )
  }

  async function storeAll(): Promise<void> {
    const { left, current } = file.states()
    for (const state of left) await put(state, true)
    file.forget(left)
    if (current) await put(current, false)
  }

  async function put(state: ChainState, final: boolean): Promise<void> {
    if (state.records === 0) return
    const unsigned = { ...state, at: clock.now(), final }
    const signature = sign(null, signedBytes(unsigned), key).toString('base64')
    await store.addCheckpoint({ ...unsigned, signature })
  }

  /** The audit goes on while the store is away, and is joined to it again later. */
  async function storeOrRetry(): Promise<void> {
    try {
      await storeAll()
    } catch (thrown) {
      if (!(thrown instanceof LocumError && thrown.code === 'store_unavailable')) throw thrown
      schedule(EVERY)
    }
  }

  return {
    waitForDisk: () => file.waitForDisk(),
    record: (entry) => file.record(entry),
    recordThen: (entry, then) => file.recordThen(entry, then),
    recordSoon: (entry) => file.recordSoon(entry),
    async close() {
      clearTimeout(timer)
      timer = undefined
      await running
      clearTimeout(timer)
      try {
        file.close()
      } finally {
        await storeAll()
      }
    },
  }
}
