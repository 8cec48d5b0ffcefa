import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { issue, selfSigned } from './certificates.ts'
import type { Goal } from './raw.ts'
import type { Teardown } from './site.ts'
import { replying, resetUnder, startBytes, upstreamCa } from './upstream.ts'

/** What a client sees: a refusal, an answer that is not whole, or a whole one; and the outcome in the audit. */
export type Seen = { status: number; code: string } | { broken: true; code: string } | { body: string }

/** Everything that an upstream does wrong: as one of twelve faults, in words, and what comes of it. */
export const FAULTS: Readonly<Record<string, { fault: string; does: string; seen: Seen }>> = {
  refuse: { fault: 'refuse', does: 'nobody listens', seen: { status: 502, code: 'upstream_unreachable' } },
  'reset-before-head': {
    fault: 'reset before the head',
    does: 'resets once it was asked',
    seen: { status: 502, code: 'upstream_unreachable' },
  },
  'reset-within-head': {
    fault: 'reset within the head',
    does: 'resets in the middle of its head',
    seen: { status: 502, code: 'upstream_unreachable' },
  },
  'reset-within-body': {
    fault: 'reset within the body',
    does: 'resets in the middle of a body by length',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'reset-within-chunks': {
    fault: 'reset within the body',
    does: '… of a body in chunks',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'reset-before-close': {
    fault: 'reset within the body',
    does: '… of a body that ends with the connection',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'stall-before-head': {
    fault: 'stall',
    does: 'says nothing',
    seen: { status: 504, code: 'upstream_timeout' },
  },
  'stall-within-head': {
    fault: 'stall',
    does: 'stops in its head',
    seen: { status: 504, code: 'upstream_timeout' },
  },
  'stall-within-body': {
    fault: 'stall',
    does: 'stops in its body',
    seen: { broken: true, code: 'upstream_timeout' },
  },
  'truncate-length': {
    fault: 'truncate',
    does: 'ends before its length',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'truncate-chunks': {
    fault: 'truncate',
    does: 'ends before its last chunk',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'garbage-at-once': {
    fault: 'garbage',
    does: 'speaks no HTTP',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'garbage-in-head': {
    fault: 'garbage',
    does: 'has a name that is none in its head',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'garbage-in-chunks': {
    fault: 'garbage',
    does: 'has a chunk that is none',
    seen: { broken: true, code: 'upstream_invalid' },
  },
  'framed-twice': {
    fault: 'garbage',
    does: 'frames its body in two ways',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'two-lengths': {
    fault: 'garbage',
    does: 'says two lengths',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'version-2': {
    fault: 'garbage',
    does: 'says another version',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'too-long': {
    fault: 'too long',
    does: 'has a head of 70,000 bytes',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'too-many': {
    fault: 'too long',
    does: 'has a head of 300 lines',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'half-close': {
    fault: 'half-close',
    does: 'ends its side once it was asked',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'half-close-in-head': {
    fault: 'half-close',
    does: 'ends its side in its head',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'flood-of-1xx': {
    fault: '1xx flood',
    does: 'says 200 interim heads',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'unasked-101': {
    fault: '1xx flood',
    does: 'changes the protocol unasked',
    seen: { status: 502, code: 'upstream_invalid' },
  },
  'more-than-said': { fault: 'too long', does: 'says more than its length', seen: { body: 'ok' } },
  'another-name': {
    fault: 'wrong certificate',
    does: 'shows the certificate of another name',
    seen: { status: 502, code: 'upstream_tls' },
  },
  'nobody-vouches': {
    fault: 'wrong certificate',
    does: 'shows one that nobody vouches for',
    seen: { status: 502, code: 'upstream_tls' },
  },
  expired: {
    fault: 'wrong certificate',
    does: 'shows one that has ended',
    seen: { status: 502, code: 'upstream_tls' },
  },
  'no-tls': {
    fault: 'wrong certificate',
    does: 'speaks no TLS',
    seen: { status: 502, code: 'upstream_tls' },
  },
  early: { fault: 'early response', does: 'answers before the body came', seen: { body: 'early' } },
}

const OK = 'HTTP/1.1 200 OK\r\n'
const REAL_BODY = 'x'.repeat(40)

/** What an upstream does to a request, by the last step of its path. Headers that were said may already be on their way. */
const DEEDS: Readonly<Record<string, (socket: Socket) => string | undefined>> = {
  'reset-before-head': (socket) => after(socket, resetUnder),
  'reset-within-head': (socket) => after(socket, resetUnder, `${OK}Content-Le`),
  'reset-within-body': (socket) => after(socket, resetUnder, `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`),
  'reset-within-chunks': (socket) =>
    after(socket, resetUnder, `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\n`),
  'reset-before-close': (socket) =>
    after(socket, resetUnder, `${OK}Content-Type: text/plain\r\n\r\n${REAL_BODY}`),
  'stall-before-head': () => undefined,
  'stall-within-head': () => `${OK}Content-Le`,
  'stall-within-body': () => `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`,
  'truncate-length': (socket) => after(socket, end, `${OK}Content-Length: 100\r\n\r\n${REAL_BODY}`),
  'truncate-chunks': (socket) =>
    after(socket, end, `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\n`),
  'garbage-at-once': () => '\x16\x03\x01 this is not HTTP\r\n\r\n',
  'garbage-in-head': () => `${OK}Content-Length: 2\r\nBad Name: x\r\n\r\nok`,
  'garbage-in-chunks': () => `${OK}Transfer-Encoding: chunked\r\n\r\n28\r\n${REAL_BODY}\r\nzz\r\n`,
  'framed-twice': () => `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'two-lengths': () => `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`,
  'version-2': () => 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'too-long': () => `${OK}X-Long: ${'x'.repeat(70_000)}\r\n\r\n`,
  'too-many': () => `${OK}${'X: y\r\n'.repeat(300)}\r\n`,
  'half-close': (socket) => after(socket, end),
  'half-close-in-head': (socket) => after(socket, end, `${OK}Content-Le`),
  'flood-of-1xx': () => 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(200),
  'unasked-101': () =>
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  early: () => `${OK}Content-Length: 5\r\n\r\nearly`,
  'more-than-said': () => `${OK}Content-Length: 2\r\n\r\nok and a second response`,
}

function end(socket: Socket): void {
  socket.end()
}

/** Says something, and does the deed once that is out. */
function after(socket: Socket, deed: (socket: Socket) => void, text = ''): undefined {
  socket.write(text, () => setImmediate(deed, socket))
}

/** Upstreams at which requests go wrong: `goalOf` says where, the last step of the path is the fault's name. */
export interface FaultProxy {
  /** PEM of the CA that is to be trusted. */
  readonly ca: string
  /** Connections that are needed, by their names. */
  readonly origins: Readonly<Record<string, string>>
  goalOf(name: string): Goal
  /** Connections that are open at the upstream which speaks TLS and HTTP, after its fashion. */
  readonly open: number
}

const DAY = 24 * 3_600_000

/** On free ports, until the test ends. */
export async function startFaults(t: Teardown): Promise<FaultProxy> {
  const faulty = await startBytes(
    t,
    replying((head, socket) => DEEDS[head.split(' ')[1]?.split('/').at(-1) as string]?.(socket)),
  )
  const silent = () => {}
  const ca = await upstreamCa()
  const ended = { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) }
  const elsewhere: Record<string, { authority: string }> = {
    'another-name': await startBytes(t, silent, { leaf: await issue(ca, ['other.localhost']) }),
    'nobody-vouches': await startBytes(t, silent, { leaf: await selfSigned(['localhost']) }),
    expired: await startBytes(t, silent, { leaf: await issue(ca, ['localhost'], ended) }),
    'no-tls': await startBytes(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), { tls: false }),
    refuse: await closedPort(),
  }
  const goalOf = (name: string): Goal => {
    const authority = elsewhere[name]?.authority
    return authority === undefined
      ? { name: 'faulty', origin: faulty.origin, authority: faulty.authority }
      : { name, origin: `https://${authority}`, authority }
  }
  return {
    ca: ca.cert,
    origins: Object.fromEntries(
      ['faulty', ...Object.keys(elsewhere)].map((name) => [name, goalOf(name).origin]),
    ),
    goalOf,
    get open() {
      return faulty.open
    },
  }
}

/** Where nobody listens. */
async function closedPort(): Promise<{ authority: string }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return { authority: `localhost:${port}` }
}
