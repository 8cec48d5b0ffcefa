import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { methods } from './auth-methods/index.ts'
import { type Authority, openAuthority } from './certs/authority.ts'
import { type ExportFormat, exportAuthority } from './certs/export.ts'
import type { AuthMethods } from './core/auth-method.ts'
import { type Clock, systemClock } from './core/clock.ts'
import { LocumError } from './core/errors.ts'
import { SYSTEM } from './core/words.ts'
import { type AuditRecord, readAudit } from './store/audit-read.ts'
import { type AuditFault, verifyAudit } from './store/audit-verify.ts'
import { AUDIT_SIGNING } from './store/checkpoints.ts'
import { type OpenOptions, type OpenStore, openStore } from './store/open.ts'

export interface SiteOptions {
  /** The data folder; what is missing in it is made. */
  readonly data: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
  /** Told of rows that were changed outside Locum, instead of failing for them. */
  readonly onTampered?: OpenOptions['onTampered']
}

/** A site's data folder, open: what the command works on, with or without a server beside it. */
export interface OpenSite extends OpenStore {
  readonly data: string
  readonly methods: AuthMethods
  readonly clock: Clock
  random(bytes: number): Buffer
  readFile(path: string): Promise<string>
  /** The site's CA, made where there is none. */
  authority(): Promise<Authority>
  /** The CA's certificate. */
  exportCa(format: ExportFormat): Promise<Buffer>
  /** The audit's records of all processes in time order. */
  readTrail(): AsyncGenerator<AuditRecord>
  /** What is wrong with the audit: an empty list where nothing is. */
  verifyTrail(): Promise<readonly AuditFault[]>
}

/** A file as UTF-8. Throws as `node:fs` does. */
export function readText(path: string): Promise<string> {
  return readFile(path, 'utf8')
}

/** Whether a data folder was ever used: opening it would make what is missing. */
export function isUsed(data: string): boolean {
  return existsSync(join(data, 'locum.db'))
}

/** Throws what `openStore` throws. */
export async function openSite({
  data,
  env,
  clock = systemClock,
  onTampered,
}: SiteOptions): Promise<OpenSite> {
  const random = (bytes: number) => randomBytes(bytes)
  const { store, sealer, audit, close } = await openStore({ data, env, clock, random, onTampered })
  const trail = join(data, 'audit')
  return {
    data,
    store,
    sealer,
    audit,
    methods,
    clock,
    random,
    readFile: readText,
    authority: () => openAuthority(store, sealer, clock),
    async exportCa(format) {
      const authority = await openAuthority(store, sealer, clock)
      authority.close()
      return exportAuthority(authority, format)
    },
    readTrail: () => readAudit(trail),
    async verifyTrail() {
      const publicKey = (await store.vaultItem(SYSTEM, AUDIT_SIGNING))?.open.publicKey
      if (publicKey === undefined) throw new LocumError('internal', "The audit's signing key is missing.")
      return verifyAudit(trail, await store.checkpoints(), publicKey)
    },
    close,
  }
}

export { EXPORT_FORMATS, type ExportFormat } from './certs/export.ts'
export { type AuditRecord, methods }
