import { createHash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'
import { compileBody, placesOf } from './common-body.ts'
import { parseConfiguredTemplate } from './configured.ts'
import { destinationText } from './destination.ts'
import { LocumError } from './errors.ts'
import { drawsOnAuth, type Expression } from './placeholder.ts'
import { USUAL_SLOTS } from './slots.ts'
import type { Connection, Credential, Redact, Scope } from './words.ts'

/**
 * What the owner of a credential approves by entering it. Whoever changes a connection decides for what
 * the site owns; for a user's own credential only its owner does (R28): a secret in a field that the upstream
 * shows to others, in an answer that nobody searches, or behind a CA of somebody's own would be no
 * secret any more.
 */

/** Stands in an audience where the fields were entered for a connection whose answers are not searched. */
const APPROVES_OFF = 'redact: off'

/** How `base` is called among the slots. */
export const BASE = 'base'

type Owned = Pick<Credential, 'owner' | 'audience'>

/** What an entry of a credential of this owner approves, as canonical texts: destinations, then the rest. */
export function audienceFor(connection: Connection, owner: string): string[] {
  const { destinations, ownedWildcard, redact } = connection
  if (owner === 'site') return [...destinations.map(destinationText), ...callTexts(connection)]
  const { sets, slots, formulas } = placesFor(connection)
  return [
    // Who vouches for the names under a wildcard is part of what is approved.
    ...destinations.filter(({ wildcard }) => ownedWildcard || !wildcard).map(destinationText),
    ...callTexts(connection),
    ...askTexts(connection),
    ...(redact === 'off' ? [APPROVES_OFF] : []),
    ...sets.map(setText),
    ...slots.map(slotText),
    ...formulas.map(formulaText),
    ...caTexts(connection),
  ]
}

/**
 * Throws credential_outside_audience where the method would take the credential to a URL that was not approved
 * when it was entered, or where the connection puts a user's own where its owner has not approved it, or names a CA
 * that they have not.
 */
export function checkApproved(connection: Connection, credential: Owned, scope: Scope): void {
  const [missing] = unapproved(connection, credential)
  if (missing !== undefined) throw outside(connection, scope, missing)
}

/** What `checkApproved` would miss. */
export function unapproved(connection: Connection, { owner, audience }: Owned): string[] {
  const needed = callTexts(connection)
  if (owner !== 'site') {
    const { sets, formulas } = placesFor(connection)
    needed.push(
      ...askTexts(connection),
      ...sets.map(setText),
      ...formulas.map(formulaText),
      ...caTexts(connection),
    )
  }
  return needed.filter((text) => !audience.includes(text))
}

/** Slots, by the audit's names, that this credential is not approved for; undefined where it is for all. */
export function barredSlots(
  connection: Connection,
  { owner, audience }: Owned,
): ReadonlySet<string> | undefined {
  if (owner === 'site') return undefined
  const barred = placesFor(connection).slots.filter((name) => !audience.includes(slotText(name)))
  return barred.length > 0 ? new Set(barred) : undefined
}

/** Throws credential_outside_audience where one of the places, by the audit's names, is barred. */
export function checkSlots(
  connection: Connection,
  barred: ReadonlySet<string>,
  names: readonly string[],
  scope: Scope,
): void {
  const name = names.find((one) => barred.has(one))
  if (name !== undefined) throw outside(connection, scope, slotText(name))
}

/**
 * What becomes of echoes of this credential. A connection that stops searching does not take a user's own
 * credential out of the search; until its owner approved that, echoes are masked.
 */
export function redactFor(
  { redact = 'mask' }: Pick<Connection, 'redact'>,
  { owner, audience }: Owned,
): Redact {
  return redact === 'off' && owner !== 'site' && !audience.includes(APPROVES_OFF) ? 'mask' : redact
}

/** Where the method takes it. */
function callTexts({ calls = [] }: Connection): string[] {
  return calls.map((origin) => `calls: ${origin}`)
}

/** With what, for a user's own: a password in another field of that request may be one that its log shows. */
function askTexts({ calls = [], methodConfig }: Connection): string[] {
  if (calls.length === 0) return []
  return [`asks: ${createHash('sha256').update(canonicalJson(methodConfig)).digest('hex')}`]
}

function setText(name: string): string {
  return `sets: ${name}`
}

function slotText(name: string): string {
  return `slot: ${name}`
}

/** What becomes of it: a piece of a key, or whether it begins with an `s`, is not what its owner gave. */
function formulaText(source: string): string {
  return `formula: ${createHash('sha256').update(source).digest('hex')}`
}

/** Places beyond the headers in which keys usually stand, by the audit's names. */
interface Places {
  /** Where the connection itself puts something of the credential, whatever the client writes. */
  readonly sets: readonly string[]
  /** Where a client may, and the base, which it chooses by the entrance. */
  readonly slots: readonly string[]
  /** What is made of it, wherever that is put. */
  readonly formulas: readonly string[]
}

function placesFor(connection: Connection): Places {
  const { headers, query = [], body, base, slots = {} } = connection
  const header = (name: string) => name.toLowerCase()
  const unusual = (name: string) => !USUAL_SLOTS.includes(name)
  const drawing: { name: string; expressions: readonly Expression[] }[] = [
    ...headers.map(([name, text]) => ({ name: header(name), ...parseConfiguredTemplate(text) })),
    ...query.map(([name, text]) => ({ name: `query:${name}`, ...parseConfiguredTemplate(text) })),
    ...(body ? placesOf(compileBody(body)) : []),
  ].filter(drawsOnAuth)
  const ofBase = base === undefined ? [] : [parseConfiguredTemplate(base)].filter(drawsOnAuth)
  return {
    sets: drawing.map(({ name }) => name).filter(unusual),
    slots: [
      ...ofBase.map(() => BASE),
      ...(slots.headers ?? []).map(header).filter(unusual),
      ...(slots.path === true ? ['path'] : []),
      ...(slots.query ?? []).map((name) => `query:${name}`),
      ...(slots.json ?? []).map((pointer) => `json:${pointer}`),
      ...(slots.form ?? []).map((name) => `form:${name}`),
    ],
    formulas: [...drawing, ...ofBase].flatMap(({ expressions }) =>
      expressions.flatMap((one) => ('source' in one && one.root === 'Auth' ? [one.source] : [])),
    ),
  }
}

/** However the file was laid out: its certificates, without what stands around them. */
function caTexts({ ca }: Connection): string[] {
  if (ca === undefined) return []
  const certificates = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [ca]
  const bare = certificates.map((one) => one.replaceAll(/\s/g, '')).sort()
  return [`ca: ${createHash('sha256').update(bare.join('\n')).digest('hex')}`]
}

function outside(connection: Connection, scope: Scope, missing: string): LocumError {
  const [kind, name] = missing.split(/: (.*)/s) as [string, string]
  const what = {
    sets: `to be put into every request (${name})`,
    slot: `to be put there (${name})`,
    ca: 'for the CA that the connection trusts now',
    calls: `to be taken to ${name}`,
    formula: 'for a formula that the connection has now',
    asks: 'for the request that is sent with it now',
  }[kind]
  return new LocumError(
    'credential_outside_audience',
    `The credential for \`${connection.name}\` (${scope}) was not approved ${what}.`,
    {
      hint: `Its owner approves it by entering it again: locum credential set ${connection.name} --for ${scope}`,
    },
  )
}
