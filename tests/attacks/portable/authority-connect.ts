import type { Attack } from '../attack.ts'
import { pairs, statusOf, wrongWith } from '../names.ts'

const PLACES = ['CONNECT', "CONNECT's Host", 'server name', 'Host', 'target']

export const attack: Attack = {
  title: 'CONNECT target, its Host, TLS server name, inner Host and inner target are one authority',
  rule: 'R1',
  published: 'iron-proxy PR 248',
  needs: ['connect'],
  async run(ground) {
    const { allowed, other, stranger } = ground
    const wrong: string[] = []
    for (const names of pairs(PLACES, allowed, [other, stranger])) {
      const [connect, connectHost, servername, host, target] = PLACES.map((place) => names[place])
      let status = 0
      try {
        const tunnel = await ground.tunnel(connect?.authority ?? '', {
          servername: servername?.host ?? '',
          host: connectHost?.authority ?? '',
        })
        tunnel.send(`GET ${target?.origin}/ HTTP/1.1\r\nHost: ${host?.authority}\r\n${ground.asks}\r\n\r\n`)
        status = await statusOf(tunnel)
      } catch {
        // Refused before anything could be asked for.
      }
      wrong.push(...wrongWith(ground, names, status))
    }
    return wrong
  },
}
