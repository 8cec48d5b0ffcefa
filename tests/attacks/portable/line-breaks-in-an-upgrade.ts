import { asking, entrancesOf, settled } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'no value of Upgrade, or of what goes with it, becomes another line upstream',
  rule: 'R9',
  published: 'undici CVE-2026-1527',
  async run(ground) {
    const wrong: string[] = []
    const breaks = ['\r\n', '\n', '\r', '\0', '\x0b', '\r\n ', '\n\t', '\x85']
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const one of breaks) {
        for (const name of [
          'Upgrade',
          'Sec-WebSocket-Protocol',
          'Sec-WebSocket-Key',
          'Connection',
          'Expect',
        ]) {
          const rest = ['Upgrade: websocket', 'Connection: Upgrade'].filter((line) => !line.startsWith(name))
          const client = await ground.send(entrance, to, {
            path: '/outer',
            headers: asking(
              ground,
              ...rest,
              `${name}: ${name === 'Connection' ? 'Upgrade' : 'websocket'}${one}X-Split${one}: yes`,
              'Sec-WebSocket-Version: 13',
            ),
          })
          await settled(client)
          // A line of its own in what was sent is one in what arrives.
          if (one !== '\r\n' && /[\r\n]X-Split/.test(to.bytes))
            wrong.push(`${entrance}: ${JSON.stringify(one)} in ${name} ends a line`)
          if (to.bytes.includes('\0') || to.bytes.includes('\x0b'))
            wrong.push(`${entrance}: ${JSON.stringify(one)} in ${name} goes on`)
          to.reset()
        }
      }
    }
    return wrong
  },
}
