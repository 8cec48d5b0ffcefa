import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'interim responses without end are cut off',
  rule: 'R12',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      to.take = (socket) => {
        const flood = (): void => {
          while (!socket.destroyed && socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(50)));
          socket.once('drain', flood)
        }
        socket.once('data', flood)
      }
      const client = await ground.send(entrance, to, { headers: asking(ground) })
      const text = await client.until(
        (received) => /^HTTP\/1\.1 [2-5]/m.test(received) || received.length > 1 << 20,
      )
      const interims = text.split('HTTP/1.1 1').length - 1
      if (interims > 1000) wrong.push(`${entrance}: more than 1,000 interim responses were passed on`)
      client.socket.destroy()
      to.reset()
    }
    return wrong
  },
}
