import type { IncomingMessage } from 'node:http'
import { openApi, statusOf, takesKey } from '../api/openapi.ts'
import { namedIn, pathWith, ROOT, ROUTES, type Route } from '../api/routes.ts'
import { LocumError } from '../core/errors.ts'
import { type Context, runOperation } from '../operations/operation.ts'
import { type Answer, type AskedHead, readBody } from './asked.ts'
import { callerOf } from './caller.ts'
import { keepAnswer, once, repetitionOf } from './idempotency.ts'
import type { ConsolePages } from './pages.ts'
import { pageOf, takePage } from './paging.ts'
import { bodyOf, queryOf } from './sent.ts'
import { demandTag, tagOf } from './tags.ts'

interface Found {
  readonly route: Route
  /** What the path says. */
  readonly named: Readonly<Record<string, string>>
}

/** What a route is asked with. */
interface Call extends Found {
  readonly context: Context
  readonly asked: AskedHead
  readonly notes: string[]
}

/**
 * Answers what is asked under `ROOT`, behind the console's own guards. Who asks is known before a byte
 * of a body is read. Throws what the operation throws, caller_unauthenticated, not_allowed for a page
 * of another origin, not_found, outdated, conflict, too_large, bad_request.
 */
export async function answerApi(
  pages: ConsolePages,
  request: IncomingMessage,
  asked: AskedHead,
): Promise<Answer> {
  const { path, method } = asked
  if (path === `${ROOT}/openapi.json` && method === 'GET') return json(200, openApi(pages.version))
  const found = ROUTES.flatMap((route) => {
    const named = match(route.path, path)
    return named ? [{ route, named }] : []
  })
  if (found.length === 0) throw new LocumError('not_found', 'There is nothing at this address.')
  const chosen = found.find(({ route }) => route.method === method)
  if (!chosen) return notAllowed(found.map(({ route }) => route.method))
  const caller = await callerOf(pages, asked)
  const notes: string[] = []
  const context: Context = {
    ...pages.using,
    as: caller.principal,
    // Nothing that is asked over HTTP reads this machine's files or environment.
    env: {},
    readFile: () => Promise.reject(new LocumError('not_allowed', 'No file is read for a request.')),
    warn: (line) => notes.push(line),
  }
  const call = { ...chosen, context, asked, notes }
  if (method === 'GET') return read(call)
  const body = await readBody(request, chosen.route.largest)
  const key = asked.headers['idempotency-key']
  if (key === undefined) return write(call, body)
  if (!takesKey(chosen.route))
    throw new LocumError('bad_request', '`Idempotency-Key` means nothing here.', { hint: 'Leave it out.' })
  const repetition = repetitionOf({ key, caller: caller.shown, method, path, body })
  return once(context, repetition, () =>
    write(call, body, (inside, answer) => keepAnswer(inside, repetition, answer)),
  )
}

/** What a path's pattern names in a path; undefined where it is another's. Throws bad_request. */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = `${ROOT}${pattern}`.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const named: Record<string, string> = {}
  for (const [i, part] of wanted.entries()) {
    const [name] = namedIn(part)
    if (name === undefined && part !== given[i]) return undefined
    if (name !== undefined) named[name] = decoded(given[i] as string)
  }
  return named
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new LocumError('bad_request', 'The address is not percent-encoded as it should be.')
  }
}

async function read({ route, named, context, asked, notes }: Call): Promise<Answer> {
  const { operation, keyOf } = route
  const given = queryOf(operation.input, asked.url.searchParams, keyOf !== undefined)
  const page = keyOf && takePage(operation.name, asked.url.searchParams)
  const output = await runOperation(context, operation, { ...given, ...named })
  if (page && keyOf) {
    const { items, next } = pageOf(output as readonly never[], keyOf, page)
    const more = next === undefined ? {} : { next: `${asked.path}?${next}` }
    const answer = json(200, { items, ...more, ...said(notes) })
    return next === undefined ? answer : withHeaders(answer, { Link: `<${more.next}>; rel="next"` })
  }
  const answer = json(200, shapeOf(output, notes))
  if (!route.path.endsWith('}') || Array.isArray(output)) return answer
  const tag = tagOf(output)
  if (asked.headers['if-none-match'] === tag)
    return { ...answer, status: 304, body: '', headers: { ETag: tag } }
  return withHeaders(answer, { ETag: tag })
}

async function write(
  { route, named, context, asked, notes }: Call,
  body: string,
  keep: (inside: Context, answer: Answer) => Promise<void> = async () => {},
): Promise<Answer> {
  const { operation, shows, method } = route
  const given =
    method === 'DELETE' ? queryOf(operation.input, asked.url.searchParams, false) : bodyOf(asked, body)
  const clash = Object.keys(named).find((name) => Object.hasOwn(given, name))
  if (clash !== undefined)
    throw new LocumError('bad_request', `\`${clash}\`: it stands in the address, and nowhere else.`)
  const tag = asked.headers['if-match']
  if (tag !== undefined && !shows)
    throw new LocumError('bad_request', '`If-Match` means nothing here.', { hint: 'Leave it out.' })
  const input = { ...given, ...named }
  let made: Answer | undefined
  await runOperation(context, operation, input, async (inside, work) => {
    if (tag !== undefined && shows) await demandTag(tag, () => shows.run(inside, named))
    const output = await work()
    made = answerOf(route, input, output, notes)
    await keep(inside, made)
    return output
  })
  return made as Answer
}

function answerOf(route: Route, input: Record<string, unknown>, output: unknown, notes: string[]): Answer {
  const status = statusOf(route)
  if (status === 204) return { status, type: 'application/json', body: '' }
  const answer = json(status, shapeOf(output, notes))
  if (route.makes === undefined) return answer
  return withHeaders(answer, { Location: ROOT + pathWith(route.makes, input) })
}

/** What an operation gives as it goes over HTTP, with what one should know. */
function shapeOf(output: unknown, notes: readonly string[]): object {
  return { ...(Array.isArray(output) ? { items: output } : (output as object)), ...said(notes) }
}

function said(notes: readonly string[]): { notes?: readonly string[] } {
  return notes.length > 0 ? { notes } : {}
}

function withHeaders(answer: Answer, headers: Readonly<Record<string, string>>): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

function json(status: number, value: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` }
}

function notAllowed(methods: readonly string[]): Answer {
  const allow = methods.map((one) => (one === 'GET' ? 'GET, HEAD' : one)).join(', ')
  const { body, ...rest } = json(405, {
    ...{ type: 'about:blank', title: 'Method not allowed', status: 405 },
    detail: `Only ${allow} are understood here.`,
  })
  return { ...rest, body, type: 'application/problem+json', headers: { Allow: allow } }
}
