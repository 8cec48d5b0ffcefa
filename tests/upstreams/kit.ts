import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import { parseDestination } from '../../core/destination.ts'
import type { Code, LocumError } from '../../core/errors.ts'
import type { Lookup } from '../../proxy/upstreams/addresses.ts'
import type { UpstreamLimits } from '../../proxy/upstreams/limits.ts'
import type { Sending, UpstreamSpec } from '../../proxy/upstreams/spec.ts'
import { Upstreams, type UpstreamsOptions } from '../../proxy/upstreams/upstreams.ts'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import {
  type BodySink,
  type BodySource,
  Fields,
  type RequestHead,
  type Tunnel,
} from '../../proxy/wire/message.ts'

export interface Outcome {
  readonly status?: number
  readonly body?: string
  readonly tunnel?: Tunnel
  readonly code?: Code
  readonly error?: LocumError
}

export const noLookup: Lookup = async (name) => {
  throw new Error(`${name} was looked up`)
}

/** Closed when the test ends. */
export function makeUpstreams(
  t: Pick<Test, 'teardown'>,
  limits: Partial<UpstreamLimits> = {},
  options: Partial<UpstreamsOptions> = {},
): Upstreams {
  const upstreams = new Upstreams({
    connect: (socket) => connectH1(socket),
    lookup: noLookup,
    ownListeners: () => [],
    limits,
    ...options,
  })
  t.teardown(() => upstreams.close())
  return upstreams
}

/** A server on sockets that tells the connections apart. Closed when the test ends. */
export interface RawServer {
  readonly port: number
  readonly sockets: Socket[]
  readonly server: Server
}

/** `head` is called with each whole request head; bodies are not told apart from heads. */
export async function serveRaw(
  t: Pick<Test, 'teardown'>,
  head: (text: string, socket: Socket, connection: number, nth: number) => void,
  host = '127.0.0.1',
  wrap: (listener: (socket: Socket) => void) => Server = (listener) => createServer(listener),
  port = 0,
): Promise<RawServer> {
  const sockets: Socket[] = []
  const server = wrap((socket) => {
    const connection = sockets.push(socket)
    let text = ''
    let nth = 0
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const one = text.slice(0, end + 4)
        text = text.slice(end + 4)
        head(one, socket, connection, ++nth)
      }
    })
  })
  server.on('error', () => {})
  server.listen(port, host)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sockets, server }
}

/** Answers each request with the number of its connection. */
export function answer(socket: Socket, body: string | number, head = 'HTTP/1.1 200 OK'): void {
  const text = String(body)
  socket.write(`${head}\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
}

export function specOf(text: string, extra: Partial<UpstreamSpec> = {}): UpstreamSpec {
  return { key: text, destination: parseDestination(text), allowPrivateNetwork: true, ...extra }
}

export function headOf(method = 'GET', target = '/', extra: Partial<RequestHead> = {}): RequestHead {
  return {
    method,
    target,
    minor: 1,
    host: 'upstream.test',
    fields: new Fields(),
    contentLength: undefined,
    chunked: false,
    upgrade: undefined,
    expectContinue: false,
    ...extra,
  }
}

/** A body of one piece. */
export function bodyOf(text: string): BodySource & { started: number } {
  return {
    empty: false,
    started: 0,
    start(sink: BodySink) {
      this.started++
      sink.write(Buffer.from(text))
      sink.end()
    },
    discard() {},
  }
}

export interface Sent {
  readonly sending: Sending
  readonly outcome: Promise<Outcome>
  /** How often the handler was called. */
  calls: number
}

/** Sends, and reads the whole response. A broken body is `{ status, body: undefined }`. */
export function send(
  upstreams: Upstreams,
  spec: UpstreamSpec,
  head: RequestHead = headOf(),
  body?: BodySource,
): Sent {
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const sent: { sending?: Sending; outcome: Promise<Outcome>; calls: number } = { outcome: promise, calls: 0 }
  sent.sending = upstreams.send(spec, head, body, {
    informational() {
      sent.calls++
    },
    response(response, source) {
      sent.calls++
      const pieces: Buffer[] = []
      source.start({
        ondrain: undefined,
        write(chunk) {
          pieces.push(chunk)
          return true
        },
        end: () => resolve({ status: response.status, body: Buffer.concat(pieces).toString() }),
        abort: () => resolve({ status: response.status }),
      })
    },
    upgraded(response, tunnel) {
      sent.calls++
      resolve({ status: response.status, tunnel })
    },
    failed(error) {
      sent.calls++
      resolve({ code: error.code, error })
    },
  })
  return sent as Sent
}

/** Lets what is due happen until `condition` holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
