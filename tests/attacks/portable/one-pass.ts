import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'an answer that holds a placeholder is handed to the client as it is',
  rule: 'R6',
  needs: ['placeholders'],
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const body = `here ${ground.placeholder}`
      to.answer = () =>
        `HTTP/1.1 200 OK\r\nX-Note: ${ground.placeholder}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      const answer = await ground.ask(entrance, to, { headers: asking(ground) })
      if (answer.body !== body) wrong.push(`${entrance}: the body came as ${answer.body.length} other bytes`)
      if (answer.headers['x-note'] !== ground.placeholder) wrong.push(`${entrance}: the header was changed`)
    }
    return wrong
  },
}
