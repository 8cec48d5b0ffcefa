import { duplexPair } from 'node:stream'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { type BodySink, Fields } from '../../proxy/wire/message.ts'
import { Broken, type Fuzzer } from './engine.ts'
import { cut } from './wire.ts'

const HEAD = 'HTTP/1.1 200 OK\r\n'

/** What an upstream may say to one request. */
export const answers: Fuzzer = {
  name: 'answers',
  promise:
    'an answer is whole, broken off or a fault, once; nothing crashes or hangs, and nothing of it is taken for the next',
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
  ],
  words: [
    ...[
      '\r\n',
      '\n',
      '\r',
      '\r\n\r\n',
      ':',
      ' ',
      '\t',
      '\0',
      ';',
      ',',
      '0\r\n\r\n',
      '5\r\n',
      'HTTP/1.1',
      'HTTP/1.0',
      'HTTP/2',
      ' 200 ',
      ' 101 ',
      ' 204 ',
      ' 100 ',
      ' 999 ',
      ' -1 ',
    ],
    ...[
      'Content-Length: 5\r\n',
      'Content-Length: 6\r\n',
      'Transfer-Encoding: chunked\r\n',
      'chunked',
      'identity',
      'Connection: close\r\n',
      'Connection: upgrade\r\n',
      'Upgrade: websocket\r\n',
    ],
    ...[
      'Keep-Alive: timeout=0\r\n',
      'Set-Cookie: a=b\r\n',
      HEAD,
      'HTTP/1.1 102 Processing\r\n\r\n',
      'ffffffffffffffff\r\n',
    ],
  ],
  share: 15,
  together: 8,
  async attempt(input, random) {
    const [near, far] = duplexPair()
    const connection = connectH1(near)
    let outcomes = 0
    let ended = 0
    let accepted = false
    let settled = false
    const sink: BodySink = {
      ondrain: undefined,
      write: () => true,
      end: () => {
        ended++
        accepted = true
      },
      abort: () => {
        ended++
      },
    }
    connection.onclose = () => {
      settled = true
    }
    far.on('error', () => {})
    far.resume()
    const head = {
      method: 'GET',
      target: '/',
      minor: 1 as const,
      host: 'a',
      fields: new Fields(),
      contentLength: undefined,
      chunked: false,
      upgrade: 'websocket',
      expectContinue: false,
    }
    connection.send(head, undefined, {
      informational: () => {},
      response: (_, body) => {
        outcomes++
        body.start(sink)
      },
      upgraded: (_, { socket }) => {
        outcomes++
        ended++
        socket.destroy()
      },
      failed: () => {
        outcomes++
        ended++
      },
    })
    for (const piece of cut(input, random)) far.write(piece)
    far.end()
    for (let turn = 0; !settled; turn++) {
      if (turn > 2000) throw new Broken('the connection hangs')
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (outcomes !== 1) throw new Broken(`${outcomes} outcomes`)
    if (ended !== 1) throw new Broken(`a body that ended ${ended} times`)
    return accepted
  },
}
