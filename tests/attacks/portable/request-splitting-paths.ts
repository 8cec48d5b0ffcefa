import { asking, entrancesOf, settled } from '../asking.ts'
import type { Attack } from '../attack.ts'

/** Characters whose last byte is CR, LF or a blank: a writer that cuts them to a byte writes a line end. */
const CUT = ['\u010d\u010a', '\u560d\u560a', '\uff0d\uff0a', '\u0120', '\u{1f60d}\u010a']
const CODED = [
  '%0d%0a',
  '%0D%0A',
  '%250d%250a',
  '%u000d%u000a',
  '%c4%8d%c4%8a',
  '%e5%98%8d%e5%98%8a',
  '%00',
  '%0a',
  '%20HTTP/1.1%0d%0a',
  '\\r\\n',
]

export const attack: Attack = {
  title: 'no character of a path becomes the end of a line upstream',
  rule: 'R9',
  published: 'Node CVE-2018-12116',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const odd of [
        ...CUT.map((one) => Buffer.from(one).toString('latin1')),
        ...CODED,
        '\r\n',
        '\n',
        '\r',
      ]) {
        const client = await ground.send(entrance, to, {
          path: `/outer${odd}X-Split:${odd}${odd}GET /hidden`,
          headers: asking(ground),
        })
        await settled(client)
        if (/^(?:X-Split|GET \/hidden)/m.test(to.bytes))
          wrong.push(`${entrance}: ${JSON.stringify(odd)} ends a line`)
        to.reset()
      }
    }
    return wrong
  },
}
