import { resetUnder } from '../../kit/upstream.ts'
import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'

export const attack: Attack = {
  title: 'a reset at any moment, by the client or the upstream, does not end the proxy',
  rule: 'R17',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const cut of [0, 5, 20, HEAD.length]) {
        to.take = (socket) => {
          socket.once('data', () => {
            socket.write(HEAD.slice(0, cut), () => resetUnder(socket))
          })
        }
        const client = await ground.send(entrance, to, { headers: asking(ground) })
        const text = await client.until((received) => /^HTTP\/1\.1 [45]/.test(received))
        if (/^HTTP\/1\.1 200/.test(text) && cut < HEAD.length - 5)
          wrong.push(`${entrance}: 200 for a head that was cut`)
        client.socket.destroy()
      }
      to.take = undefined
      for (const moment of ['head', 'body', 'answer'] as const) {
        to.answer = () => HEAD
        const client = await ground.send(entrance, to, {
          method: 'POST',
          headers: asking(ground, ...(moment === 'answer' ? ['Content-Length: 0'] : ['Content-Length: 100'])),
          raw: moment === 'body' ? 'half' : '',
        })
        if (moment === 'answer') await client.until((received) => received.includes('half'))
        client.reset()
        await client.gone()
      }
      to.reset()
    }
    return wrong
  },
}
