import { audienceFor } from '../core/approval.ts'
import type { AuthMethods } from '../core/auth-method.ts'
import { canonicalJson } from '../core/canonical-json.ts'
import { checkFields } from '../core/credential.ts'
import type { CredentialType } from '../core/credential-type.ts'
import { withProvider } from '../core/provider.ts'
import type { JsonObject } from '../core/secret.ts'
import { ownerOf, uselessScope } from '../core/source.ts'
import type { Store } from '../core/store.ts'
import type {
  Binding,
  Connection,
  Credential,
  Principal,
  PrincipalRecord,
  Provider,
  ProxyKeyRecord,
  Site,
} from '../core/words.ts'
import { demandHolder } from './acting.ts'
import { enterCredential } from './credentials.ts'
import { fileError, type Path, type Problem } from './document.ts'
import type { DesiredConnection, DesiredCredential, DesiredPrincipal, FileContent } from './file.ts'
import type { DesiredProvider } from './file-provider.ts'
import type { Fingerprint } from './fingerprint.ts'
import { suspendOwn, warnSuspended } from './keys.ts'
import type { Context } from './operation.ts'
import { findProviderOf, keepProvider, providerId } from './providers.ts'
import { attempt, type Report } from './report.ts'

/** What applying a file does to one object. `keys` are what changes; values are never shown. */
export interface PlannedChange {
  readonly action: 'create' | 'update' | 'delete'
  readonly kind: 'site' | 'principal' | 'provider' | 'connection' | 'credential'
  /** A credential's is `CONNECTION/SCOPE`. */
  readonly id: string
  readonly keys: readonly string[]
}

export interface Step {
  readonly change: PlannedChange
  run(context: Context): Promise<void>
}

/** What there is now. */
export interface Snapshot {
  readonly site: Pick<Site, 'url' | 'contact'>
  readonly principals: readonly PrincipalRecord[]
  readonly keys: readonly ProxyKeyRecord[]
  readonly providers: readonly Provider[]
  readonly types: readonly CredentialType[]
  /** Reads fields as a type has them. Throws bad_request. */
  readonly byType?: (name: string, schema: JsonObject, fields: JsonObject) => JsonObject
  readonly connections: readonly Connection[]
  readonly credentials: readonly Credential[]
  readonly bindings: readonly Binding[]
}

/** Of a data folder that is not there yet. */
export const NOTHING: Snapshot = {
  site: {},
  principals: [],
  keys: [],
  providers: [],
  types: [],
  connections: [],
  credentials: [],
  bindings: [],
}

export async function takeSnapshot(store: Store, as: Principal): Promise<Snapshot> {
  const principals = await store.principals(as)
  const types = await store.types(as)
  return {
    site: await store.site(),
    principals,
    keys: (await Promise.all(principals.map(({ id }) => store.keys(as, id)))).flat(),
    providers: await store.providers(as),
    types,
    byType: types.length > 0 ? (await import('./type-check.ts')).fieldsByType : undefined,
    connections: await store.connections(as),
    credentials: await store.credentials(as),
    bindings: await store.bindings(as),
  }
}

interface Planning {
  /** Who applies it. */
  readonly as: Principal
  readonly methods: AuthMethods
  readonly content: FileContent
  readonly now: Snapshot
  readonly fingerprint: Fingerprint | undefined
  readonly steps: Step[]
  /** Users whose own credentials a step before disables. */
  readonly suspended: Set<string>
  problem(path: Path, says: string): void
  warn(line: string): void
}

/**
 * What to do so that the store is as the file says, in order. Reads only; the steps write. Throws
 * bad_request where an object belongs to a file of another name, or refers to one that is not there.
 */
export function planFile(
  content: FileContent,
  now: Snapshot,
  fingerprint: Fingerprint | undefined,
  { as, methods, prune, warn }: Pick<Context, 'as' | 'methods' | 'warn'> & { prune: boolean },
): Step[] {
  const problems: Problem[] = []
  const planning: Planning = {
    as,
    methods,
    content,
    now,
    fingerprint,
    steps: [],
    suspended: new Set(),
    problem: (path, says) => problems.push(content.problem(path, says)),
    warn,
  }
  planSite(planning)
  for (const desired of content.principals) planPrincipal(planning, desired)
  for (const desired of content.providers) planProvider(planning, desired)
  for (const desired of content.connections) planConnection(planning, desired)
  for (const desired of content.credentials) planCredential(planning, desired)
  checkDefault(planning)
  if (prune) planPruning(planning)
  if (problems.length > 0) throw fileError(content.file, problems)
  return planning.steps
}

/** The keys that differ, leaving out what stays undefined. */
export function changedKeys(before: object | undefined, after: object): string[] {
  const old = before as Record<string, unknown> | undefined
  return Object.entries(after)
    .filter(([key, value]) => !same(old?.[key], value))
    .map(([key]) => key)
}

function same(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a === b
  // Through JSON, so that a member that is undefined is as good as none.
  return canonicalJson(JSON.parse(JSON.stringify(a))) === canonicalJson(JSON.parse(JSON.stringify(b)))
}

/** Reports an object that a file of another name made. One that was made by hand may be taken over. */
function isOurs(
  { content, problem }: Planning,
  path: Path,
  found: { managedBy?: string } | undefined,
): boolean {
  if (found?.managedBy === undefined || found.managedBy === content.name) return true
  problem(path, `belongs to the file named \`${found.managedBy}\`; this one is named \`${content.name}\``)
  return false
}

function planSite({ content, now, steps }: Planning): void {
  const { site } = content
  if (!site) return
  const after = { url: site.url, contact: site.contact }
  const keys = changedKeys(now.site, after)
  if (keys.length === 0) return
  steps.push({
    change: { action: 'update', kind: 'site', id: 'site', keys },
    run: ({ as, store }) => store.setSite(as, after),
  })
}

function planPrincipal(planning: Planning, desired: DesiredPrincipal): void {
  const { as: applicant, content, now, steps } = planning
  const { path, keyHash, id, kind, profile, email, projects, admin, mayActFor, limits } = desired
  const found = now.principals.find((principal) => principal.id === id)
  if (!isOurs(planning, [...path, 'id'], found)) return
  const holder = now.keys.find(({ hash }) => hash === keyHash)
  if (holder && holder.principal !== id) {
    planning.problem([...path, 'key'], 'another principal has this key')
    return
  }
  // Nothing else gives a key of a file an end.
  if (holder?.managedBy === content.name && holder.expiresAt !== undefined)
    planning.warn(`the key of ${id} in the file was revoked: it needs a new one to call`)
  const wanted = { id, kind, profile, email, projects, admin, mayActFor, limits, managedBy: content.name }
  const record = { ...wanted, disabled: found?.disabled ?? false, revokedAt: found?.revokedAt }
  const keys = changedKeys(found, record)
  const stale = now.keys.filter(
    (key) => key.principal === id && key.managedBy === content.name && key.hash !== keyHash,
  )
  const newKey = keyHash !== undefined && !holder
  if (newKey || stale.length > 0) keys.push('key')
  if (keys.length === 0) return
  // Whoever writes the file must not take up a user's secrets with a key of theirs, nor by making a
  // service of the user, whose new keys suspend nothing (R28).
  const hadKeys = now.keys.some((key) => key.principal === id)
  // Elsewhere than at the data folder a first key is no first proof: a user may have called by certificate.
  const another = newKey && (hadKeys || (found !== undefined && applicant.via !== 'local'))
  const suspends =
    ((another || stale.length > 0) && kind === 'user') || (found?.kind === 'user' && kind === 'service')
  if (suspends) planning.suspended.add(id)
  steps.push({
    change: {
      action: found ? 'update' : 'create',
      kind: 'principal',
      id,
      keys: found ? keys : [],
    },
    async run(context) {
      const { as, store, clock } = context
      if (newKey || keys.includes('mayActFor') || !found) demandHolder(as, record)
      await store.putPrincipal(as, record)
      for (const { hash } of stale) await store.removeKeys(as, id, hash)
      if (newKey) {
        const key = { hash: keyHash, principal: id, createdAt: clock.now(), managedBy: content.name }
        await store.addKey(as, key)
      }
      if (!suspends) return
      const suspended = await suspendOwn(context, { id, kind: 'user' })
      warnSuspended(context, id, suspended)
    },
  })
}

function planProvider(planning: Planning, desired: DesiredProvider): void {
  const { content, now, steps, fingerprint } = planning
  const { path, fields, ...rest } = desired
  const found = now.providers.find(({ name }) => name === desired.name)
  if (!isOurs(planning, [...path, 'name'], found)) return
  const provider = { ...rest, managedBy: content.name }
  const keys = changedKeys(found, provider)
  const print = fingerprint?.(providerId(desired.name), fields)
  if (found?.fingerprint === undefined || print !== found.fingerprint) keys.push('secrets')
  if (keys.length === 0) return
  const change = { kind: 'provider', id: desired.name, keys: found ? keys : [] } as const
  steps.push({
    change: { action: found ? 'update' : 'create', ...change },
    run: async (context) => void (await keepProvider(context, { ...provider, fields })),
  })
}

/** Reports a connection whose provider is not there, or is of another method. */
function checkProvider({ content, now, problem }: Planning, { path, connection }: DesiredConnection): void {
  const { provider: name, method } = connection
  if (name === undefined) return
  const found = [...content.providers, ...now.providers].find((one) => one.name === name)
  if (!found) problem([...path, 'auth', 'provider'], `there is no provider ${name}, here or applied before`)
  else if (found.method !== method)
    problem(
      [...path, 'auth', 'provider'],
      `${name} is a provider of \`${found.method}\`, not of \`${method}\``,
    )
}

function planConnection(planning: Planning, desired: DesiredConnection): void {
  const { content, now, steps } = planning
  const found = now.connections.find(({ name }) => name === desired.connection.name)
  if (!isOurs(planning, [...desired.path, 'name'], found)) return
  checkProvider(planning, desired)
  checkType(planning, desired)
  const connection = { ...desired.connection, managedBy: content.name }
  const keys = changedKeys(found, connection)
  if (keys.length === 0) return
  steps.push({
    change: {
      action: found ? 'update' : 'create',
      kind: 'connection',
      id: connection.name,
      keys: found ? keys.map(fileKey) : [],
    },
    run: async ({ as, store }) => void (await store.putConnection(as, connection)),
  })
}

/** The credential type has to be there. */
function checkType({ now, problem }: Planning, { path, connection }: DesiredConnection): void {
  const { type } = connection.methodConfig
  if (typeof type !== 'string' || now.types.some(({ name }) => name === type)) return
  problem(
    [...path, 'auth', 'type'],
    `there is no credential type ${type}; \`locum type import\` brings one in`,
  )
}

/** What a member of a connection is called in the file. */
export function fileKey(member: string): string {
  if (member === 'method' || member === 'methodConfig' || member === 'provider') return 'auth'
  return member === 'corsOrigins' ? 'cors' : member
}

function planCredential(planning: Planning, desired: DesiredCredential): void {
  const { content, now, steps, fingerprint, problem } = planning
  const { path, connection: name, scope, fields, projects } = desired
  const here = content.connections.find((other) => other.connection.name === name)?.connection
  const connection = (here ?? now.connections.find((other) => other.name === name)) as Connection | undefined
  const method = connection && planning.methods.get(connection.method)
  if (!connection || !method) {
    problem([...path, 'connection'], `there is no connection ${name}, here or applied before`)
    return
  }
  const ours = content.providers.find((one) => one.name === connection.provider)
  const provider = ours ?? now.providers.find((one) => one.name === connection.provider)
  const report: Report = (within, says) => problem([...path, ...within], says)
  // Where both are in the file too, its reader has looked at them.
  if (!here || (provider && !ours)) attempt(report, ['fields'], () => checkFields(method, fields, provider))
  const type = now.types.find((one) => one.name === connection.methodConfig.type)
  if (type) attempt(report, ['fields'], () => now.byType?.(type.name, type.schema, fields))
  const useless = uselessScope(connection, scope)
  if (useless !== undefined) problem([...path, 'for'], useless)
  const user = scope.startsWith('user:') ? scope.slice(5) : undefined
  const known = [...content.principals, ...now.principals]
  if (user !== undefined && !known.some(({ id }) => id === user)) {
    problem([...path, 'for'], `there is no principal ${user}, here or applied before`)
  }
  const binding = now.bindings.find((other) => other.connection === name && other.scope === scope)
  // One of another owner was chosen here, and stays theirs.
  const found = now.credentials.find(
    ({ id, owner }) => id === binding?.credential && owner === ownerOf(scope),
  )
  if (!isOurs(planning, [...path, 'connection'], found)) return

  const keys = changedKeys(found, {
    name: desired.name,
    projects,
    audience: audienceFor(withProvider(connection, method, provider), ownerOf(scope)),
    managedBy: content.name,
  })
  const unchanged = found?.fingerprint !== undefined && fingerprint?.(found.id, fields) === found.fingerprint
  if (!unchanged || (user !== undefined && planning.suspended.has(user))) keys.push('fields')
  if (keys.length === 0) return
  const managedBy = content.name
  steps.push({
    change: {
      action: found ? 'update' : 'create',
      kind: 'credential',
      id: `${name}/${scope}`,
      keys: found ? keys : [],
    },
    async run(context) {
      const { as, store } = context
      const current = found && (await store.credential(as, found.id))
      const stored = (await store.connection(as, name)) ?? connection
      // Disabled by hand it stays so; suspended, it is entered again by this.
      const disabled = current !== undefined && current.fieldNames.length > 0 && current.disabled
      const entry = { scope, fields, name: desired.name, projects, managedBy, current, disabled }
      const used = await findProviderOf(context, stored)
      await enterCredential(context, { ...entry, connection: stored, provider: used })
    },
  })
}

function checkDefault({ content, now, problem }: Planning): void {
  const id = content.identity.default
  if (id === undefined || [...content.principals, ...now.principals].some((known) => known.id === id)) return
  problem(['identity', 'default'], `there is no principal ${id}, here or applied before`)
}

/** What a file of this name made and this one no longer names. */
function planPruning({ content, now, steps, problem }: Planning): void {
  const gone = <T extends { managedBy?: string }>(all: readonly T[], named: (each: T) => boolean) =>
    all.filter((each) => each.managedBy === content.name && !named(each))
  const remove = (kind: PlannedChange['kind'], id: string, run: Step['run']) =>
    steps.push({ change: { action: 'delete', kind, id, keys: [] }, run })

  // Not by those who chose one that is shared with them.
  const boundAs = ({ id, owner }: Credential) =>
    now.bindings.filter(({ credential, scope }) => credential === id && ownerOf(scope) === owner)
  const credentials = gone(now.credentials, (credential) => {
    const bindings = boundAs(credential)
    return content.credentials.some(({ connection, scope }) =>
      bindings.some((binding) => binding.connection === connection && binding.scope === scope),
    )
  })
  for (const credential of credentials) {
    const [binding] = boundAs(credential)
    const id = binding ? `${binding.connection}/${binding.scope}` : credential.id
    remove('credential', id, ({ as, store }) => store.removeCredential(as, credential.id))
  }
  const named = (name: string) => content.connections.some(({ connection }) => connection.name === name)
  for (const { name } of gone(now.connections, (connection) => named(connection.name))) {
    remove('connection', name, ({ as, store }) => store.removeConnection(as, name))
  }
  const kept = (name: string) => content.providers.some((one) => one.name === name)
  for (const { name } of gone(now.providers, (provider) => kept(provider.name))) {
    const others = now.connections.filter((one) => one.provider === name && one.managedBy !== content.name)
    const users = [...content.connections.map(({ connection }) => connection), ...others]
    const user = users.find(({ provider }) => provider === name)
    if (user) problem(['providers'], `${user.name} still uses the provider ${name}`)
    remove('provider', name, ({ as, store }) => store.removeProvider(as, name))
  }
  const principals = gone(now.principals, ({ id }) => content.principals.some((other) => other.id === id))
  for (const { id } of principals) {
    // Whoever gets this id later does not take up what was this one's.
    remove('principal', id, async (context) => {
      await context.store.removePrincipal(context.as, id)
      warnSuspended(context, id, await suspendOwn(context, { id, kind: 'user' }))
    })
  }
}
