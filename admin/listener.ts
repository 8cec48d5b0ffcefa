import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { parseAuthority } from '../core/destination.ts'
import { asLocumError, CODES, type Code } from '../core/errors.ts'
import type { ListenSpec } from '../core/listen.ts'
import { type Bound, bind } from '../listeners/bind.ts'
import { openTls } from '../listeners/tls.ts'

/** Something that must hold before work is taken: rejects with why it does not. */
export type Check = () => void | Promise<void>

export interface ConsoleOptions {
  readonly at: ListenSpec
  readonly allowPlaintext?: boolean
  /** `public` serves only the pages that are open to people who are no administrators. */
  readonly pages?: 'console' | 'public'
  readonly clock: Clock
  readonly onfault: (error: unknown) => void
  readonly checks: Readonly<Record<string, Check>>
  /** The CA's certificate. */
  readonly caPem: string
  /** Answers `/healthz?challenge=…` with what only this process can (cli/servers.ts). */
  readonly prove?: (challenge: string) => string
  /** The site's public URL: its host is one that requests may name. */
  readonly siteUrl?: string
}

export interface ConsoleListener extends Bound {
  /** Ends connections at once, but for those that wait for an answer, with which they end. */
  close(): Promise<void>
}

/** ms for a request's head. */
const HEAD_TIMEOUT = 10_000
/** ms for a whole request: none here has a body worth waiting for. */
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
/** ms that a check may take before it counts as failed. */
const CHECK_TIMEOUT = 2_000

const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const

/** Asked by load balancers and container platforms, under whatever name they know. */
const HEALTH = ['/healthz', '/readyz']

const CHALLENGE = /\?challenge=([0-9a-f]{64})$/

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What a path answers. One entry here is one page. */
interface Page {
  /** On the address for the public too. */
  readonly isPublic: boolean
  answer(options: ConsoleOptions, url: string): Answer | Promise<Answer>
}

const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  [
    '/healthz',
    {
      isPublic: true,
      answer({ prove }, url) {
        const challenge = CHALLENGE.exec(url)?.[1]
        const proof = challenge === undefined ? undefined : prove?.(challenge)
        const headers: Record<string, string> = proof === undefined ? {} : { 'Locum-Proof': proof }
        return { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n', headers }
      },
    },
  ],
  ['/readyz', { isPublic: false, answer: ({ checks }) => readiness(checks) }],
  [
    '/ca.pem',
    {
      isPublic: false,
      answer: ({ caPem }) => ({
        status: 200,
        type: 'application/x-pem-file',
        body: caPem,
        headers: { 'Content-Disposition': 'attachment; filename="locum-ca.pem"' },
      }),
    },
  ],
])

/**
 * The console listener: `/healthz`, `/readyz`, `/ca.pem`; and that for the public, with those of its
 * pages that are. Refuses what came through a proxy, and a `Host` that is not its own (R21), so that no
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
    request.resume()
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
  const refused = refuse(request, names)
  if (refused) return refused
  const page = PAGES.get(pathOf(request))
  if (page && (page.isPublic || options.pages !== 'public')) return page.answer(options, request.url ?? '')
  return problem(404, 'Not found', 'There is nothing at this address.')
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
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return {
      ...problem(405, 'Method not allowed', 'Only GET and HEAD are understood here.'),
      headers: { Allow: 'GET, HEAD' },
    }
  }
  return undefined
}

/** Its own address, the site's public name, or loopback, which no DNS name can pretend to be. */
function isOwnName(host: string, names: ReadonlySet<string>): boolean {
  const named = parseAuthority(host)?.host
  return named !== undefined && (names.has(named) || named === '[::1]' || /^127(?:\.\d+){3}$/.test(named))
}

/** 200 where every check holds; 503 and which does not. */
async function readiness(checks: Readonly<Record<string, Check>>): Promise<Answer> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await outcome(check)] as const),
  )
  const ready = results.every(([, result]) => result === 'ok')
  const body = { status: ready ? 'ready' : 'not ready', checks: Object.fromEntries(results) }
  return { status: ready ? 200 : 503, type: 'application/json', body: `${JSON.stringify(body)}\n` }
}

/** `ok`, `timeout`, or the code of what the check threw. */
async function outcome(check: Check): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT, 'timeout')
  })
  const checked = (async () => check())().then(
    () => 'ok',
    (error: unknown) => asLocumError(error).code,
  )
  const result = await Promise.race([checked, late])
  clearTimeout(timer)
  return result
}

function refusal(code: Code, detail: string): Answer {
  const { status, title } = CODES[code]
  return problem(status, title, detail, code)
}

function problem(status: number, title: string, detail: string, code?: Code): Answer {
  const body = JSON.stringify({ type: 'about:blank', title, status, code, detail })
  return { status, type: 'application/problem+json', body: `${body}\n` }
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Answer,
): void {
  response.writeHead(status, {
    ...HEADERS,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    ...headers,
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
