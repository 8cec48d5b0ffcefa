import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { methods } from './auth-methods/index.ts'
import { Consents } from './broker/consents.ts'
import { Grants } from './broker/grants.ts'
import { Proofs } from './broker/proofs.ts'
import { type Authority, openAuthority } from './certs/authority.ts'
import { exportAuthority } from './certs/export.ts'
import { describeAuthority, rotate } from './certs/rotation.ts'
import { openSigningKeys, signingKeeper } from './certs/signing.ts'
import type { AuthMethods } from './core/auth-method.ts'
import { type Clock, systemClock } from './core/clock.ts'
import type { Consenting } from './core/consent.ts'
import type { Means } from './core/means.ts'
import { callOutBy } from './proxy/upstreams/call-out.ts'
import { Upstreams } from './proxy/upstreams/upstreams.ts'
import { connectH1 } from './proxy/wire/h1/client.ts'
import { type AuditRecord, auditEnds, auditFiles, parseRecord, readAudit } from './store/audit-read.ts'
import { type OpenOptions, type OpenStore, openStore } from './store/open.ts'
import { verifyTrail } from './store/trail-verify.ts'

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
  /** For the operations. */
  readonly means: Means
  /** People's consent at providers, for `work`; what it asks goes out as a server's own requests do. */
  withConsents<T>(work: (consents: Consenting) => Promise<T>): Promise<T>
  /** Where each file of the audit ends now, in bytes. */
  trailEnds(): Promise<Map<string, number>>
  /** The whole lines behind those ends, which move on to where the files end then. */
  readTrailBehind(ends: Map<string, number>): Promise<AuditRecord[]>
}

/** What the operations of a site that is open can do. `withProving` reaches out as the site does. */
export function meansOf(
  opened: OpenStore,
  { data, clock, withProving }: Pick<OpenSite, 'data' | 'clock'> & Pick<Means, 'withProving'>,
): Means {
  const { store, sealer } = opened
  const trail = join(data, 'audit')
  return {
    signing: signingKeeper(sealer, clock),
    ca: {
      describe: (inside) => describeAuthority(inside, clock),
      rotate: (inside, signsFrom) => rotate(inside, sealer, clock, signsFrom),
      async export(format, options) {
        const authority = await openAuthority(store, sealer, clock)
        authority.close()
        return exportAuthority(authority, format, options)
      },
    },
    trail: { read: () => readAudit(trail), verify: () => verifyTrail(trail, opened) },
    withProving,
  }
}

/** A file as UTF-8. Throws as `node:fs` does. */
export function readText(path: string): Promise<string> {
  return readFile(path, 'utf8')
}

/** Whether a data folder was ever used: opening it would make what is missing. */
export function isUsed(data: string): boolean {
  return existsSync(join(data, 'locum.db'))
}

/** At most this many bytes of a file at a time. */
const LARGEST_READ = 16 * 1024 * 1024

async function readWholeLines(path: string, from: number): Promise<{ bytes: number; text: string }> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const length = Math.min(Math.max(size - from, 0), LARGEST_READ)
    if (length === 0) return { bytes: 0, text: '' }
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
    const bytes = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1
    return { bytes, text: buffer.toString('utf8', 0, bytes) }
  } finally {
    await file.close()
  }
}

/** Throws what `openStore` throws. */
export async function openSite({
  data,
  env,
  clock = systemClock,
  onTampered,
}: SiteOptions): Promise<OpenSite> {
  const random = (bytes: number) => randomBytes(bytes)
  const opened = await openStore({ data, env, clock, random, onTampered })
  const { store, sealer } = opened
  const trail = join(data, 'audit')
  /** Lets `work` acquire what methods acquire. */
  async function reaching<T>(work: (grants: Grants) => Promise<T>): Promise<T> {
    const upstreams = new Upstreams({
      connect: (socket) => connectH1(socket),
      lookup: (name) => lookup(name, { all: true }),
      ownListeners: () => [],
    })
    try {
      const callOut = callOutBy(upstreams)
      const signingKeys = openSigningKeys(store, sealer, clock)
      return await work(new Grants({ store, sealer, clock, callOut, signingKeys }))
    } finally {
      await upstreams.close()
    }
  }
  return {
    ...opened,
    data,
    methods,
    clock,
    random,
    readFile: readText,
    authority: () => openAuthority(store, sealer, clock),
    means: meansOf(opened, {
      data,
      clock,
      withProving: (work) =>
        reaching((grants) => work(new Proofs({ store, sealer, clock, methods, grants }))),
    }),
    withConsents: (work) =>
      reaching((grants) =>
        work(new Consents({ store, sealer, clock, methods, audit: opened.audit, grants })),
      ),
    trailEnds: () => auditEnds(trail),
    async readTrailBehind(ends) {
      const fresh: AuditRecord[] = []
      for (const file of await auditFiles(trail)) {
        const from = ends.get(file) ?? 0
        const { bytes, text } = await readWholeLines(join(trail, file), from)
        ends.set(file, from + bytes)
        for (const [i, line] of text.split('\n').entries()) {
          const record = parseRecord(line)
          if (record) fresh.push({ file, line: i + 1, text: line, whole: true, record })
        }
      }
      return fresh.sort((a, b) => (a.record.at < b.record.at ? -1 : 1))
    },
  }
}

export { truststore } from './certs/pkcs12.ts'
export { keySet, publicKeyPem } from './certs/signing.ts'
export { type AuditRecord, methods }
