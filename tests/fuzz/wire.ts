import { type Duplex, duplexPair } from 'node:stream'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { serveH1 } from '../../proxy/wire/h1/server.ts'
import {
  type BodySink,
  Fields,
  type RequestHead,
  type ServerExchange,
  type WireError,
} from '../../proxy/wire/message.ts'
import { Broken, type Fuzzer } from './engine.ts'
import { METHODS, type Request, readRequests } from './llhttp.ts'
import type { Random } from './random.ts'
import { REQUESTS, WORDS } from './requests.ts'

/** Turns of the event loop after which a connection that has nothing left to read has hung. */
const TURNS = 2000

/** A request that was taken, and what of it went upstream: nothing where that is no path. */
interface Taken {
  readonly head: RequestHead
  readonly fields: Fields
  body: string
  trailers: Fields | undefined
  /** Its body came to its end. */
  whole: boolean
  sent: Buffer
}

/** A relay without sockets: what a client sends in pieces, through the server's side and out of the client's. */
export const wire: Fuzzer = {
  name: 'wire',
  promise:
    'what is taken goes on as one request, which llhttp reads as the same; whatever else comes, nothing crashes or hangs',
  corpus: REQUESTS.map((text) => text.replaceAll('HOST', 'a:80')),
  words: WORDS.map((text) => text.replaceAll('HOST', 'a:80')),
  share: 30,
  together: 8,
  async attempt(input, random) {
    const taken = await relay(input, random)
    compareIn(input, taken)
    for (const one of taken) compareOut(one)
    return taken.some(({ whole, sent }) => whole && sent.length > 0)
  },
}

async function relay(input: string, random: Random): Promise<Taken[]> {
  const taken: Taken[] = []
  const [near, far] = duplexPair()
  const handle = serveH1(near, null, {
    request: (x) => pass(x, taken),
    malformed: () => ({ head: answer(400), body: 'no' }),
  })
  let closed = false
  handle.onclose = () => {
    closed = true
  }
  far.on('error', () => {})
  far.resume()
  for (const piece of cut(input, random)) far.write(piece)
  far.end()
  // Where it was taken over by a tunnel there is nobody left to end it.
  for (let turn = 0; !closed; turn++) {
    if (turn > TURNS) throw new Broken('the connection hangs')
    await new Promise((resolve) => setImmediate(resolve))
  }
  far.destroy()
  near.destroy()
  await new Promise((resolve) => setImmediate(resolve))
  return taken
}

function pass(x: ServerExchange<null>, taken: Taken[]): void {
  const one: Taken = {
    head: { ...x.head },
    fields: x.head.fields.copy(),
    body: '',
    trailers: undefined,
    whole: x.body.empty,
    sent: Buffer.alloc(0),
  }
  taken.push(one)
  // What goes upstream is a path: that much is made sure of behind the wire.
  if (!x.head.target.startsWith('/') || x.head.method === 'CONNECT')
    return x.sendWhole(answer(400), 'no path')
  const [near, far] = duplexPair()
  const connection = connectH1(near)
  answering(far, one)
  x.onabort = () => connection.destroy()
  const watched = {
    empty: x.body.empty,
    start: (sink: BodySink) => x.body.start(watch(sink, one)),
    discard: () => x.body.discard(),
  }
  try {
    connection.send(x.head, x.body.empty ? undefined : watched, {
      informational: (head) => x.sendInformational(head),
      response: (head, body) => body.start(x.sendHead(head)),
      upgraded: () => connection.destroy(),
      failed: (fault) => x.sendWhole(answer(502), fault.fault),
    })
  } catch (fault) {
    connection.destroy()
    x.sendWhole(answer(400), (fault as WireError).fault)
  }
}

/** Notes what goes into a body's sink. */
function watch(sink: BodySink, one: Taken): BodySink {
  return {
    get ondrain() {
      return sink.ondrain
    },
    set ondrain(drained) {
      sink.ondrain = drained
    },
    write(chunk) {
      one.body += chunk.toString('latin1')
      return sink.write(chunk)
    },
    end(trailers) {
      one.whole = true
      one.trailers = trailers?.copy()
      sink.end(trailers)
    },
    abort(fault) {
      sink.abort(fault)
    },
  }
}

/** An upstream that answers each request once it is whole, as llhttp reads it. */
function answering(far: Duplex, one: Taken): void {
  let answered = 0
  let continued = false
  far.on('error', () => {})
  far.on('data', (chunk: Buffer) => {
    one.sent = Buffer.concat([one.sent, chunk])
    const { messages } = readRequests(one.sent)
    if (!continued && one.head.expectContinue && messages.length > 0) {
      continued = true
      far.write('HTTP/1.1 100 Continue\r\n\r\n')
    }
    const whole = messages.filter((message) => message.whole || message.upgrade).length
    // A method that llhttp does not know is read by nobody here.
    const ended = METHODS.has(one.head.method) ? whole : one.sent.includes('\r\n\r\n') ? 1 : 0
    for (; answered < ended; answered++) far.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
}

function answer(status: number) {
  return { status, reason: 'Because', fields: new Fields(), contentLength: undefined }
}

/** Throws Broken where llhttp reads another row of requests in what the client sent than was taken. */
function compareIn(input: string, taken: readonly Taken[]): void {
  const { messages, fault } = readRequests(Buffer.from(input, 'latin1'))
  for (const [i, { head, body, whole, sent }] of taken.entries()) {
    if (!METHODS.has(head.method)) return
    const message = messages[i] as Request | undefined
    // Which other targets there are is not for the wire to say.
    if (!message && !head.target.startsWith('/')) return
    if (!message) throw new Broken(`${head.method} ${head.target} is taken, where llhttp reads none`)
    if (message.method !== head.method || message.target !== head.target)
      throw new Broken(`${head.method} ${head.target} is taken for ${message.method} ${message.target}`)
    // Behind it llhttp reads no more.
    if (message.upgrade) return
    if (!whole || sent.length === 0) continue
    // It refuses some trailers that are left out here.
    const refused = fault !== undefined && !message.whole && head.chunked && body.startsWith(message.body)
    if (refused) return
    if (!message.whole || message.body !== body)
      throw new Broken(`body ${JSON.stringify(body)} is taken for ${JSON.stringify(message.body)}`)
  }
}

/** Throws Broken where llhttp reads anything but the request that was taken in what went upstream. */
function compareOut({ head, fields, body, trailers, whole, sent }: Taken): void {
  if (sent.length === 0 || !METHODS.has(head.method)) return
  const { messages, fault } = readRequests(sent)
  const shown = () => JSON.stringify(sent.toString('latin1').slice(0, 600))
  if (messages.length !== 1) throw new Broken(`${messages.length} requests for one: ${shown()}`)
  const [message] = messages as [(typeof messages)[0]]
  const upgraded = message.upgrade
  if (fault !== undefined && !upgraded) throw new Broken(`llhttp says ${fault}: ${shown()}`)
  if (message.method !== head.method || message.target !== head.target)
    throw new Broken(`${message.method} ${message.target} for ${head.method} ${head.target}`)
  const framing = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'expect'])
  const got = message.fields.filter(([name]) => !framing.has(name))
  const meant = fields.names.map((name, i) => [name, fields.values[i] as string])
  if (JSON.stringify(got) !== JSON.stringify(meant))
    throw new Broken(`fields ${JSON.stringify(got)} for ${JSON.stringify(meant)}`)
  const hosts = message.fields.filter(([name]) => name === 'host')
  if (hosts.length > 1 || (hosts[0]?.[1] ?? '') !== (head.host ?? ''))
    throw new Broken(`Host ${JSON.stringify(hosts)} for ${head.host}`)
  if (upgraded) return
  if (message.whole && !whole) throw new Broken(`a body that was cut off goes on as whole: ${shown()}`)
  if (whole && message.whole && message.body !== body)
    throw new Broken(`body ${JSON.stringify(message.body)} for ${JSON.stringify(body)}`)
  if (whole && message.whole) {
    const sum = (trailers?.names ?? []).map((name, i) => [name, trailers?.values[i]])
    if (JSON.stringify(message.trailers) !== JSON.stringify(sum))
      throw new Broken(`trailers ${JSON.stringify(message.trailers)} for ${JSON.stringify(sum)}`)
  }
}

/** In up to four pieces. */
export function cut(input: string, random: Random): Buffer[] {
  const bytes = Buffer.from(input, 'latin1')
  const at = Array.from({ length: random.below(4) }, () => random.below(bytes.length + 1)).sort(
    (a, b) => a - b,
  )
  return [...at, bytes.length]
    .map((to, i) => bytes.subarray(at[i - 1] ?? 0, to))
    .filter(({ length }) => length > 0)
}
