import { LocumError } from '../core/errors.ts'
import { maskText, type Needles } from '../core/redact.ts'
import type { Fields, ResponseHead } from './wire/message.ts'

/** Media that is not searched for echoes. A list is no type: clients disagree on which of it counts. */
const UNSEARCHED = /^(?:image|audio|video)\/[^,]*$/i
const IDENTITY = /^\s*(?:identity)?\s*$/i

/**
 * Whether the body of an answer to a request with a secret is searched for it. Throws
 * upstream_invalid for one that would have to be and cannot, since it is compressed.
 */
export function isSearched(fields: Fields, empty: boolean): boolean {
  if (
    fields.has('content-type') &&
    fields.names.every((name, i) => isMedia(name, fields.values[i] as string))
  )
    return false
  const coded = fields.names.some(
    (name, i) => name === 'content-encoding' && !IDENTITY.test(fields.values[i] as string),
  )
  if (coded && !empty) {
    throw new LocumError(
      'upstream_invalid',
      'The upstream compressed its answer although it was asked not to, so it cannot be searched for secrets.',
    )
  }
  return true
}

function isMedia(name: string, value: string): boolean {
  return name !== 'content-type' || UNSEARCHED.test(value)
}

/** Removes what only Locum itself says to its clients, from a head or from trailers. */
export function removeProxyFields(fields: Fields): void {
  for (let i = fields.size - 1; i >= 0; i--) {
    const name = fields.names[i] as string
    if (!name.startsWith('proxy-')) continue
    const ours = name === 'proxy-status' && /locum/i.test(fields.values[i] as string)
    if (ours || name === 'proxy-authenticate' || name === 'proxy-authentication-info') fields.removeAt(i)
  }
}

/** Makes trailers Locum's own. Returns how many echoes were masked. */
export function ownTrailers(trailers: Fields, needles: Needles | undefined): number {
  removeProxyFields(trailers)
  return needles ? maskFields(needles, trailers) : 0
}

/** Masks the reason phrase and the fields. Returns how many echoes there were. */
export function maskHead(needles: Needles, head: ResponseHead): number {
  let masked = maskFields(needles, head.fields)
  head.reason = maskText(needles, head.reason, (hits) => {
    masked += hits
  })
  return masked
}

/** Masks the values of fields, and their names. Returns how many echoes there were. */
function maskFields(needles: Needles, fields: Fields): number {
  let masked = 0
  const hit = (hits: number) => {
    masked += hits
  }
  for (let i = 0; i < fields.names.length; i++) {
    fields.values[i] = maskText(needles, fields.values[i] as string, hit)
    const spelled = fields.spelled[i] as string
    if (!needles.mayHold(spelled)) continue
    fields.spelled[i] = maskText(needles, spelled, hit)
    fields.names[i] = (fields.spelled[i] as string).toLowerCase()
  }
  return masked
}

/** Whether the body is events that come for as long as somebody listens (HTML Standard §9.2). */
export function isEventStream(fields: Fields): boolean {
  return /^text\/event-stream\b/i.test(fields.get('content-type') ?? '')
}
