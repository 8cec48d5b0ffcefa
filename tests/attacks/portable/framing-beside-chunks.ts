import type { Attack } from '../attack.ts'
import { hidden, tryFraming } from '../framing.ts'
import { codings, lengths, published } from '../gadgets.ts'

export const attack: Attack = {
  title:
    'whatever stands beside Transfer-Encoding or in its place, what comes out is one request for every reader',
  rule: 'R7',
  published: 'Node CVE-2022-32213, -32214, -32215',
  async run(ground) {
    const inside = hidden(ground)
    const chunked = `${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`
    const coding = 'Transfer-Encoding: chunked'
    return tryFraming(ground, [
      ...[...codings(), ...published()].map((lines) => ({ lines, body: chunked })),
      ...[...codings(), ...lengths(4)].flatMap((odd) => [
        { lines: `${coding}\r\n${odd}`, body: chunked },
        { lines: `${odd}\r\n${coding}`, body: chunked },
      ]),
    ])
  },
}
