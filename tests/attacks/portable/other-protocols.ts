import { asking, entrancesOf, settled } from '../asking.ts'
import type { Attack } from '../attack.ts'

const OPENINGS: Readonly<Record<string, string>> = {
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0',
  TLS: '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03',
  SOCKS4: '\x04\x01\x00\x50\x7f\x00\x00\x01\0',
  SOCKS5: '\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50',
  'the PROXY protocol': 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'the PROXY protocol in bytes': '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x50\0\x50',
  SSH: 'SSH-2.0-x\r\n\r\n',
  SMTP: 'EHLO x\r\n\r\n',
  Redis: '*1\r\n$4\r\nPING\r\n\r\n',
}

export const attack: Attack = {
  title: 'what is no HTTP/1.1 opens nothing, and an offer to change the protocol is not taken',
  rule: 'R16',
  async run(ground) {
    const wrong: string[] = []
    for (const [what, bytes] of Object.entries(OPENINGS)) {
      const client = await ground.dial()
      client.send(bytes)
      const text = await settled(client)
      if (/^HTTP\/1\.1 [23]/.test(text) || text.startsWith('\x05') || text.startsWith('\0Z'))
        wrong.push(`${what} is answered with ${JSON.stringify(text.slice(0, 30))}`)
      client.socket.destroy()
    }
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      to.answer = (head) =>
        /^upgrade:/im.test(head)
          ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'
          : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      for (const protocol of ['h2c', 'h2', 'HTTP/2.0', 'TLS/1.2', 'h2c, websocket', 'websocket, h2c']) {
        const { status } = await ground.ask(entrance, to, {
          headers: asking(
            ground,
            'Connection: Upgrade, HTTP2-Settings',
            `Upgrade: ${protocol}`,
            'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
          ),
        })
        if (status === 101) wrong.push(`${entrance}: Upgrade to ${protocol} is taken`)
        if (/^upgrade:.*(?:h2|http|tls)/im.test(to.bytes))
          wrong.push(`${entrance}: Upgrade: ${protocol} goes on`)
        to.forget()
      }
    }
    return wrong
  },
}
