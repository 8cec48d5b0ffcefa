import { deflateRawSync, gzipSync } from 'node:zlib'
import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a thousand steps of Content-Encoding, and a body that unpacks to a gigabyte, cost little',
  rule: 'R12',
  published: 'undici CVE-2026-22036',
  async run(ground) {
    const wrong: string[] = []
    const steps = Array(1000).fill('gzip').join(', ')
    const bomb = gzipSync(deflateRawSync(Buffer.alloc(64 << 20)))
    const large = gzipSync(Buffer.alloc(256 << 20)).toString('latin1')
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [coding, body] of [
        [steps, bomb.toString('latin1')],
        ['gzip', large],
      ] as const) {
        to.answer = () =>
          `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        const client = await ground.send(entrance, to, { headers: asking(ground, 'Accept-Encoding: gzip') })
        const began = performance.now()
        const text = await client.until(
          (received) => received.length > body.length || /^HTTP\/1\.1 5[\s\S]*\r\n\r\n/.test(received),
        )
        if (performance.now() - began > 10_000) wrong.push(`${entrance}: it took more than 10 s`)
        if (text.length > 2 * body.length + 100_000) wrong.push(`${entrance}: it was unpacked for the client`)
        client.socket.destroy()
      }
    }
    return wrong
  },
}
