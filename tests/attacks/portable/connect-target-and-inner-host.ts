import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'the host of a request in a tunnel is the host that the tunnel was opened to',
  rule: 'R1',
  published: 'vm0#14412',
  needs: ['connect', 'placeholders'],
  async run(ground) {
    const { allowed, other, stranger } = ground
    const wrong: string[] = []
    for (const [target, named] of [
      [stranger, allowed],
      [allowed, stranger],
      [other, allowed],
      [allowed, other],
    ] as const) {
      const tunnel = await ground.tunnel(target.authority, { servername: target.host }).catch(() => undefined)
      if (!tunnel) continue
      tunnel.send(`GET / HTTP/1.1\r\nHost: ${named.authority}\r\n${ground.asks}\r\n\r\n`)
      const { status } = await tunnel.response()
      if (status < 400) wrong.push(`CONNECT ${target.name} and Host ${named.name} is answered with ${status}`)
    }
    return wrong
  },
}
