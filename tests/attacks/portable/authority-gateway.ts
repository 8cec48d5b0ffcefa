import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

export const attack: Attack = {
  title: 'nothing that a request at the gateway names but its connection says where it goes',
  rule: 'R1',
  needs: ['gateway'],
  async run(ground) {
    const { allowed, other, stranger } = ground
    const own = `127.0.0.1:${ground.subject.port}`
    const wrong: string[] = []
    for (const { name, authority, origin } of [other, stranger]) {
      for (const [what, line, extra] of [
        ['Host', `GET /c/allowed/ HTTP/1.1\r\nHost: ${authority}`, ''],
        ['target', `GET ${origin}/c/allowed/ HTTP/1.1\r\nHost: ${own}`, ''],
        ['both', `GET ${origin}/c/allowed/ HTTP/1.1\r\nHost: ${authority}`, ''],
        ['path', `GET /c/allowed//${authority}/ HTTP/1.1\r\nHost: ${own}`, ''],
        ['path as URL', `GET /c/allowed/${origin}/ HTTP/1.1\r\nHost: ${own}`, ''],
        ['user info', `GET /c/allowed@${authority}/ HTTP/1.1\r\nHost: ${own}`, ''],
        ['dots', `GET /c/allowed/../${name}/ HTTP/1.1\r\nHost: ${own}`, ''],
        ['coded dots', `GET /c/allowed/%2e%2e/${name}/ HTTP/1.1\r\nHost: ${own}`, ''],
        [
          'X-Forwarded-Host',
          `GET /c/allowed/ HTTP/1.1\r\nHost: ${own}`,
          `X-Forwarded-Host: ${authority}\r\n`,
        ],
        ['Forwarded', `GET /c/allowed/ HTTP/1.1\r\nHost: ${own}`, `Forwarded: host="${authority}"\r\n`],
        ['X-Original-URL', `GET /c/allowed/ HTTP/1.1\r\nHost: ${own}`, `X-Original-URL: ${origin}/\r\n`],
      ] as const) {
        const client = await ground.dial()
        client.send(`${line}\r\n${ground.key('gateway')}${extra}${ground.asks}\r\n\r\n`)
        await statusOf(client)
        for (const sink of ground.sinks) {
          if (sink !== allowed && sink.bytes !== '') wrong.push(`${what}: bytes arrived at ${sink.name}`)
          for (const { bytes } of sink.arrivals)
            if (bytes !== '' && !bytes.includes(`\r\nHost: ${allowed.authority}\r\n`))
              wrong.push(`${what}: ${sink.name} was told of another host`)
          sink.forget()
        }
      }
    }
    return wrong
  },
}
