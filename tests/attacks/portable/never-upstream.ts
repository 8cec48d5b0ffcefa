import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

const LINES = ['Proxy-Connection: keep-alive', 'Keep-Alive: timeout=5', 'TE: trailers']

export const attack: Attack = {
  title: 'what belongs to one hop, and what the caller is known by, does not go upstream',
  rule: 'R8',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const { status } = await ground.ask(entrance, to, {
        headers: asking(ground, ...LINES, 'Connection: keep-alive, X-Hop, TE', 'X-Hop: 1'),
      })
      if (status !== 200) wrong.push(`${entrance}: answered with ${status}`)
      for (const [, name] of to.bytes.matchAll(/^([\w-]+):/gm))
        if (/^(?:proxy-(?:connection|authorization)|locum-|keep-alive$|te$|x-hop$)/i.test(name as string))
          wrong.push(`${entrance}: ${name} went upstream`)
      for (const key of Object.values(ground.subject.keys))
        if (to.bytes.includes(key)) wrong.push(`${entrance}: the caller's key went upstream`)
      to.forget()
    }
    return wrong
  },
}
