import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

export const attack: Attack = {
  title: 'the secret of an https destination does not go over plain http',
  rule: 'R3',
  needs: ['connect'],
  async run(ground) {
    const { allowed, key, asks } = ground
    const tunnel = await ground.tunnel(allowed.authority, { plain: true }).catch(() => undefined)
    if (tunnel) {
      tunnel.send(`GET / HTTP/1.1\r\nHost: ${allowed.authority}\r\n${asks}\r\n\r\n`)
      await statusOf(tunnel)
    }
    if (ground.subject.offers.has('forward')) {
      const client = await ground.dial()
      client.send(
        `GET http://${allowed.authority}/ HTTP/1.1\r\nHost: ${allowed.authority}\r\n${key('forward')}${asks}\r\n\r\n`,
      )
      await statusOf(client)
    }
    if (ground.subject.offers.has('gateway')) {
      const client = await ground.dial()
      client.send(
        `GET /c/allowed/ HTTP/1.1\r\nHost: 127.0.0.1:${ground.subject.port}\r\n${key('gateway')}X-Forwarded-Proto: http\r\n${asks}\r\n\r\n`,
      )
      await statusOf(client)
    }
    return allowed.plaintext > 0 ? ['it was sent without TLS'] : []
  },
}
