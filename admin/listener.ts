import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { parseAuthority } from '../core/destination.ts'
import { asLocumError, CODES, type Code, type LocumError, statusOf } from '../core/errors.ts'
import type { ListenSpec } from '../core/listen.ts'
import { type Bound, bind } from '../listeners/bind.ts'
import { openTls } from '../listeners/tls.ts'
import { type Answer, type Asked, headOf, readAsked } from './asked.ts'
import { html, page } from './html.ts'
import { readableBy } from './origins.ts'
import { type ConsolePages, findPage, HEALTH, METHODS, type Page, type ProcessPages } from './pages.ts'

export interface ConsoleOptions extends ProcessPages {
  readonly at: ListenSpec
  readonly allowPlaintext?: boolean
  /** `public` serves only the pages that are open to people who are no administrators. */
  readonly pages?: 'console' | 'public'
  readonly clock: Clock
  readonly onfault: (error: unknown) => void
  /** The site's public URL: its host is one that requests may name. */
  readonly siteUrl?: string
  /** Pages that people use. */
  readonly people?: ConsolePages
}

export interface ConsoleListener extends Bound {
  /** Ends connections at once, but for those that wait for an answer, with which they end. */
  close(): Promise<void>
}

/** ms for a request's head. */
const HEAD_TIMEOUT = 10_000
/** ms for a whole request: no body here is a large one. */
const REQUEST_TIMEOUT = 15_000
/** ms that an idle connection is kept. */
const IDLE_TIMEOUT = 5_000
/** Bytes of a head. */
const LARGEST_HEAD = 16 * 1024
const BOUNDS = {
  maxHeaderSize: LARGEST_HEAD,
  headersTimeout: HEAD_TIMEOUT,
  requestTimeout: REQUEST_TIMEOUT,
} as const
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const

/**
 * The console listener, with every page (pages.ts); and that for the public, with those that are. Refuses what came through a proxy, and a `Host` that is not its own (R21), so that no
 * name an attacker controls can be made to point here. With a CA of clients it lets in whoever shows a
 * certificate of it, and nobody else. Rejects with bad_request, and with the socket's own error where
 * the address is taken.
 */
export async function serveConsole(options: ConsoleOptions): Promise<ConsoleListener> {
  const { at, clock, onfault, siteUrl } = options
  const which = `listen.${options.pages ?? 'console'}`
  const names = new Set(['localhost'])
  if (at.address.kind === 'tcp') names.add(at.address.host)
  if (siteUrl !== undefined) names.add(new URL(siteUrl).hostname)
  const tls = at.tls && (await openTls(at.tls, { clients: 'required', clock, onfault }))
  const answering = new Set<Promise<void>>()
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const answered = new Promise<void>((resolve) => response.once('close', resolve))
    answering.add(answered)
    void answered.then(() => answering.delete(answered))
    void answer(request, options, names).then((given) => send(request, response, given))
  }
  const server = tls ? createTlsServer({ ...tls.options, ...BOUNDS }, handle) : createServer(BOUNDS, handle)
  server.keepAliveTimeout = IDLE_TIMEOUT
  server.on('clientError', (_, socket) => refuseUnreadable(socket as Socket))
  server.on('connect', (_, socket) => refuseUnreadable(socket as Socket))
  server.on('upgrade', (_, socket) => refuseUnreadable(socket as Socket))
  const bound = await bind(server, at, { which, allowPlaintext: options.allowPlaintext ?? false })
  server.on('error', onfault)
  const attended = server instanceof TlsServer ? tls?.attend(server) : undefined
  return {
    ...bound,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      attended?.dropHandshakes()
      server.closeIdleConnections()
      await Promise.all(answering)
      // Whoever sends half a head holds nobody up.
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  request: IncomingMessage,
  options: ConsoleOptions,
  names: ReadonlySet<string>,
): Promise<Answer> {
  try {
    const refused = refuse(request, names)
    if (refused) return refused
    const found = findPage(pathOf(request))
    if (!found && options.people && options.pages !== 'public' && isOfApi(pathOf(request))) {
      // With the operations, which only whoever asks for them waits for.
      const { answerApi } = await import('./api.ts')
      return await answerApi(options.people, request, headOf(request, ''))
    }
    if (!found || (!found.page.isPublic && options.pages === 'public'))
      return problem(404, 'Not found', 'There is nothing at this address.')
    const { page, name } = found
    const handle = page[request.method === 'HEAD' ? 'GET' : (request.method as 'GET')]
    if (!handle) {
      const allow = METHODS.filter((one) => page[one])
        .map((one) => (one === 'GET' ? 'GET, HEAD' : one))
        .join(', ')
      return {
        ...problem(405, 'Method not allowed', `Only ${allow} are understood here.`),
        headers: { Allow: allow },
      }
    }
    const asked = await readAsked(request, name)
    try {
      return await readable(page, options, asked, await handle(options, asked))
    } catch (thrown) {
      const refused = refusalOf(asLocumError(thrown), page.forPeople ?? false, options.onfault)
      return await readable(page, options, asked, refused)
    }
  } catch (thrown) {
    return refusalOf(asLocumError(thrown), false, options.onfault)
  } finally {
    request.resume()
  }
}

/** An answer, or a refusal, with what a page needs to read it. */
async function readable(
  { forPages }: Pick<Page, 'forPages'>,
  { people }: ConsoleOptions,
  { origin }: Asked,
  answered: Answer,
): Promise<Answer> {
  if (!forPages) return answered
  return { ...answered, headers: { ...answered.headers, ...(await readableBy(people, origin)) } }
}

function isOfApi(path: string): boolean {
  return path.startsWith('/api/v1/')
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] as string
}

function refuse(request: IncomingMessage, names: ReadonlySet<string>): Answer | undefined {
  const fields = request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
  const throughProxy = fields.some((name) => name === 'via' || /^(?:proxy|locum)-/.test(name))
  if (throughProxy || !request.url?.startsWith('/')) {
    return refusal('not_allowed', 'The console is not reached through a proxy.')
  }
  if (fields.filter((name) => name === 'host').length !== 1) {
    return refusal('bad_request', 'A request names its host once.')
  }
  if (!HEALTH.includes(pathOf(request)) && !isOwnName(request.headers.host ?? '', names)) {
    return refusal('authority_mismatch', 'This is not a name of the console.')
  }
  return undefined
}

/** Its own address, the site's public name, or loopback, which no DNS name can pretend to be. */
function isOwnName(host: string, names: ReadonlySet<string>): boolean {
  const named = parseAuthority(host)?.host
  return named !== undefined && (names.has(named) || named === '[::1]' || /^127(?:\.\d+){3}$/.test(named))
}

function refusal(code: Code, detail: string): Answer {
  const { status, title } = CODES[code]
  return problem(status, title, detail, code)
}

function problem(status: number, title: string, detail: string, code?: Code, more: object = {}): Answer {
  const body = JSON.stringify({ type: 'about:blank', title, status, code, detail, ...more })
  return { status, type: 'application/problem+json', body: `${body}\n` }
}

/** What a page could not do: as a page, where people look at it. */
function refusalOf(error: LocumError, forPeople: boolean, onfault: (error: unknown) => void): Answer {
  const { code, detail, hint, authorizeUrl } = error
  if (code === 'internal') onfault(error.cause ?? error)
  const { title } = CODES[code]
  const status = statusOf(code, 'gateway')
  if (forPeople) {
    const lines = html`<p class="problem" role="alert">${detail}</p>${hint === undefined ? undefined : html`<p>${hint}</p>`}<p class="note">${code}</p>`
    return page(title, lines, { status })
  }
  return problem(status, title, detail, code, { hint, authorizeUrl })
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Answer,
): void {
  response.writeHead(status, {
    ...HEADERS,
    // Of what has no body nothing is told (RFC 9110 §8.6).
    ...(status === 204 || status === 304
      ? {}
      : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }),
    ...(headers as OutgoingHttpHeaders),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function refuseUnreadable(socket: Socket): void {
  socket.on('error', () => socket.destroy())
  if (!socket.writable) return void socket.destroy()
  socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  // Its client may never close its side.
  socket.destroySoon()
}
