import { maskText, type Needles } from '../../core/redact.ts'
import type { Fields, ResponseHead } from '../wire/message.ts'

/** Media that is not searched for echoes, but for what is text all the same: image/svg+xml. */
const UNSEARCHED = /^(?:image|audio|video)\/(?![^;]*\+(?:xml|json))[^,]*$/i
const PARTIAL = 206

/** Why an answer to a request with a secret was not searched, or not all of what it is a part of. */
export type Unsearched = 'off' | 'media' | 'partial'

/** Whether all there is of the type says media. A list is no type: clients disagree on which of it counts. */
export function isMedia({ names, values }: Fields): boolean {
  let media = false
  for (let i = 0; i < names.length; i++) {
    if (names[i] !== 'content-type') continue
    if (!UNSEARCHED.test(values[i] as string)) return false
    media = true
  }
  return media
}

/** Whether it is a part of something, whose edges may cut a secret in two. */
export function isPartial({ status }: ResponseHead): boolean {
  return status === PARTIAL
}

/** Digests of bytes that the client will not get (RFC 9530, RFC 3230, RFC 1864). */
const DIGESTS = ['content-digest', 'repr-digest', 'digest', 'content-md5']

/** Makes the head, and trailers, of a coded body those of the same body unpacked and masked. */
export function unpackedHead(head: ResponseHead, trailers: Fields | undefined): void {
  const { fields } = head
  fields.delete('content-encoding')
  for (const name of DIGESTS) {
    fields.delete(name)
    trailers?.delete(name)
  }
  head.contentLength = undefined
  // Other bytes need another strong validator (RFC 9110 §8.8.1), and are not to be asked for in parts.
  const etag = fields.get('etag')
  if (etag?.startsWith('"')) fields.set('ETag', `W/${etag}`)
  if (fields.has('accept-ranges')) fields.set('Accept-Ranges', 'none')
}

/** Removes what only Locum itself says to its clients, from a head or from trailers. */
export function removeProxyFields(fields: Fields): void {
  for (let i = fields.size - 1; i >= 0; i--) {
    const name = fields.names[i] as string
    if (!name.startsWith('proxy-') && !name.startsWith('locum-')) continue
    const ours =
      name.startsWith('locum-') || (name === 'proxy-status' && /locum/i.test(fields.values[i] as string))
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
