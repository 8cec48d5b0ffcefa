import { LocumError } from '../../core/errors.ts'
import type { Fields, ResponseHead } from '../wire/message.ts'
import { isPartial } from './head.ts'

/** A content coding that can be taken off to be searched (RFC 9110 §8.4.1, RFC 7932, RFC 9659). */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** Codings on top of each other: nobody honest uses more than one. */
const MOST = 3
const NAMES: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
])
const NONE: readonly Coding[] = []

/**
 * Of a body that is searched, in the order in which they were put on. Throws upstream_invalid for one that
 * is not known, for too many, and for a part of something that was coded as a whole.
 */
export function codingsOf(head: ResponseHead): readonly Coding[] {
  const { fields } = head
  if (!fields.has('content-encoding')) return NONE
  const codings: Coding[] = []
  // Not split as a whole: a head has room for thirty thousand of them.
  const listed = fields.all('content-encoding').join(',').toLowerCase()
  for (let from = 0; from <= listed.length; ) {
    const comma = listed.indexOf(',', from)
    const end = comma < 0 ? listed.length : comma
    const name = listed.slice(from, end).trim()
    from = end + 1
    if (name === '' || name === 'identity') continue
    const coding = NAMES.get(name)
    if (coding === undefined) {
      throw new LocumError(
        'upstream_invalid',
        'The upstream coded its answer in a way that cannot be searched for secrets.',
        { hint: 'gzip, deflate, br and zstd can.' },
      )
    }
    if (codings.length === MOST) {
      throw new LocumError('upstream_invalid', `The upstream coded its answer more than ${MOST} times.`)
    }
    codings.push(coding)
  }
  if (codings.length > 0 && isPartial(head)) {
    throw new LocumError(
      'upstream_invalid',
      'The upstream answered with a part of something compressed, which cannot be searched for secrets.',
    )
  }
  return codings
}

/** Values that were seen before, while they are short: programs have few. */
const known = new Map<string, string>()
const KNOWN_LIMIT = 256
const KNOWN_LENGTH = 128

/**
 * Leaves in Accept-Encoding what can be searched. Without the field it stays so, and servers then send
 * no coding; where nothing is left, none is asked for. With a Range none is, either.
 */
export function acceptSearchable(fields: Fields): void {
  if (fields.has('range')) {
    // A part of something compressed could not be searched.
    fields.set('Accept-Encoding', 'identity')
    return
  }
  const at = fields.names.indexOf('accept-encoding')
  if (at < 0) return
  const asked =
    fields.names.indexOf('accept-encoding', at + 1) < 0 ? (fields.values[at] as string) : undefined
  const value = asked ?? fields.all('accept-encoding').join(', ')
  let left = known.get(value)
  if (left === undefined) {
    left = searchable(value)
    if (known.size >= KNOWN_LIMIT) known.clear()
    if (value.length <= KNOWN_LENGTH) known.set(value, left)
  }
  if (left !== asked) fields.set('Accept-Encoding', left)
}

function searchable(value: string): string {
  const all = value.split(',').map((one) => one.trim())
  const kept = all.filter((one) => {
    const name = (one.split(';', 1)[0] as string).trim().toLowerCase()
    return name === 'identity' || NAMES.has(name)
  })
  if (kept.length === all.length) return value
  return kept.length === 0 ? 'identity' : kept.join(', ')
}
