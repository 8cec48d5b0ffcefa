import { asking } from '../asking.ts'
import type { Attack } from '../attack.ts'

const ORDERS = [
  'Set-Cookie: session=1; Path=/',
  'Set-Cookie2: a=b',
  'Clear-Site-Data: "*"',
  'Alt-Svc: h3="evil.example:443"',
  'Service-Worker-Allowed: /',
  'Access-Control-Allow-Origin: *',
  'Access-Control-Allow-Credentials: true',
  'Strict-Transport-Security: max-age=31536000',
  'NEL: {}',
  'Report-To: {}',
  'Reporting-Endpoints: a="https://evil.example/"',
  'Refresh: 0; url=https://evil.example/',
  'Location: https://evil.example/',
]

export const attack: Attack = {
  title: "an upstream tells a browser nothing about the gateway's origin, and its documents are nobody's",
  rule: 'R13',
  needs: ['gateway'],
  async run(ground) {
    const { allowed } = ground
    const wrong: string[] = []
    const lines = ORDERS.map((line) => `${line}\r\n`).join('')
    allowed.answer = () => `HTTP/1.1 200 OK\r\n${lines}Content-Type: text/html\r\nContent-Length: 2\r\n\r\nhi`
    const answer = await ground.ask('gateway', allowed, { headers: asking(ground) })
    for (const order of ORDERS) {
      const [name] = order.split(':') as [string]
      if (answer.lines.includes(order)) wrong.push(`${name} came to the client`)
    }
    if (!/sandbox/.test(answer.headers['content-security-policy'] ?? ''))
      wrong.push('a document is not sandboxed')
    allowed.forget()
    for (const [what, more] of [
      [
        'a navigation',
        ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Sec-Fetch-Site: cross-site'],
      ],
      ['an origin that nobody listed', ['Origin: https://evil.example']],
      ['the origin null', ['Origin: null']],
    ] as const) {
      const { status, headers } = await ground.ask('gateway', allowed, { headers: asking(ground, ...more) })
      if (status < 400) wrong.push(`${what} is answered with ${status}`)
      if (headers['access-control-allow-origin'] !== undefined) wrong.push(`${what} is allowed to read`)
      if (allowed.bytes !== '') wrong.push(`${what} was sent on`)
      allowed.forget()
    }
    return wrong
  },
}
