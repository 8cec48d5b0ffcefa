import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'
import { READERS, readBy } from '../readers.ts'

const METHODS = ['DELETE', 'OPTIONS', 'GET', 'PATCH', 'PUT', 'REPORT', 'POST']

export const attack: Attack = {
  title: 'a body is framed whatever the method: none gets loose as a request of its own',
  rule: 'R7',
  published: 'http-proxy#1721, CVE-2026-29057',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const inside = `GET /hidden HTTP/1.1\r\nHost: ${to.authority}\r\n\r\n`
      for (const method of METHODS) {
        for (const [what, lines, raw] of [
          [
            'in chunks',
            ['Transfer-Encoding: chunked'],
            `${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`,
          ],
          ['by length', [`Content-Length: ${inside.length}`], inside],
        ] as const) {
          const { status } = await ground.ask(entrance, to, {
            method,
            path: '/outer',
            headers: asking(ground, ...lines),
            raw,
          })
          const read = readBy(READERS['by the standard'] ?? {}, to.bytes)
          if (read.some(({ line }) => line.includes('/hidden')))
            wrong.push(`${entrance}: the body of ${method} ${what} is a request`)
          if (status < 400 && read[0]?.body !== inside)
            wrong.push(`${entrance}: the body of ${method} ${what} is lost`)
          to.reset()
        }
      }
    }
    return wrong
  },
}
