import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'
import { OK } from '../sink.ts'

const STAGED = 'HTTP/1.1 200 OK\r\nX-Staged: yes\r\nContent-Length: 6\r\n\r\nstaged'

export const attack: Attack = {
  title: 'what an upstream says before it was asked is no answer to the next request',
  rule: 'R10',
  published: 'Node CVE-2026-48931',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      // The answer and what nobody asked for in one write, and then behind it.
      for (const apart of [false, true]) {
        let first = true
        to.answer = (_head, socket) => {
          if (!first) return OK
          first = false
          if (!apart) return OK + STAGED
          setImmediate(() => setImmediate(() => socket.destroyed || socket.write(STAGED)))
          return OK
        }
        await ground.ask(entrance, to, { headers: asking(ground) })
        // What was written there is in the proxy's hands by the time another connection was served.
        await ground
          .ask(entrance, ground.by(entrance), { headers: asking(ground), path: '/between' })
          .catch(() => {})
        for (let turn = 0; turn < 3; turn++) {
          const { headers, body } = await ground.ask(entrance, to, { headers: asking(ground) })
          if (headers['x-staged'] !== undefined || body === 'staged')
            wrong.push(`${entrance}: the staged response was served${apart ? '' : ', sent at once'}`)
        }
        to.reset()
      }
    }
    return wrong
  },
}
