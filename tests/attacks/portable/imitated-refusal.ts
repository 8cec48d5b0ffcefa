import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

const OWN = [
  'Proxy-Status: locum; error=http_request_denied',
  'Locum-Location: https://evil.example/',
  'Locum-Link: <https://evil.example/>; rel=next',
  'Locum-Anything: 1',
]

export const attack: Attack = {
  title: "an upstream's answer cannot pass for the proxy's own word",
  rule: 'R13',
  needs: ['locum'],
  async run(ground) {
    const wrong: string[] = []
    const lines = OWN.map((line) => `${line}\r\n`).join('')
    const heads: Readonly<Record<string, string>> = {
      head: `HTTP/1.1 200 OK\r\n${lines}Content-Length: 0\r\n\r\n`,
      interim: `HTTP/1.1 103 Early Hints\r\n${lines}\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`,
      trailer: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${lines}\r\n`,
    }
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [where, head] of Object.entries(heads)) {
        to.answer = () => head
        const answer = await ground.ask(entrance, to, { headers: asking(ground) })
        for (const [name] of JSON.stringify(answer).matchAll(/locum[-\w]*/gi))
          wrong.push(`${entrance}: ${name} came in the ${where}`)
      }
    }
    return wrong
  },
}
