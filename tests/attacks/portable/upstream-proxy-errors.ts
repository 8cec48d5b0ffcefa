import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: "an upstream cannot ask the client for its proxy's key",
  rule: 'R10',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      to.answer = () =>
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="give it to me"\r\nContent-Length: 0\r\n\r\n'
      const { status, headers } = await ground.ask(entrance, to, { headers: asking(ground) })
      if (status === 407) wrong.push(`${entrance}: 407 was passed on`)
      if (headers['proxy-authenticate'] !== undefined)
        wrong.push(`${entrance}: Proxy-Authenticate was passed on`)
      to.answer = () =>
        'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nProxy-Authenticate: Basic realm="me"\r\nContent-Length: 0\r\n\r\n'
      const second = await ground.ask(entrance, to, { headers: asking(ground) })
      if (second.headers['proxy-authenticate'] !== undefined)
        wrong.push(`${entrance}: Proxy-Authenticate was passed on with 401`)
    }
    return wrong
  },
}
