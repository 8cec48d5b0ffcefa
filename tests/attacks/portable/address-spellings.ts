import { OWN_ADDRESSES, spellings } from '../addresses.ts'
import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

export const attack: Attack = {
  title: 'no spelling of an address leads to a host that is not declared, nor to the proxy itself',
  rule: 'R15',
  async run(ground) {
    const { plain, strangerPlain, subject } = ground
    const wrong: string[] = []
    for (const host of [...spellings('127.0.0.1'), ...OWN_ADDRESSES]) {
      for (const port of [strangerPlain.port, plain.port, subject.port]) {
        const authority = `${host}:${port}`
        if (subject.offers.has('forward')) {
          const client = await ground.dial()
          client.send(
            `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${ground.key('forward')}${ground.asks}\r\n\r\n`,
          )
          const status = await statusOf(client)
          if (status >= 200 && status < 400) wrong.push(`http://${host} is answered with ${status}`)
        }
        if (subject.offers.has('connect')) {
          const tunnel = await ground.tunnel(authority, { plain: true }).catch(() => undefined)
          if (tunnel) {
            wrong.push(`CONNECT ${host} is answered with 200`)
            tunnel.socket.destroy()
          }
        }
      }
    }
    for (const { name, bytes } of ground.sinks) if (bytes !== '') wrong.push(`bytes arrived at ${name}`)
    return wrong
  },
}
