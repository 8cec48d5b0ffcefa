import { LocumError } from '../core/errors.ts'

/** Items of a page unless told, and at most. */
const USUAL = 100
const MOST = 500

/** Which part of a list is asked for. */
interface Page {
  readonly list: string
  readonly limit: number
  /** The key of the last item of the page before. */
  readonly after: string | undefined
}

/** Takes `limit` and `cursor`. Throws bad_request for a cursor of another list. */
export function takePage(list: string, query: URLSearchParams): Page {
  const limit = query.get('limit') ?? String(USUAL)
  if (!/^[1-9]\d{0,2}$/.test(limit) || Number(limit) > MOST)
    throw new LocumError('bad_request', `\`limit\`: expected a whole number, 1 to ${MOST}.`)
  const cursor = query.get('cursor')
  return { list, limit: Number(limit), after: cursor === null ? undefined : afterOf(list, cursor) }
}

/** A cursor says behind which item to go on, so that what is added or removed meanwhile moves nothing else. */
function cursorOf(list: string, key: string): string {
  return Buffer.from(JSON.stringify([list, key]), 'utf8').toString('base64url')
}

function afterOf(list: string, cursor: string): string {
  try {
    const [of, key] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (of === list && typeof key === 'string' && cursorOf(list, key) === cursor) return key
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError || thrown instanceof TypeError)) throw thrown
  }
  throw new LocumError('bad_request', '`cursor`: it is none of this list.', {
    hint: 'Follow `next` as it stands, or begin again without one.',
  })
}

/** The items of a page in the order of their keys; `next` is the query of the one behind it. */
export function pageOf<T>(
  all: readonly T[],
  keyOf: (item: T) => string,
  { list, limit, after }: Page,
): { items: readonly T[]; next: string | undefined } {
  const sorted = all
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => after === undefined || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  const page = sorted.slice(0, limit)
  const last = page.at(-1)
  const next =
    last && sorted.length > limit
      ? new URLSearchParams({ limit: String(limit), cursor: cursorOf(list, last.key) }).toString()
      : undefined
  return { items: page.map(({ item }) => item), next }
}
