import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a head without bounds, of a client or an upstream, is not taken',
  rule: 'R12',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [what, lines] of [
        ['a field of 1 MiB', `X: ${'x'.repeat(1 << 20)}`],
        ['20,000 fields', Array.from({ length: 20_000 }, (_, i) => `X-${i}: 1`).join('\r\n')],
      ] as const) {
        const client = await ground.send(entrance, to, { headers: asking(ground, lines) })
        const text = await client.until((received) => /^HTTP\/1\.1 [2-5]/m.test(received))
        if (/^HTTP\/1\.1 2/m.test(text)) wrong.push(`${entrance}: a request with ${what} is taken`)
        client.socket.destroy()
        to.answer = () => `HTTP/1.1 200 OK\r\n${lines}\r\nContent-Length: 0\r\n\r\n`
        const { status } = await ground
          .ask(entrance, to, { headers: asking(ground) })
          .catch(() => ({ status: 502 }))
        if (status < 400) wrong.push(`${entrance}: an answer with ${what} is passed on`)
        to.reset()
      }
    }
    return wrong
  },
}
