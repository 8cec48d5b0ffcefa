import { ENTRANCES } from '../../kit/raw.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a redirect is passed back, and not followed with the secret',
  rule: 'R4',
  published: 'undici CVE-2023-45143',
  async run(ground) {
    const { other, otherPlain, stranger, strangerPlain } = ground
    const wrong: string[] = []
    for (const entrance of ENTRANCES.filter((one) => ground.subject.offers.has(one))) {
      const from = ground.by(entrance)
      for (const status of [300, 301, 302, 303, 307, 308]) {
        for (const to of [other, otherPlain, stranger, strangerPlain]) {
          const reply = `HTTP/1.1 ${status} Moved\r\nLocation: ${to.origin}/taken\r\nRefresh: 0; url=${to.origin}/taken\r\nContent-Length: 0\r\n\r\n`
          from.answer = () => reply
          const response = await ground.ask(entrance, from, {
            headers: ground.asks === '' ? [] : [ground.asks],
          })
          if (response.status !== status) wrong.push(`${entrance}: ${status} came as ${response.status}`)
          if (to.bytes !== '') wrong.push(`${entrance}: ${status} was followed to ${to.name}`)
          to.forget()
        }
      }
    }
    return wrong
  },
}
