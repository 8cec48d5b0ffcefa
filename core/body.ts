import { isUtf8 } from 'node:buffer'
import { checkCharset } from './charset.ts'
import { BODY_TYPES, type BodyRule, compileBody, memberList, objectWriting, placesOf } from './common-body.ts'
import { fillParameters, mergeParameters } from './common-query.ts'
import { LocumError } from './errors.ts'
import { findFields } from './form-slots.ts'
import type { HeadFields } from './heads.ts'
import { decodeString, encodeString, findMembers, findStrings } from './json-slots.ts'
import { boundaryOf, findParts, readMultipart } from './multipart.ts'
import { encodePercent } from './percent.ts'
import { checkCount, findHoles } from './placeholder.ts'
import type { SlotRules } from './slots.ts'
import type { Connection } from './words.ts'
import { type Splice, spliced, spliceOf, type Writing, writingAll } from './writing.ts'

/** What a connection does with bodies. */
export interface BodyRules {
  readonly slots: SlotRules
  readonly common: BodyRule | undefined
}

/** Bodies of which something may be replaced. */
export type BodyKind = 'json' | 'form' | 'multipart' | 'text'

/** A body as it is written anew, from one that was read whole. */
export interface BodyUse extends Writing {
  /** What is written is latin1 text, each character a byte; else UTF-8. */
  readonly latin1: boolean
  /** Where something is put in: `json:/auth/token`, `form:token`, `text`. */
  readonly names: readonly string[]
  /** The Content-Type that it has from now on; undefined: the client's. */
  readonly type: string | undefined
}

/** Methods that get a common body where they have none. */
const BODIED = new Set(['POST', 'PUT', 'PATCH'])
/** Methods whose body, if any, nothing is merged into. */
const UNMERGED = new Set(['GET', 'HEAD'])
const MEDIA_TYPE = /^\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*(?:;|$)/
const IDENTITY = /^\s*(?:identity)?\s*$/i

/** Whether a method's body is merged into, where there is one. */
export function isMerged(method: string): boolean {
  return !UNMERGED.has(method)
}

/** Undefined where bodies pass as they are. Throws bad_request as `compileBody` does. */
export function compileBodyRules({ body }: Connection, slots: SlotRules): BodyRules | undefined {
  const common = body && compileBody(body)
  return common || slots.json.length > 0 || slots.form.size > 0 ? { slots, common } : undefined
}

/**
 * What this request's body has to be read as; undefined where it passes as it is. Throws bad_request
 * where two Content-Types contradict each other or name an odd encoding, or the body is compressed.
 */
export function kindOfBody(
  { slots, common }: BodyRules,
  { method, fields }: { method: string; fields: HeadFields },
  empty: boolean,
): BodyKind | undefined {
  const kind = empty ? kindOfNone(common, method) : kindOfSome(slots, common, method, fields)
  if (kind === undefined) return undefined
  // Where there is none, a type of another kind makes way for the connection's.
  if (kindOfType(fields.get('content-type')) === kind) checkCharset(fields)
  if (
    fields.names.some((name, i) => name === 'content-encoding' && !IDENTITY.test(fields.values[i] as string))
  ) {
    throw new LocumError('bad_request', 'The body is compressed, so nothing can be put into it.', {
      hint: 'Send it without Content-Encoding.',
    })
  }
  return kind
}

function kindOfNone(common: BodyRule | undefined, method: string): BodyKind | undefined {
  return common && BODIED.has(method) ? common.kind : undefined
}

function kindOfSome(
  slots: SlotRules,
  common: BodyRule | undefined,
  method: string,
  fields: HeadFields,
): BodyKind | undefined {
  const kind = kindOfType(contentType(fields))
  if (kind === undefined) return undefined
  if (kind === common?.kind && isMerged(method)) return kind
  if (kind === 'json') return slots.json.length > 0 ? kind : undefined
  return kind !== 'text' && slots.form.size > 0 ? kind : undefined
}

function contentType(fields: HeadFields): string | undefined {
  const first = fields.get('content-type')
  if (fields.names.filter((name) => name === 'content-type').length > 1) {
    throw new LocumError('bad_request', 'The request has more than one Content-Type.')
  }
  return first
}

function kindOfType(type: string | undefined): BodyKind | undefined {
  const essence = type && MEDIA_TYPE.exec(type)?.[1]?.toLowerCase()
  if (!essence) return undefined
  if (essence === 'application/json' || essence.endsWith('+json')) return 'json'
  if (essence === 'application/x-www-form-urlencoded') return 'form'
  if (essence === 'multipart/form-data') return 'multipart'
  return essence === 'text/plain' ? 'text' : undefined
}

/**
 * Finds what is to be put into a body that was read whole; undefined where that is nothing. `fresh`: a
 * boundary that nobody can know. Throws bad_request for a body that is not of its type,
 * placeholder_unknown for a placeholder in a slot that is none.
 */
export function planBody(
  rules: BodyRules,
  kind: BodyKind,
  x: { method: string; fields: HeadFields; bytes: Buffer; fresh: string },
): BodyUse | undefined {
  const common = isMerged(x.method) ? rules.common : undefined
  if (x.bytes.length === 0) {
    return common && BODIED.has(x.method) ? wholeBody(common, x.fields) : undefined
  }
  if (kind === 'json') return planJson(rules.slots, common, x.bytes)
  if (kind === 'form') return planForm(rules.slots, common, x.bytes)
  if (kind === 'multipart') return planMultipart(rules.slots, x.fields.get('content-type') ?? '', x)
  return common?.kind === 'text' ? wholeBody(common, x.fields) : undefined
}

/** The connection's body alone. The client's Content-Type stands where it says the same. */
function wholeBody(common: BodyRule, fields: HeadFields): BodyUse {
  const type = kindOfType(contentType(fields)) === common.kind ? undefined : BODY_TYPES[common.kind]
  const names = namesOf(common)
  if (common.kind === 'text') return { ...common.text, latin1: false, names, type }
  if (common.kind === 'json') return { ...objectWriting(common.members), latin1: false, names, type }
  const merged = formWriting(writingAll(['']), common)
  return { ...merged, latin1: true, names, type }
}

function namesOf(common: BodyRule): string[] {
  return placesOf(common).map(({ name }) => name)
}

function planJson(
  { json, standIns }: SlotRules,
  common: BodyRule | undefined,
  bytes: Buffer,
): BodyUse | undefined {
  const text = jsonText(bytes)
  const names = new Set<string>()
  const splices: Splice[] = []
  if (common?.kind === 'json') {
    const { members } = common
    const { values, end, empty } = findMembers(text, new Set(members.keys()))
    for (const [name, { from, to }] of values) splices.push({ ...(members.get(name) as Writing), from, to })
    const missing = new Map([...members].filter(([name]) => !values.has(name)))
    if (missing.size > 0) {
      splices.push({ ...writingAll([empty ? '' : ',', ...memberList(missing)]), from: end, to: end })
    }
    for (const name of namesOf(common)) names.add(name)
  }
  const replaced = [...splices]
  for (const { name, from, to } of findStrings(text, json)) {
    const { text: decoded, starts } = decodeString(text.slice(from, to))
    const holes = findHoles(decoded, standIns)
    if (holes.length === 0 || replaced.some((splice) => splice.from <= from && to <= splice.to)) continue
    names.add(`json:${name}`)
    for (const hole of holes) {
      const place = starts
        ? { ...hole, from: starts[hole.from] as number, to: starts[hole.to] as number }
        : hole
      splices.push(spliceOf(place, from, encodeString))
    }
  }
  if (splices.length === 0) return undefined
  checkCount(splices.length - replaced.length)
  splices.sort((a, b) => a.from - b.from)
  return { ...spliced(text, splices), latin1: false, names: [...names], type: undefined }
}

/** Throws bad_request for what is not JSON (RFC 8259) in UTF-8, without a byte of it. */
function jsonText(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  try {
    // A mark of the byte order is none of its grammar.
    if (!isUtf8(bytes)) throw new SyntaxError()
    JSON.parse(text)
    return text
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown
    throw new LocumError(
      'bad_request',
      'The body is not valid JSON in UTF-8, although its Content-Type says so.',
    )
  }
}

function planForm(
  { form, standIns }: SlotRules,
  common: BodyRule | undefined,
  bytes: Buffer,
): BodyUse | undefined {
  const text = bytes.toString('latin1')
  const places = findFields(text, form, standIns)
  const slots = places.map(({ name }) => `form:${Buffer.from(name, 'latin1')}`)
  const own = common?.kind === 'form' ? common : undefined
  if (slots.length === 0 && !own) return undefined
  const names = [...new Set([...slots, ...(own ? namesOf(own) : [])])]
  const splices = places.flatMap((place) => place.splices)
  checkCount(splices.length)
  const client = spliced(text, splices)
  return { ...(own ? formWriting(client, own) : client), latin1: true, names, type: undefined }
}

/** The client's values hold no separator any more when the connection's are merged into them. */
function formWriting(client: Writing, { fields }: Extract<BodyRule, { kind: 'form' }>): Writing {
  return {
    write: (sources, collect) =>
      mergeParameters(
        client.write(sources, collect),
        fillParameters(fields, sources, collect, encodePercent),
      ),
    expressions: [...client.expressions, ...fields.flatMap(({ template }) => template.expressions)],
    paths: [...client.paths, ...fields.flatMap(({ template }) => template.paths)],
  }
}

function planMultipart(
  { form, standIns }: SlotRules,
  type: string,
  { bytes, fresh }: { bytes: Buffer; fresh: string },
): BodyUse | undefined {
  const text = bytes.toString('latin1')
  const { boundary, place } = boundaryOf(type)
  const { splices, names } = findParts(text, readMultipart(text, boundary), form, standIns, {
    old: boundary,
    fresh,
  })
  if (splices.length === 0) return undefined
  return {
    ...spliced(text, splices),
    latin1: true,
    names: names.map((name) => `form:${Buffer.from(name, 'latin1')}`),
    type: type.slice(0, place) + fresh + type.slice(place + boundary.length),
  }
}
