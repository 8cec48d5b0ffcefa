import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
  'valueOf',
  'then',
]

export const attack: Attack = {
  title: 'a header named as what every object has is a header like any other',
  rule: 'R7',
  published: 'Node CVE-2026-21710',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const name of NAMES) {
        to.answer = () => `HTTP/1.1 200 OK\r\n${name}: answer\r\n${name}: again\r\nContent-Length: 0\r\n\r\n`
        const answer = await ground.ask(entrance, to, {
          method: 'POST',
          headers: asking(
            ground,
            `${name}: 1`,
            `${name}: 2`,
            `Connection: ${name}x`,
            `Content-Type: application/json`,
            'Transfer-Encoding: chunked',
          ),
          raw: `2\r\n{}\r\n0\r\n${name}: trailer\r\n\r\n`,
        })
        if (answer.status !== 200) wrong.push(`${entrance}: ${name} is answered with ${answer.status}`)
        if (!new RegExp(`^${name}: ?1`, 'im').test(to.bytes))
          wrong.push(`${entrance}: ${name} does not arrive`)
        to.reset()
      }
    }
    return wrong
  },
}
