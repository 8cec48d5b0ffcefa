import type { Asked } from '../../kit/raw.ts'
import { entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'a secret is put in where it belongs and nowhere else: no other header, target, body or trailer',
  rule: 'R5',
  needs: ['placeholders'],
  async run(ground) {
    const { placeholder } = ground
    const wrong: string[] = []
    const bare = encodeURIComponent(placeholder)
    const places: readonly (readonly [where: string, asked: Asked])[] = [
      ['a header of its own', { headers: [`X-Note: ${placeholder}`] }],
      ['Cookie', { headers: [`Cookie: a=${placeholder}`] }],
      ['User-Agent', { headers: [`User-Agent: ${placeholder}`] }],
      ['Referer', { headers: [`Referer: https://x/${placeholder}`] }],
      ['Origin', { headers: [`Origin: ${placeholder}`] }],
      ['Content-Type', { headers: [`Content-Type: ${placeholder}`] }],
      ['Trailer', { headers: [`Trailer: ${placeholder}`] }],
      ['Connection', { headers: [`Connection: ${placeholder}`] }],
      ['path', { path: `/${bare}` }],
      ['query', { path: `/?q=${bare}` }],
      ['query as it stands', { path: `/?q=${placeholder}` }],
      ['body', { method: 'POST', body: placeholder }],
      [
        'JSON',
        {
          method: 'POST',
          headers: ['Content-Type: application/json'],
          body: JSON.stringify({ a: placeholder }),
        },
      ],
      [
        'form',
        { method: 'POST', headers: ['Content-Type: application/x-www-form-urlencoded'], body: `a=${bare}` },
      ],
      [
        'trailer',
        {
          method: 'POST',
          headers: ['Transfer-Encoding: chunked', 'Trailer: Authorization'],
          raw: `1\r\nx\r\n0\r\nAuthorization: Bearer ${placeholder}\r\n\r\n`,
        },
      ],
    ]
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [where, asked] of places) {
        await ground.ask(entrance, to, asked)
        if (to.bytes.includes(to.secret as string)) wrong.push(`${entrance}: ${where} was filled in`)
        to.forget()
      }
    }
    return wrong
  },
}
