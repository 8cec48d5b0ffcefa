import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

/** Answers whose end two readers find at two places, or that end before it. */
const ANSWERS: Readonly<Record<string, string>> = {
  'a length and chunks':
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
  'a length that is none': 'HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello',
  'a negative length': 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello',
  'a coding that is unknown': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nhello',
  'a chunk that is none': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n',
  'a chunk of another size': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
  'chunks without end': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  'less than its length': 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello',
  'a control byte in a name': 'HTTP/1.1 200 OK\r\nX\x01Y: 1\r\nContent-Length: 5\r\n\r\nhello',
  'a NUL in a value': 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello',
  'a folded line': 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello',
  'no status': 'HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello',
  'another version': 'HTTP/3.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'no HTTP': 'SSH-2.0-OpenSSH_9.9\r\n\r\n',
}

export const attack: Attack = {
  title: 'an answer that cannot be framed is never passed on as whole',
  rule: 'R10',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [what, answer] of Object.entries(ANSWERS)) {
        to.answer = (_head, socket) => {
          socket.end(Buffer.from(answer, 'latin1'))
          return undefined
        }
        const client = await ground.send(entrance, to, { headers: asking(ground) })
        const { status, whole } = await client.response().catch(() => ({ status: 0, whole: false }))
        if (status >= 200 && status < 400 && whole) wrong.push(`${entrance}: ${what} comes as a whole answer`)
        client.socket.destroy()
        to.reset()
      }
    }
    return wrong
  },
}
