import type { Attack } from '../attack.ts'
import { hidden, tryFraming } from '../framing.ts'
import { chunkLines } from '../gadgets.ts'

export const attack: Attack = {
  title: 'a chunk that two readers could end at two places does not go on',
  rule: 'R7',
  async run(ground) {
    const inside = hidden(ground)
    const lines = 'Transfer-Encoding: chunked'
    const behind = [
      '0\r\nContent-Length: 4\r\n\r\n',
      '0\r\nTransfer-Encoding: chunked\r\n\r\n',
      '0\r\nX: 1\n\r\n',
      '0\r\n X: 1\r\n\r\n',
      '0\r\nX\r\n\r\n',
      '0\r\n\n',
      '0\n\r\n',
      '0\r\n\r\r\n',
      '0;x\r\n\r\n',
      '000\r\n\r\n',
      '-0\r\n\r\n',
      '0x0\r\n\r\n',
    ]
    return tryFraming(
      ground,
      [
        ...chunkLines(inside.length).map((line) => ({ lines, body: `${line}${inside}\r\n0\r\n\r\n` })),
        ...chunkLines(5).map((line) => ({ lines, body: `${line}ABCDE\r\n0\r\n\r\n${inside}` })),
        ...behind.map((end) => ({ lines, body: `1\r\na\r\n${end}${inside}` })),
        ...['\n', '\r', '', 'x\r\n', '\r\n\r\n', '\n\r\n'].map((after) => ({
          lines,
          body: `1\r\na${after}0\r\n\r\n${inside}`,
        })),
      ].map((gadget) => ({ ...gadget, body: gadget.body.replace(/(?<=0\r\n\r\n)GET \/hidden[\s\S]*$/, '') })),
    )
  },
}
