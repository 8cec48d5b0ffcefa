import type { Socket } from 'node:net'
import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a secret is found across any cut of a long answer',
  rule: 'R11',
  published: 'varlock PR 981',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const secret = to.secret as string
      for (const filler of [0, 100, 16_383, 65_535, 300_000]) {
        for (let cut = 1; cut < secret.length; cut += filler > 1000 ? 7 : 1) {
          const text = `${'.'.repeat(filler)}${secret}${'.'.repeat(filler)}`
          const at = filler + cut
          to.answer = (_head, socket) => {
            socket.write(
              `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text.slice(0, at)}`,
            )
            later(socket, text.slice(at))
            return undefined
          }
          const answer = await ground.ask(entrance, to, { headers: asking(ground) })
          if (answer.body.includes(secret)) wrong.push(`${entrance}: cut at ${cut} behind ${filler} bytes`)
          if (answer.body.length !== text.length)
            wrong.push(`${entrance}: ${answer.body.length} of ${text.length} bytes came`)
        }
      }
    }
    return wrong
  },
}

/** Writes in a turn of its own, so that it travels by itself. */
function later(socket: Socket, text: string): void {
  setImmediate(() => setImmediate(() => socket.destroyed || socket.write(text)))
}
