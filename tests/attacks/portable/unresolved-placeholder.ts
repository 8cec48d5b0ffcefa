import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a placeholder that stands for nothing is refused, and does not leave',
  rule: 'R5',
  published: 'OpenShell PR 2162',
  needs: ['placeholders'],
  async run(ground) {
    const wrong: string[] = []
    const unknown = [
      ground.placeholder.replace('API_Key', 'No_Such_Field'),
      ground.placeholder.replace('API_Key', ''),
      ground.placeholder.slice(0, -1),
      `${ground.placeholder.slice(0, 2)}${ground.placeholder}`,
    ]
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const one of unknown) {
        const { status } = await ground.ask(entrance, to, { headers: [`Authorization: Bearer ${one}`] })
        if (to.bytes.includes(one)) wrong.push(`${entrance}: ${one} was sent on`)
        else if (status < 400 && !to.bytes.includes(to.secret as string))
          wrong.push(`${entrance}: ${one} was answered with ${status}`)
        to.forget()
      }
      await ground.ask(entrance, to, { headers: asking(ground) })
    }
    return wrong
  },
}
