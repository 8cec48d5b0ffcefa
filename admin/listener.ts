import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { canonicalHost, parseAuthority } from '../core/destination.ts'
import { asLocumError, CODES, type Code } from '../core/errors.ts'

/** Something that must hold before work is taken: rejects with why it does not. */
export type Check = () => void | Promise<void>

export interface ConsoleOptions {
  /** `HOST:PORT`, an IPv6 host in brackets; port 0 takes any. */
  readonly address: string
  readonly checks: Readonly<Record<string, Check>>
  /** The CA's certificate. */
  readonly caPem: string
  /** Answers `/healthz?challenge=…` with what only this process can (cli/servers.ts). */
  readonly prove?: (challenge: string) => string
  /** The site's public URL: its host is one that requests may name. */
  readonly siteUrl?: string
}

export interface ConsoleListener {
  readonly url: string
  /** Ends idle connections at once and the others with their answer. */
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

/**
 * The console listener: `/healthz`, `/readyz`, `/ca.pem`. Refuses what came through a proxy, and a
 * `Host` that is not its own (R21), so that no name an attacker controls can be made to point here.
 * Rejects with the socket's own error where the address is taken.
 */
export async function serveConsole(options: ConsoleOptions): Promise<ConsoleListener> {
  const { host, port } = readAddress(options.address)
  const names = new Set(['localhost', host])
  if (options.siteUrl !== undefined) names.add(new URL(options.siteUrl).hostname)
  const server = createServer(
    { maxHeaderSize: LARGEST_HEAD, headersTimeout: HEAD_TIMEOUT, requestTimeout: REQUEST_TIMEOUT },
    (request, response) => {
      request.resume()
      void answer(request, options, names).then((given) => send(request, response, given))
    },
  )
  server.keepAliveTimeout = IDLE_TIMEOUT
  server.on('clientError', (_, socket) => refuseUnreadable(socket as Socket))
  server.on('connect', (_, socket) => refuseUnreadable(socket as Socket))
  server.on('upgrade', (_, socket) => refuseUnreadable(socket as Socket))
  await listen(server, host.replace(/^\[|\]$/g, ''), port)
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

function readAddress(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: canonicalHost(text.slice(0, at)) ?? text.slice(0, at), port: Number(text.slice(at + 1)) }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function answer(
  request: IncomingMessage,
  options: ConsoleOptions,
  names: ReadonlySet<string>,
): Promise<Answer> {
  const refused = refuse(request, names)
  if (refused) return refused
  const path = pathOf(request)
  if (path === '/healthz') {
    const challenge = CHALLENGE.exec(request.url ?? '')?.[1]
    const proof = challenge === undefined ? undefined : options.prove?.(challenge)
    const headers: Record<string, string> = proof === undefined ? {} : { 'Locum-Proof': proof }
    return { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n', headers }
  }
  if (path === '/readyz') return readiness(options.checks)
  if (path === '/ca.pem') {
    const headers = { 'Content-Disposition': 'attachment; filename="locum-ca.pem"' }
    return { status: 200, type: 'application/x-pem-file', body: options.caPem, headers }
  }
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
