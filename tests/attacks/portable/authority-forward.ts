import type { Attack } from '../attack.ts'
import { pairs, statusOf, wrongWith } from '../names.ts'

export const attack: Attack = {
  title: 'target and Host of a request in absolute form are one authority',
  rule: 'R1',
  published: 'OpenSandbox PR 1193',
  needs: ['forward'],
  async run(ground) {
    const { plain, otherPlain, strangerPlain, allowed } = ground
    const wrong: string[] = []
    for (const names of pairs(['target', 'Host'], plain, [otherPlain, strangerPlain, allowed])) {
      const { target, Host } = names
      const client = await ground.dial()
      client.send(
        `GET http://${target?.authority}/ HTTP/1.1\r\nHost: ${Host?.authority}\r\n${ground.key('forward')}${ground.asks}\r\n\r\n`,
      )
      wrong.push(...wrongWith(ground, names, await statusOf(client)))
    }
    return wrong
  },
}
