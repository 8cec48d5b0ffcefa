import { type Duplex, duplexPair } from 'node:stream'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import {
  type BodySink,
  type ClientConnection,
  Fields,
  type ResponseHead,
  type WireError,
} from '../../proxy/wire/message.ts'
import { Broken, type Fuzzer } from './engine.ts'
import { type Answer, readAnswers } from './llhttp.ts'
import { cut } from './wire.ts'

const HEAD = 'HTTP/1.1 200 OK\r\n'
/** An answer by which to tell where the one before it ends. */
const NEXT = 'HTTP/1.1 299 Next\r\nContent-Length: 0\r\n\r\n'
/** Turns of the event loop after which a connection that has nothing left to read has hung. */
const TURNS = 2000
/** Fields that frame a message or belong to one hop. */
const OWN = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** What came of the request. */
interface Told {
  outcomes: number
  ended: number
  interims: number
  head: ResponseHead | undefined
  body: string
  trailers: Fields | undefined
  whole: boolean
  upgraded: boolean
  closed: boolean
}

/** What an upstream may say to one request. */
export const answers: Fuzzer = {
  name: 'answers',
  promise:
    'an answer is whole, broken off or a fault, once; a whole one is what llhttp reads, and what comes behind it ends the connection',
  corpus: [
    `${HEAD}Content-Length: 5\r\n\r\nhello`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n`,
    `${HEAD}Connection: close\r\n\r\nhello`,
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nok',
    'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02ok',
    `${HEAD}Content-Length: 2\r\n\r\nok${HEAD}Content-Length: 2\r\n\r\nno`,
  ],
  words: [
    ...['\r\n', '\n', '\r', '\r\n\r\n', ':', ' ', '\t', '\0', ';', ',', '0\r\n\r\n', '5\r\n'],
    ...['HTTP/1.1', 'HTTP/1.0', 'HTTP/2', ' 200 ', ' 101 ', ' 204 ', ' 304 ', ' 100 ', ' 999 ', ' -1 '],
    ...['Content-Length: 5\r\n', 'Content-Length: 6\r\n', 'Transfer-Encoding: chunked\r\n'],
    ...['chunked', 'identity', 'Connection: close\r\n', 'Connection: upgrade\r\n', 'Connection: x\r\n'],
    ...['Upgrade: websocket\r\n', 'Keep-Alive: timeout=0\r\n', 'Set-Cookie: a=b\r\n', 'X: y\r\n', HEAD],
    ...['HTTP/1.1 102 Processing\r\n\r\n', 'ffffffffffffffff\r\n'],
  ],
  share: 15,
  together: 8,
  async attempt(input, random) {
    const method = random.next() < 0.2 ? 'HEAD' : 'GET'
    const [near, far] = duplexPair()
    const connection = connectH1(near)
    far.on('error', () => {})
    far.resume()
    const told = ask(connection, method)
    await write(far, cut(input, random))
    const rests = !told.closed && told.whole
    far.end()
    for (let turn = 0; !told.closed; turn++) {
      if (turn > TURNS) throw new Broken('the connection hangs')
      await turned()
    }
    if (told.outcomes !== 1) throw new Broken(`${told.outcomes} outcomes`)
    if (told.ended !== 1) throw new Broken(`a body that ended ${told.ended} times`)
    if (told.head) compare(input, method, told)
    if (rests) checkRest(input, method)
    return told.whole
  },
}

function ask(connection: ClientConnection, method: string): Told {
  const told: Told = {
    outcomes: 0,
    ended: 0,
    interims: 0,
    head: undefined,
    body: '',
    trailers: undefined,
    whole: false,
    upgraded: false,
    closed: false,
  }
  const sink: BodySink = {
    ondrain: undefined,
    write(chunk) {
      told.body += chunk.toString('latin1')
      return true
    },
    end(trailers) {
      told.ended++
      told.whole = true
      told.trailers = trailers
    },
    abort(_fault: WireError) {
      told.ended++
    },
  }
  connection.onclose = () => {
    told.closed = true
  }
  const request = {
    method,
    target: '/',
    minor: 1 as const,
    host: 'a',
    fields: new Fields(),
    contentLength: undefined,
    chunked: false,
    upgrade: 'websocket',
    expectContinue: false,
  }
  connection.send(request, undefined, {
    informational: () => {
      told.interims++
    },
    response: (head, body) => {
      told.outcomes++
      told.head = { ...head, fields: head.fields.copy() }
      body.start(sink)
    },
    upgraded: (_, { socket }) => {
      told.outcomes++
      told.ended++
      told.upgraded = true
      socket.destroy()
    },
    failed: () => {
      told.outcomes++
      told.ended++
    },
  })
  return told
}

/** Until all of it was read. */
async function write(far: Duplex, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    far.write(piece)
    await turned()
  }
  for (let turn = 0; turn < 3; turn++) await turned()
}

function turned(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Throws Broken where llhttp reads another answer. */
function compare(input: string, method: string, { head, body, trailers, whole, interims }: Told): void {
  const { messages, fault } = readAnswers(Buffer.from(input, 'latin1'), method, true)
  const at = messages.findIndex(({ status }) => status >= 200)
  const message = messages[at] as Answer | undefined
  const { status, reason, fields } = head as ResponseHead
  if (!message) throw new Broken(`${status} is taken, where llhttp reads none and says ${fault}`)
  if (message.status !== status || message.reason !== reason)
    throw new Broken(`${status} ${reason} is taken for ${message.status} ${message.reason}`)
  if (messages.slice(0, at).filter((one) => one.status !== 100).length !== interims)
    throw new Broken(`${interims} interim answers`)
  const hop = message.fields
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) => value.toLowerCase().split(','))
    .map((name) => name.trim())
  const meant = message.fields.filter(([name]) => !OWN.has(name) && !hop.includes(name))
  const taken = fields.names.map((name, i) => [name, fields.values[i] as string])
  if (JSON.stringify(taken) !== JSON.stringify(meant))
    throw new Broken(`fields ${JSON.stringify(taken)} are taken for ${JSON.stringify(meant)}`)
  if (!message.body.startsWith(body) && !body.startsWith(message.body))
    throw new Broken(`body ${JSON.stringify(body)} is taken for ${JSON.stringify(message.body)}`)
  // It refuses some trailers that are left out here.
  const chunked = message.fields.some(([name]) => name === 'transfer-encoding')
  if (!whole || (fault !== undefined && chunked && message.body === body)) return
  if (!message.whole || message.body !== body)
    throw new Broken(`${JSON.stringify(body)} is whole, to llhttp ${JSON.stringify(message.body)} is not`)
  const sum = (trailers?.names ?? []).map((name, i) => [name, trailers?.values[i]])
  if (sum.some((one) => !JSON.stringify(message.trailers).includes(JSON.stringify(one))))
    throw new Broken(`trailers ${JSON.stringify(sum)} are taken for ${JSON.stringify(message.trailers)}`)
}

/** Throws Broken where a connection that waits for its next request was told more than one answer. */
function checkRest(input: string, method: string): void {
  const { messages, fault } = readAnswers(Buffer.from(input + NEXT, 'latin1'), method, false)
  const final = messages.filter(({ status }) => status >= 200)
  if (fault !== undefined && final.length === 1) return
  if (final.length !== 2 || final[1]?.status !== 299) throw new Broken('bytes are left for the next answer')
}
