import { gunzipSync, gzipSync } from 'node:zlib'
import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

const SYNC = 2

export const attack: Attack = {
  title: 'a packed echo that is cut off, damaged or goes on behind its end is not passed unsearched',
  rule: 'R11',
  published: 'claudecode_webui#1425',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const packed = gzipSync(`before ${to.secret} behind`)
      const stored = gzipSync(`before ${to.secret} behind`, { level: 0 })
      const bodies: readonly (readonly [string, Buffer])[] = [
        ['whole', packed],
        ['whole, not compressed', stored],
        ['cut off', packed.subarray(0, -6)],
        ['with another sum', Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8, 1)])],
        ['followed by itself', Buffer.concat([packed, packed])],
        ['followed by text', Buffer.concat([gzipSync('nothing'), Buffer.from(` ${to.secret}`)])],
        ['no gzip at all', Buffer.from(`plain ${to.secret}`)],
        [
          'with a name',
          Buffer.concat([
            Buffer.of(31, 139, 8, 8, 0, 0, 0, 0, 0, 3),
            Buffer.from(`${to.secret}\0`),
            packed.subarray(10),
          ]),
        ],
      ]
      for (const [what, body] of bodies) {
        for (const chunked of [false, true]) {
          const bytes = body.toString('latin1')
          const framed = chunked
            ? `Transfer-Encoding: chunked\r\n\r\n${[...bytes].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`
            : `Content-Length: ${body.length}\r\n\r\n${bytes}`
          to.answer = () =>
            `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n${framed}`
          const answer = await ground.ask(entrance, to, { headers: asking(ground, 'Accept-Encoding: gzip') })
          if (seen(answer.body).includes(to.secret as string))
            wrong.push(`${entrance}: ${what}${chunked ? ', in chunks' : ''}`)
        }
      }
    }
    return wrong
  },
}

/** What a client that bears with anything reads. */
function seen(body: string): string {
  try {
    return body + gunzipSync(Buffer.from(body, 'latin1'), { finishFlush: SYNC }).toString('latin1')
  } catch {
    return body
  }
}
