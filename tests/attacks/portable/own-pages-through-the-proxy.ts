import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

const NAMES = ['mitm.it', 'mitmproxy.local', 'locum.local', 'locum', 'proxy', 'admin', 'console']

export const attack: Attack = {
  title: "the proxy's own pages and interfaces are not to be had through it",
  rule: 'R21',
  published: 'mitmproxy CVE-2025-23217',
  needs: ['forward'],
  async run(ground) {
    const { subject } = ground
    const wrong: string[] = []
    const authorities = [
      ...NAMES,
      `127.0.0.1:${subject.port}`,
      `localhost:${subject.port}`,
      `[::1]:${subject.port}`,
      `0.0.0.0:${subject.port}`,
    ]
    for (const authority of authorities) {
      for (const path of [
        '/',
        '/healthz',
        '/metrics',
        '/api/v1/credentials',
        '/c/allowed/',
        '/squid-internal-mgr/info',
      ]) {
        const client = await ground.dial()
        client.send(
          `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${ground.key('forward')}${ground.asks}\r\n\r\n`,
        )
        const status = await statusOf(client)
        if (status >= 200 && status < 400)
          wrong.push(`http://${authority.replace(/\d{4,}/, 'PORT')}${path} is answered with ${status}`)
      }
    }
    return wrong
  },
}
