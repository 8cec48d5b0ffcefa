import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TSchema } from 'typebox'
import { parse } from 'yaml'
import { methods as everyMethod } from '../../auth-methods/index.ts'
import type { StoreDirectory } from '../../broker/directory.ts'
import { openAuthority } from '../../certs/authority.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { type Clock, systemClock } from '../../core/clock.ts'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { LOCAL, SYSTEM } from '../../core/words.ts'
import { type Running, type StartConfig, start } from '../../main.ts'
import { applyFile } from '../../operations/apply.ts'
import { type Context, type Operation, runOperation } from '../../operations/operation.ts'
import { revokePrincipal } from '../../operations/principals.ts'
import { meansOf } from '../../site.ts'
import { type AuditRecord, readAudit } from '../../store/audit-read.ts'
import { type AuditFault, verifyAudit } from '../../store/audit-verify.ts'
import { AUDIT_SIGNING } from '../../store/checkpoints.ts'
import { type OpenOptions, openStore } from '../../store/open.ts'

export interface Teardown {
  teardown(work: () => unknown): void
}

export interface SiteOptions {
  /** Methods beside the usual ones. */
  readonly methods?: readonly AuthMethod[]
  readonly clock?: Clock
  readonly limits?: StartConfig['limits']
  readonly lookup?: StartConfig['lookup']
  readonly audit?: OpenOptions['audit']
  /** Of the environment, beside what a configuration needs. */
  readonly env?: Readonly<Record<string, string>>
  readonly pause?: StartConfig['pause']
  /** Faults that the operator hears of are expected: otherwise one fails the test. */
  readonly faults?: 'expected'
}

/** A Locum in this process, on free ports and a folder of its own. */
export interface TestSite {
  readonly data: string
  readonly proxyUrl: string
  readonly port: number
  readonly consoleUrl: string
  /** The site's CA: PEM, and a file that holds it. */
  readonly ca: string
  readonly caFile: string
  /** Proxy keys of the file's principals, by id. */
  readonly keys: Readonly<Record<string, string>>
  readonly running: Running
  readonly context: Context
  /** What the operator was told. */
  readonly log: readonly string[]
  run<I extends TSchema, O>(operation: Operation<I, O>, input: unknown): Promise<O>
  /** Applies another file; in force at the latest a second later. */
  apply(config: object | string): Promise<void>
  revoke(id: string): Promise<void>
  /** Brings every change so far into force now. */
  settle(): Promise<void>
  /** The audit's records so far, in time order. */
  audit(): Promise<AuditRecord['record'][]>
  /** What is wrong with the audit: nothing, it is hoped. */
  verify(): Promise<readonly AuditFault[]>
  close(grace?: number): Promise<void>
}

/**
 * Starts a site with what a configuration file says. As a convenience, a credential's fields may hold
 * the secret itself (it goes through the environment), and `ca` the PEM text (it goes through a file); so may the parent proxy's.
 * Every principal gets a key. All of it is gone when the test is.
 */
export async function startSite(
  t: Teardown,
  config: object | string,
  options: SiteOptions = {},
): Promise<TestSite> {
  const { clock = systemClock } = options
  const data = mkdtempSync(join(tmpdir(), 'locum-site-'))
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  const methods = new Map([...everyMethod, ...(options.methods ?? []).map((one) => [one.id, one] as const)])
  const opened = await openStore({ data, env: {}, clock, audit: options.audit })
  const { store, sealer, audit } = opened
  const env: Record<string, string> = { ...options.env }
  const context: Context = {
    as: LOCAL,
    store,
    sealer,
    methods,
    audit,
    clock,
    means: meansOf(opened, {
      data,
      clock,
      withProving: () => Promise.reject(new Error('the console tries')),
    }),
    random: (bytes) => randomBytes(bytes),
    env,
    readFile: (path) => readFile(path, 'utf8'),
    warn: () => {},
  }
  const files = join(data, 'file')
  mkdirSync(files)
  const run = <I extends TSchema, O>(operation: Operation<I, O>, input: unknown) =>
    runOperation(context, operation, input)
  const applyConfig = async (given: object | string) => {
    const file = join(files, 'locum.json')
    writeFileSync(file, JSON.stringify(ready(given, files, env, keys)))
    return (await run(applyFile, { file })).content
  }
  const keys: Record<string, string> = {}
  const log: string[] = []
  let running: Running | undefined
  let closing: Promise<void> | undefined
  const close = (grace = 0): Promise<void> => {
    closing ??= (async () => {
      await running?.close(grace)
      await opened.close()
    })()
    return closing
  }
  t.teardown(async () => {
    await close()
    if (log.length > 0 && options.faults !== 'expected')
      throw new Error(`the operator was told: ${log.join('\n')}`)
  })
  const content = await applyConfig(config)
  const site = await start({
    data,
    store: opened,
    listen: { proxy: '127.0.0.1:0', console: '127.0.0.1:0', ...content.listen },
    identity: content.identity,
    egress: content.egress,
    unmatched: content.unmatched,
    notify: content.notify,
    pause: options.pause,
    callers: content.limits,
    lookup: options.lookup,
    env: {},
    clock,
    methods,
    limits: options.limits,
    log: (line) => log.push(line),
  })
  running = site
  const authority = await openAuthority(store, sealer, clock)
  const ca = authority.certificatePem
  authority.close()
  const caFile = join(data, 'ca.pem')
  writeFileSync(caFile, ca)
  const trail = join(data, 'audit')
  return {
    data,
    proxyUrl: site.proxyUrl,
    port: Number(new URL(site.proxyUrl).port || 0),
    consoleUrl: site.consoleUrl,
    ca,
    caFile,
    keys,
    running: site,
    context,
    log,
    run,
    async apply(given) {
      await applyConfig(given)
    },
    async revoke(id) {
      await run(revokePrincipal, { id })
    },
    async settle() {
      await (site.room.directory as StoreDirectory).feed.poll()
      // What is under way is judged behind the change.
      await new Promise((resolve) => setImmediate(resolve))
    },
    async audit() {
      // Outcomes are written at the end of a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve))
      const records: AuditRecord['record'][] = []
      for await (const { record } of readAudit(trail)) records.push(record)
      return records
    },
    async verify() {
      const item = await store.vaultItem(SYSTEM, AUDIT_SIGNING)
      return verifyAudit(trail, await store.checkpoints(), item?.open.publicKey as string)
    },
    close,
  }
}

interface FileLike {
  principals?: { id: string; key?: object }[]
  providers?: Record<string, unknown>[]
  connections?: { ca?: string }[]
  credentials?: { fields: Record<string, unknown> }[]
  egress?: { password?: unknown; ca?: string }
  identity?: { issuers?: { ca?: string }[] }
}

/** The file as it is applied: secrets in the environment, keys and CAs in files beside it. */
function ready(
  given: object | string,
  folder: string,
  env: Record<string, string>,
  keys: Record<string, string>,
): FileLike {
  const config = structuredClone(typeof given === 'string' ? parse(given) : given) as FileLike
  for (const principal of config.principals ?? []) {
    const { id } = principal
    keys[id] ??= proxyKeyText(randomBytes(32))
    writeFileSync(join(folder, `${id}.key`), keys[id])
    principal.key = { file: `./${id}.key` }
  }
  for (const [i, connection] of (config.connections ?? []).entries()) {
    if (!connection.ca?.startsWith('-----BEGIN')) continue
    writeFileSync(join(folder, `ca-${i}.pem`), connection.ca)
    connection.ca = `./ca-${i}.pem`
  }
  for (const [i, issuer] of (config.identity?.issuers ?? []).entries()) {
    if (!issuer.ca?.startsWith('-----BEGIN')) continue
    writeFileSync(join(folder, `issuer-${i}.pem`), issuer.ca)
    issuer.ca = `./issuer-${i}.pem`
  }
  const viaEnv = (value: unknown): unknown => {
    if (typeof value === 'string') {
      const name = `SECRET_${Object.keys(env).length}`
      env[name] = value
      return { env: name }
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, viaEnv(member)]))
  }
  for (const [i, provider] of (config.providers ?? []).entries()) {
    for (const key of ['clientId', 'clientSecret', 'clientCertificate', 'clientKey'])
      if (provider[key] !== undefined) provider[key] = viaEnv(provider[key])
    if (!String(provider.ca).startsWith('-----BEGIN')) continue
    writeFileSync(join(folder, `provider-ca-${i}.pem`), String(provider.ca))
    provider.ca = `./provider-ca-${i}.pem`
  }
  const { egress } = config
  if (typeof egress?.password === 'string') {
    env.EGRESS_PASSWORD = egress.password
    egress.password = { env: 'EGRESS_PASSWORD' }
  }
  if (egress?.ca?.startsWith('-----BEGIN')) {
    writeFileSync(join(folder, 'egress-ca.pem'), egress.ca)
    egress.ca = './egress-ca.pem'
  }
  for (const credential of config.credentials ?? []) {
    credential.fields = viaEnv(credential.fields) as Record<string, unknown>
  }
  return config
}
