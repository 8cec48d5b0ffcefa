import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: "no client's Connection removes the secret that is put in, or what the proxy sets",
  rule: 'R8',
  published: 'Fabio CVE-2025-48865',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const options of [
        'Authorization',
        'authorization, close',
        'Host',
        'Host, Authorization, Content-Length',
        'keep-alive, AUTHORIZATION',
        'Authorization;x',
        '"Authorization"',
      ]) {
        const { status } = await ground.ask(entrance, to, {
          method: 'POST',
          headers: asking(ground, `Connection: ${options}`),
          body: 'abc',
        })
        if (status >= 400) continue
        if (!to.bytes.includes(`Bearer ${to.secret}`))
          wrong.push(`${entrance}: ${options} removes the secret`)
        if (!new RegExp(`^host: ${to.authority}\r$`, 'im').test(to.bytes))
          wrong.push(`${entrance}: ${options} removes Host`)
        to.reset()
      }
    }
    return wrong
  },
}
