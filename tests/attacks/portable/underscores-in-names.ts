import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title:
    'a name with an underscore is no second spelling of what the proxy puts in, or of what frames the message',
  rule: 'R8',
  published: 'oauth2-proxy CVE-2025-64484',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const line of [
        'Proxy_Authorization: Bearer x',
        'Locum_For: user:root',
        'Content_Length: 7',
        'Transfer_Encoding: chunked',
      ]) {
        await ground.ask(entrance, to, { headers: asking(ground, line) })
        const [name] = line.split(':') as [string]
        if (to.bytes.toLowerCase().includes(`\r\n${name.toLowerCase()}:`))
          wrong.push(`${entrance}: ${name} goes on`)
        to.reset()
      }
    }
    return wrong
  },
}
