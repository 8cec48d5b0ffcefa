import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

export const attack: Attack = {
  title: 'a name that ends, begins or reads like a known one, another port or scheme, gets no secret',
  rule: 'R2',
  published: 'superfly/tokenizer: an unanchored pattern of hosts',
  needs: ['forward'],
  async run(ground) {
    const { plain, strangerPlain } = ground
    const port = strangerPlain.port
    const [label] = plain.host.split('.')
    const hosts = [
      `evil${plain.host}`,
      `evil-${plain.host}`,
      `evil.${plain.host}`,
      `${plain.host}.evil.localhost`,
      `${label}.evil.localhost`,
      `${label}-x.localhost`,
      `${label}x.localhost`,
      `${plain.host}.`,
      plain.host.toUpperCase(),
      plain.host,
    ]
    for (const host of hosts) {
      for (const authority of [`${host}:${port}`, `${host}:0${port}`]) {
        const client = await ground.dial()
        client.send(
          `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${ground.key('forward')}${ground.asks}\r\n\r\n`,
        )
        await statusOf(client)
      }
    }
    // Whether a secret came along, the table sees by itself; a known port is no other sink's, so this one is asked here.
    return ground.sinks
      .filter(({ secret, bytes }) => secret !== undefined && bytes.includes(secret))
      .map(({ name }) => `${name} got its secret for a name that is not its own`)
  },
}
