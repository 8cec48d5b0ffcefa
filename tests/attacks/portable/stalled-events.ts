import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'an event goes on as soon as it came, masked, and does not wait for the next',
  rule: 'R11',
  published: 'claudecode_webui#1428',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      const event = `data: hello ${to.secret}\n\n`
      to.answer = () =>
        `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${event.length.toString(16)}\r\n${event}\r\n`
      const client = await ground.send(entrance, to, { headers: asking(ground, 'Accept: text/event-stream') })
      const late = setTimeout(() => client.socket.destroy(), 3000)
      const text = await client.until((received) => /data: hello [^\n]+\n\n/.test(received))
      clearTimeout(late)
      if (!/data: hello [^\n]+\n\n/.test(text)) wrong.push(`${entrance}: it waits for more`)
      client.socket.destroy()
    }
    return wrong
  },
}
