import { checkFields } from '../core/credential.ts'
import type { Egress } from '../core/egress.ts'
import { LocumError } from '../core/errors.ts'
import { type Issuer, refuseFederated } from '../core/identity.ts'
import type { Limits } from '../core/limits.ts'
import type { Webhook } from '../core/notice.ts'
import { isProxyKey, proxyKeyHash } from '../core/proxy-key.ts'
import type { JsonObject } from '../core/secret.ts'
import type { Connection, Scope } from '../core/words.ts'
import { actingProblem } from './acting.ts'
import { fileError, type Path, type Problem, parseFile } from './document.ts'
import { toConnection } from './file-connection.ts'
import { readEgress } from './file-egress.ts'
import { readIssuers } from './file-identity.ts'
import { type DesiredListeners, readListeners } from './file-listen.ts'
import { readNotify } from './file-notify.ts'
import { type DesiredProvider, toProvider } from './file-provider.ts'
import { type CredentialEntry, FileSchema, type FileValue } from './file-schema.ts'
import { someLimits } from './limits-schema.ts'
import type { Context } from './operation.ts'
import { attempt } from './report.ts'
import { misfits } from './schema.ts'
import { asSource, type ReadText, readBeside, readFields, readSecret } from './secret-source.ts'

export interface DesiredPrincipal {
  readonly path: Path
  readonly id: string
  readonly kind: 'user' | 'service'
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
  readonly admin: boolean
  readonly mayActFor?: readonly string[]
  readonly limits?: Limits
  /** Hex of its key's SHA-256, where the file gives one. */
  readonly keyHash?: string
}

export interface DesiredConnection {
  readonly path: Path
  readonly connection: Omit<Connection, 'version' | 'managedBy'>
}

export interface DesiredCredential {
  readonly path: Path
  readonly connection: string
  readonly scope: Scope
  readonly name: string
  readonly projects: readonly string[]
  /** The secrets themselves. */
  readonly fields: JsonObject
}

/** A file, read and checked as far as it can be on its own. */
export interface FileContent {
  readonly file: string
  /** Whose objects these are. */
  readonly name: string
  readonly site?: { readonly url?: string; readonly contact?: string }
  readonly listen: DesiredListeners
  readonly identity: { readonly default?: string; readonly issuers: readonly Issuer[] }
  /** The parent proxy of whoever serves with this file. */
  readonly egress?: Egress
  /** Where whoever serves with this file sends notices. */
  readonly notify?: Webhook
  readonly unmatched: NonNullable<FileValue['unmatched']>
  readonly audit: NonNullable<FileValue['audit']>
  /** What holds for principals without limits of their own, and for clients that nobody knows yet. */
  readonly limits: NonNullable<FileValue['limits']>
  readonly principals: readonly DesiredPrincipal[]
  readonly providers: readonly DesiredProvider[]
  readonly connections: readonly DesiredConnection[]
  readonly credentials: readonly DesiredCredential[]
  /** What works and had better be otherwise. */
  readonly notes: readonly string[]
  /** Something that is wrong with what stands there. */
  problem(path: Path, says: string, part?: 'key' | 'value'): Problem
}

type Io = Pick<Context, 'methods' | 'env'>

interface Reading extends Io {
  readonly readText: ReadText
  note(path: Path, says: string): void
  problem(path: Path, says: string, part?: 'key' | 'value'): void
}

/**
 * Reads a file with everything that it refers to. Throws bad_request, a line a problem, each with
 * file, line, column and key; no value of a secret is ever in it.
 */
export async function readConfigFile(
  file: string,
  { readFile, ...io }: Io & Pick<Context, 'readFile'>,
): Promise<FileContent> {
  const text = await readConfig(file, readFile)
  return readConfigText({ file, text, servesHere: true }, { ...io, readText: readBeside(file, readFile) })
}

/** A file's text. Throws bad_request. */
export async function readConfig(file: string, readFile: Context['readFile']): Promise<string> {
  const read = await readBeside('.', readFile)(file)
  if ('text' in read) return read.text
  throw new LocumError('bad_request', read.problem.replace(/^cannot read/, 'Cannot read'))
}

/**
 * As `readConfigFile`; `readText` reads what it refers to. Unless it `servesHere`, what it says to `serve`
 * alone is passed over, with what that refers to.
 */
export async function readConfigText(
  { file, text, servesHere }: { readonly file: string; readonly text: string; readonly servesHere: boolean },
  io: Io & Pick<Reading, 'readText'>,
): Promise<FileContent> {
  const document = parseFile(text, file)
  const problems: Problem[] = []
  const at: FileContent['problem'] = (path, says, part) => ({ ...document.locate(path, part), path, says })

  for (const { path, problem, says } of misfits(FileSchema, document.value ?? {})) {
    problems.push(at(path, says, problem === 'unknown' ? 'key' : 'value'))
  }
  if (problems.length > 0) throw fileError(file, problems)

  const value = servesHere ? asFile(document.value) : ofEverybody(asFile(document.value))
  const notes: string[] = []
  const reading: Reading = {
    ...io,
    note: (path, says) => {
      const { line } = at(path, says)
      notes.push(`${file}:${line}: ${says}`)
    },
    problem: (path, says, part) => problems.push(at(path, says, part)),
  }
  checkSite(value, reading)
  checkDoubles(value, reading)
  const notify = value.notify && (await readNotify(value.notify, reading))
  const egress = value.egress && (await readEgress(value.egress, reading))
  const issuers = await readIssuers(value.identity?.issuers ?? [], reading)
  const standIn = value.identity?.default
  if (standIn !== undefined) attempt(reading.problem, ['identity', 'default'], () => refuseFederated(standIn))
  const listen = await readListeners(value, file, reading.readText, reading.problem)
  const principals = await readPrincipals(value, reading)
  const providers = await readProviders(value, reading)
  const connections = await readConnections(value, reading)
  const credentials = await readCredentials(value, reading)
  checkAgainstConnections({ providers, connections, credentials }, reading)
  if (problems.length > 0) throw fileError(file, problems)
  return {
    file,
    name: value.name ?? 'default',
    site: value.site,
    listen,
    identity: { default: standIn, issuers },
    egress,
    notify,
    unmatched: value.unmatched ?? 'deny',
    audit: value.audit ?? {},
    limits: value.limits ?? {},
    principals,
    providers,
    connections,
    credentials,
    notes,
    problem: at,
  }
}

function asFile(value: unknown): FileValue {
  return (value ?? {}) as FileValue
}

/** Without what it says to `serve` alone. */
function ofEverybody({ listen, egress, notify, identity, ...rest }: FileValue): FileValue {
  return identity?.default === undefined ? rest : { ...rest, identity: { default: identity.default } }
}

function checkSite({ site }: FileValue, { problem }: Reading): void {
  const url = site?.url
  if (url !== undefined && !(URL.canParse(url) && /^https?:\/\/[^@?#]+$/i.test(url))) {
    problem(['site', 'url'], 'expected an URL such as https://locum.example.com')
  }
}

function checkDoubles(value: FileValue, { problem }: Reading): void {
  const lists: [string, string, readonly string[]][] = [
    ['principals', 'id', (value.principals ?? []).map(({ id }) => id)],
    ['providers', 'name', (value.providers ?? []).map(({ name }) => name)],
    ['connections', 'name', (value.connections ?? []).map(({ name }) => name)],
    ['credentials', 'for', (value.credentials ?? []).map((entry) => `${entry.connection} for ${entry.for}`)],
  ]
  for (const [list, key, names] of lists) {
    names.forEach((name, i) => {
      if (names.indexOf(name) < i) problem([list, String(i), key], `${name} is in this file twice`)
    })
  }
}

async function readPrincipals(value: FileValue, reading: Reading): Promise<DesiredPrincipal[]> {
  const hashes = new Set<string>()
  const entries = value.principals ?? []
  const read: DesiredPrincipal[] = []
  for (const [i, { key, ...entry }] of entries.entries()) {
    const path = ['principals', String(i)]
    attempt(reading.problem, [...path, 'id'], () => refuseFederated(entry.id))
    const keyHash = key && (await readKey(key, [...path, 'key'], reading))
    if (keyHash !== undefined && hashes.has(keyHash)) {
      reading.problem([...path, 'key'], 'another principal in this file has the same key')
    }
    if (keyHash !== undefined) hashes.add(keyHash)
    const admin = entry.admin ?? false
    const mayActFor = entry.mayActFor?.length ? entry.mayActFor : undefined
    const unfit = actingProblem({ admin, mayActFor })
    if (unfit !== undefined) reading.problem([...path, 'mayActFor'], unfit)
    const { kind = 'user', projects = [] } = entry
    const limits = someLimits(entry.limits)
    read.push({ path, ...entry, limits, kind, projects, admin, mayActFor, keyHash })
  }
  return read
}

async function readKey(
  source: { env: string } | { file: string },
  path: Path,
  { env, readText, problem }: Reading,
): Promise<string | undefined> {
  const secret = await readSecret(source, env, readText)
  if ('problem' in secret) {
    problem(path, secret.problem)
    return undefined
  }
  if (isProxyKey(secret.text)) return proxyKeyHash(secret.text)
  problem(path, 'is not a proxy key (lcm_…, as `locum principal add` and `rotate-key` print)')
  return undefined
}

async function readProviders(value: FileValue, reading: Reading): Promise<DesiredProvider[]> {
  const read: DesiredProvider[] = []
  for (const [i, entry] of (value.providers ?? []).entries()) {
    const provider = await toProvider(entry, ['providers', String(i)], reading, reading.problem)
    if (provider) read.push(provider)
  }
  return read
}

async function readConnections(value: FileValue, reading: Reading): Promise<DesiredConnection[]> {
  const read: DesiredConnection[] = []
  for (const [i, entry] of (value.connections ?? []).entries()) {
    const path = ['connections', String(i)]
    const connection = await toConnection(entry, reading.methods, reading.readText, (within, says, part) =>
      reading.problem([...path, ...within], says, part),
    )
    if (connection) read.push({ path, connection })
  }
  return read
}

async function readCredentials(value: FileValue, reading: Reading): Promise<DesiredCredential[]> {
  const read: DesiredCredential[] = []
  for (const [i, entry] of (value.credentials ?? []).entries()) {
    const path = ['credentials', String(i)]
    noteOpenSecrets(value, entry, path, reading)
    let sound = true
    const fields = await readFields(entry.fields, reading.env, reading.readText, (within, says) => {
      sound = false
      reading.problem([...path, 'fields', ...within], says)
    })
    if (!sound) continue
    read.push({
      path,
      connection: entry.connection,
      scope: entry.for as Scope,
      name: entry.name ?? `${entry.connection} for ${entry.for}`,
      projects: entry.projects ?? [],
      fields,
    })
  }
  return read
}

/** A secret had better not stand in the file itself: files are copied, committed and shown. */
function noteOpenSecrets(value: FileValue, entry: CredentialEntry, path: Path, reading: Reading): void {
  const used = value.connections?.find(({ name }) => name === entry.connection)
  const rules = used && reading.methods.get(used.auth.method)?.fields
  if (!rules || rules === 'any') return
  for (const [name, written] of Object.entries(entry.fields)) {
    if (!rules[name]?.secret || asSource(written)) continue
    const says = `the secret \`${name}\` stands in the file in clear; { env: NAME } or { file: PATH } keeps it out`
    reading.note([...path, 'fields', name], says)
  }
}

/** The fields of credentials whose connection and provider are in the same file; others are checked when applied. */
function checkAgainstConnections(
  { providers, connections, credentials }: Pick<FileContent, 'providers' | 'connections' | 'credentials'>,
  { methods, problem }: Reading,
): void {
  for (const { path, connection: name, fields } of credentials) {
    const connection = connections.find((desired) => desired.connection.name === name)?.connection
    const method = connection && methods.get(connection.method)
    const provider = providers.find((one) => one.name === connection?.provider)
    if (!method || (connection.provider !== undefined && !provider)) continue
    try {
      checkFields(method, fields, provider)
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      problem([...path, 'fields'], thrown.detail.replace(/\.$/, ''))
    }
  }
}
