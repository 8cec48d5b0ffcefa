import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

export const attack: Attack = {
  title: 'no host is filled in for that is not known, whatever is asked for in its name',
  rule: 'R2',
  published: 'onecli PR 438',
  needs: ['placeholders'],
  async run(ground) {
    const { strangerPlain, stranger, placeholder } = ground
    const lines = [
      ground.asks,
      `X-Api-Key: ${placeholder}`,
      `Authorization: Basic ${Buffer.from(`${placeholder}:x`).toString('base64')}`,
      `Cookie: key=${placeholder}`,
    ]
    const wrong: string[] = []
    for (const line of lines) {
      if (ground.subject.offers.has('forward')) {
        const client = await ground.send('forward', strangerPlain, { headers: [line] })
        await statusOf(client)
      }
      if (ground.subject.offers.has('connect')) {
        const client = await ground.send('connect', stranger, { headers: [line] }).catch(() => undefined)
        if (client) await statusOf(client)
      }
    }
    for (const { name, bytes } of [strangerPlain, stranger])
      if (bytes.includes(placeholder)) wrong.push(`the placeholder itself was sent on to ${name}`)
    return wrong
  },
}
