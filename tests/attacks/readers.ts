/** A request as some reader takes it from bytes. */
export interface ReadRequest {
  readonly line: string
  readonly body: string
}

interface Habits {
  /** A line may end in LF alone. */
  readonly bareLf?: boolean
  /** What a field's name is made of before it is compared. */
  readonly name?: (name: string) => string
  /** Whether a value of Transfer-Encoding means chunks. */
  readonly chunked?: (value: string) => boolean
  /** Which framing counts where both are there. */
  readonly first?: 'coding' | 'length'
  /** Which of several lengths counts. */
  readonly length?: 'first' | 'last'
  /** Whether a GET or DELETE may have a body. */
  readonly bodyless?: boolean
}

const strict = (name: string) => name.toLowerCase()

/** How servers have been seen to read: the standard's way, and the ways in which they depart from it. */
export const READERS: Readonly<Record<string, Habits>> = {
  'by the standard': {},
  'by length before coding': { first: 'length' },
  'by the last length': { first: 'length', length: 'last' },
  'with bare LF': { bareLf: true },
  'with blanks in names': { bareLf: true, name: (name) => name.toLowerCase().trim() },
  'with stray bytes in names': {
    bareLf: true,
    name: (name) => name.toLowerCase().replace(/[^!#$%&'*+\-.^_`|~0-9a-z]/g, ''),
  },
  'with underscores for hyphens': { name: (name) => name.toLowerCase().replaceAll('_', '-') },
  'with any value that holds chunked': { bareLf: true, chunked: (value) => /chunked/i.test(value) },
  'with chunked at the end': { chunked: (value) => /chunked\W*$/i.test(value) },
  'without bodies where none is usual': { bodyless: true },
}

/** Every request in the bytes, until they end or make no sense. */
export function readBy(habits: Habits, bytes: string): ReadRequest[] {
  const requests: ReadRequest[] = []
  let rest = bytes
  while (rest !== '') {
    const taken = takeRequest(habits, rest)
    if (!taken) break
    requests.push(taken.request)
    rest = taken.rest
  }
  return requests
}

function takeRequest(habits: Habits, text: string): { request: ReadRequest; rest: string } | undefined {
  const { bareLf, name: nameOf = strict, first = 'coding', length: which = 'first' } = habits
  const { chunked: isChunked = (value) => value.trim().toLowerCase() === 'chunked' } = habits
  const match = (bareLf ? /\r?\n\r?\n/ : /\r\n\r\n/).exec(text)
  if (!match) return undefined
  const lines = text.slice(0, match.index).split(bareLf ? /\r?\n/ : '\r\n')
  const line = lines.shift() as string
  const lengths: number[] = []
  let coded = false
  for (const one of lines) {
    const colon = one.indexOf(':')
    if (colon < 0) continue
    const name = nameOf(one.slice(0, colon))
    const value = one.slice(colon + 1)
    if (name === 'content-length') lengths.push(Number.parseInt(value, 10) || 0)
    if (name === 'transfer-encoding' && isChunked(value)) coded = true
  }
  const behind = text.slice(match.index + match[0].length)
  if (habits.bodyless && /^(?:GET|HEAD|DELETE|OPTIONS|TRACE) /.test(line))
    return { request: { line, body: '' }, rest: behind }
  const length = which === 'first' ? lengths[0] : lengths.at(-1)
  if (coded && (first === 'coding' || length === undefined)) {
    const body = takeChunks(behind)
    return body && { request: { line, body: body.text }, rest: body.rest }
  }
  const size = length ?? 0
  if (behind.length < size) return undefined
  return { request: { line, body: behind.slice(0, size) }, rest: behind.slice(size) }
}

function takeChunks(text: string): { text: string; rest: string } | undefined {
  let body = ''
  let at = 0
  for (;;) {
    const match = /^([0-9a-f]+)[^\n]*\r?\n/i.exec(text.slice(at, at + 8192))
    if (!match) return undefined
    at += match[0].length
    const size = Number.parseInt(match[1] as string, 16)
    if (size === 0) break
    if (text.length < at + size + 2) return undefined
    body += text.slice(at, at + size)
    at += size + (text.startsWith('\r\n', at + size) ? 2 : 1)
  }
  const end = /^(?:[^\r\n]+\r?\n)*\r?\n/.exec(text.slice(at))
  return end ? { text: body, rest: text.slice(at + end[0].length) } : undefined
}
