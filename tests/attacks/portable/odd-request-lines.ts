import { entrancesOf, settled } from '../asking.ts'
import type { Attack } from '../attack.ts'
import { READERS, readBy } from '../readers.ts'

/** METHOD, target and version with what some reader takes for more, or for less, than three words. */
const LINES = [
  ...[
    'GET TARGET',
    'GET TARGET HTTP/0.9',
    'GET TARGET HTTP/2.0',
    'GET TARGET HTTP/1.2',
    'GET TARGET HTTP/1.10',
    'GET TARGET HTTP/1',
    'GET TARGET HTTP/11',
  ],
  ...[
    'GET TARGET http/1.1',
    'GET TARGET HTTP/1.1 ',
    'GET TARGET HTTP/1.1\t',
    'GET TARGET  HTTP/1.1',
    'GET  TARGET HTTP/1.1',
    ' GET TARGET HTTP/1.1',
  ],
  ...[
    'GET\tTARGET\tHTTP/1.1',
    'GET TARGET\x0bHTTP/1.1',
    'GET TARGET\0 HTTP/1.1',
    'GET TARGET\r HTTP/1.1',
    'GET TARGET\n HTTP/1.1',
    'GET TARGET\nHost: x HTTP/1.1',
  ],
  ...[
    'GET TARGET HTTP/1.1 HTTP/1.1',
    'GET TARGET TARGET HTTP/1.1',
    'GE\0T TARGET HTTP/1.1',
    'GET\x80 TARGET HTTP/1.1',
    '(GET) TARGET HTTP/1.1',
    'GET: TARGET HTTP/1.1',
  ],
  ...[
    'get TARGET HTTP/1.1',
    '\r\n\r\nGET TARGET HTTP/1.1',
    '\nGET TARGET HTTP/1.1',
    '\0GET TARGET HTTP/1.1',
    '\ufeffGET TARGET HTTP/1.1',
    'PRI * HTTP/2.0',
    'TRACE TARGET HTTP/1.1',
    'TRACK TARGET HTTP/1.1',
  ],
  ...[
    'GET TARGET#x HTTP/1.1',
    'GET TARGET\\x HTTP/1.1',
    'GET TARGET/../x HTTP/1.1',
    'GET TARGET/%2e%2e/x HTTP/1.1',
    'GET TARGET/\xff HTTP/1.1',
    'GET TARGET?\x7f HTTP/1.1',
    `GET TARGET/${'x'.repeat(70_000)} HTTP/1.1`,
  ],
].map((line) => Buffer.from(line).toString('latin1'))

export const attack: Attack = {
  title: 'a request line is a method, a target and a version, or it does not go on',
  rule: 'R7',
  async run(ground) {
    const wrong = new Set<string>()
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const target =
        entrance === 'gateway'
          ? `/c/${to.name}/outer`
          : entrance === 'forward'
            ? `${to.origin}/outer`
            : '/outer'
      for (const line of LINES) {
        const client = entrance === 'connect' ? await ground.tunnel(to.authority) : await ground.dial()
        const host = entrance === 'gateway' ? `127.0.0.1:${ground.subject.port}` : to.authority
        client.send(
          `${line.replaceAll('TARGET', target)}\r\nHost: ${host}\r\n${ground.key(entrance)}${ground.asks}\r\n\r\n`,
        )
        await settled(client)
        const shown = JSON.stringify(line.slice(0, 40))
        for (const [reader, habits] of Object.entries(READERS))
          if (readBy(habits, to.bytes).length > 1)
            wrong.add(`${entrance}: ${shown} is more than one request, read ${reader}`)
        const first = to.bytes.split('\r\n')[0] as string
        if (first !== '' && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \/[\x21-\x7e]* HTTP\/1\.[01]$/.test(first))
          wrong.add(`${entrance}: ${shown} goes on as ${JSON.stringify(first.slice(0, 60))}`)
        if (/\\|#|\/\.\.|%2e%2e|TRACE/i.test(first)) wrong.add(`${entrance}: ${shown} goes on`)
        to.forget()
      }
    }
    return [...wrong]
  },
}
