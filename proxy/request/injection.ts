import type { BodyRewrite, FieldEdits } from '../../core/auth-method.ts'
import { type FilledParameter, fillParameters } from '../../core/common-query.ts'
import type { Material } from '../../core/directory.ts'
import { utf8Text } from '../../core/percent.ts'
import { fill, type Template, type VariableSources } from '../../core/placeholder.ts'
import { Needles } from '../../core/redact.ts'
import type { Route } from '../../core/route.ts'
import type { SlotUse } from '../../core/scan.ts'
import { headerText, isReadAsOne } from '../../core/slots.ts'
import { parameterText } from '../../core/target-slots.ts'
import type { Caller } from '../../core/words.ts'
import { acceptSearchable } from '../answer/codings.ts'
import type { Fields, RequestHead } from '../wire/message.ts'

/** Whether this connection's credentials hold anything to put in. */
export function takesCredential(route: Route): boolean {
  const { fields, acquire } = route.method
  return acquire !== undefined || fields === 'any' || Object.keys(fields).length > 0
}

/** What is put into one request's head, and what the answer is searched for. */
export interface Injection {
  /** One value for each slot use, in their order. */
  readonly slotValues: readonly string[]
  readonly sets: readonly { readonly name: string; readonly spelled: string; readonly value: string }[]
  /** Lower-case names of everything that is set. */
  readonly names: readonly string[]
  /** Whether one of them has an underscore. */
  readonly underscored: boolean
  /** The connection's own parameters of the query, and their names for the audit. */
  readonly query: readonly FilledParameter[]
  readonly queryNames: readonly string[]
  readonly secrets: ReadonlySet<string>
  readonly needles: Needles | undefined
  /** Holds a secret, and answers are not to be searched for it. */
  readonly unguarded: boolean
}

/** Different heads, and different sets of secrets, remembered for one material; a cache starts anew beyond it. */
const CACHE_LIMIT = 64
/** Characters that a client's part of a kept one has at most, with the values in it: the client chooses how often they stand there. */
const LONGEST_KEPT = 8192
const kept = new WeakMap<Material, Kept>()

interface Kept {
  readonly injections: Map<string, Injection>
  /**
   * By the secrets. A client is free to write something else around its placeholder each time, and a
   * long key costs a tenth of a second to get ready to be searched for.
   */
  readonly needles: Map<string, Needles | undefined>
}

/**
 * The values for these slots and this connection's headers; remembered for a material, so that the
 * next request with the same head costs one look-up. Throws placeholder_unknown, placeholder_not_allowed.
 */
export function injectionFor(
  route: Route,
  uses: readonly SlotUse[],
  material: Material | undefined,
  caller: Caller,
): Injection {
  if (!material) return makeInjection(route, uses, { caller }, { guard: true, needles: new Map() })
  let known = kept.get(material)
  if (!known) {
    known = { injections: new Map(), needles: new Map() }
    kept.set(material, known)
  }
  const { injections, needles } = known
  let key = String(route.connection.version)
  for (const use of uses) key += `\n${use.name}\n${use.text}`
  let injection = injections.get(key)
  if (!injection) {
    const sources = { caller, auth: material.values.reveal() }
    const guard = material.redact !== 'off'
    const base = material.base && route.base
    if (route.volatile) return makeInjection(route, uses, sources, { guard, needles: new Map() }, base)
    injection = makeInjection(route, uses, sources, { guard, needles }, base)
    if (injection.slotValues.reduce((sum, { length }) => sum + length, key.length) > LONGEST_KEPT)
      return injection
    if (injections.size >= CACHE_LIMIT) injections.clear()
    injections.set(key, injection)
  }
  return injection
}

function makeInjection(
  route: Route,
  uses: readonly SlotUse[],
  sources: VariableSources,
  { guard, needles }: { guard: boolean; needles: Kept['needles'] },
  base?: Template,
): Injection {
  const secrets = new Set<string>()
  const collect = (value: string) => secrets.add(value)
  for (const one of sources.auth?.sent ?? []) collect(one)
  // What the target holds is no less a secret that this request carries.
  if (base) fill(base, sources, collect)
  const slotValues = uses.map((use) => {
    if (!use.basic) return fill(use.template, sources, collect, (value, path) => headerText(value, path.text))
    const text = fill(use.template, sources, collect, utf8Text)
    return `Basic ${Buffer.from(text, 'latin1').toString('base64')}`
  })
  const query = fillParameters(route.query, sources, collect, parameterText)
  const sets = route.sets.map(({ name, spelled, template }) => ({
    name,
    spelled,
    value: fill(template, sources, collect, (value, path) => headerText(value, path.text)),
  }))
  const names = [...new Set([...uses.map((use) => use.name), ...sets.map((set) => set.name)])]
  return {
    slotValues,
    sets,
    names,
    underscored: names.some((name) => name.includes('_')),
    query,
    queryNames: route.query.map(({ label }) => `query:${label}`),
    secrets,
    needles: guard ? needlesOf(secrets, needles) : undefined,
    unguarded: !guard && secrets.size > 0,
  }
}

/** What an answer is searched for where the request carries these secrets, an injection's among them. */
export function needlesWith(
  injection: Injection,
  secrets: ReadonlySet<string>,
  material: Material | undefined,
): Needles | undefined {
  if (material?.redact === 'off') return undefined
  if (secrets.size === injection.secrets.size) return injection.needles
  return needlesOf(secrets, (material && kept.get(material)?.needles) ?? new Map())
}

function needlesOf(secrets: ReadonlySet<string>, known: Kept['needles']): Needles | undefined {
  const key = JSON.stringify([...secrets].sort())
  if (known.has(key)) return known.get(key)
  const made = Needles.of(secrets)
  if (known.size >= CACHE_LIMIT) known.clear()
  known.set(key, made)
  return made
}

/**
 * Puts the values into the fields. `uses` were found in these very fields. Spellings of what is set that
 * differ in underscores are dropped, since many upstreams read them as the same header (R8).
 */
export function inject(fields: Fields, uses: readonly SlotUse[], injection: Injection): void {
  for (let i = 0; i < uses.length; i++)
    fields.values[(uses[i] as SlotUse).index] = injection.slotValues[i] as string
  for (const set of injection.sets) fields.set(set.spelled, set.value)
  const { names, underscored } = injection
  for (let i = fields.names.length - 1; i >= 0; i--) {
    const name = fields.names[i] as string
    if ((underscored || name.includes('_')) && !names.includes(name) && isReadAsOne(name, names))
      fields.removeAt(i)
  }
}

/** A signature's edits, made last. */
function applyEdits(fields: Fields, edits: FieldEdits): void {
  for (const name of edits.remove ?? []) fields.delete(name.toLowerCase())
  for (const [name, value] of edits.set) fields.set(name, value)
}

/**
 * Makes a head final, and signs it last; returns what becomes of the body then. An answer that is `searched` is asked
 * for in codings that can be, frames of a WebSocket uncompressed. `body`: undefined where it is not known whole.
 */
export function completeHead(
  head: RequestHead,
  { method, connection }: Route,
  x: {
    searched: boolean
    material: Material | undefined
    body: Buffer | undefined
    now: number
    secure: boolean
  },
): BodyRewrite | undefined {
  if (x.searched) {
    acceptSearchable(head.fields)
    if (head.upgrade !== undefined) head.fields.delete('sec-websocket-extensions')
  }
  if (!x.material || !method.sign) return undefined
  const { now, secure } = x
  const input = { config: connection.methodConfig, values: x.material.values, now, secure }
  const signed = method.sign(input, head, x.body)
  applyEdits(head.fields, signed)
  head.target = signed.target ?? head.target
  return signed.body
}
