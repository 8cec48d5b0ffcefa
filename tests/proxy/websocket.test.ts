import t from 'tap'
import { Needles } from '../../core/redact.ts'
import { FrameMask } from '../../proxy/answer/websocket.ts'
import { SECRET } from '../kit/echo-site.ts'

const needles = Needles.of([SECRET]) as Needles
const stars = '*'.repeat(SECRET.length)

/** A frame as a server sends one: not masked, in one piece. */
function frame(payload: string, { first = 0x81, long = false } = {}): Buffer {
  const bytes = Buffer.from(payload, 'latin1')
  const { length } = bytes
  if (length < 126 && !long) return Buffer.concat([Buffer.from([first, length]), bytes])
  const head = Buffer.alloc(long || length > 0xffff ? 10 : 4)
  head[0] = first
  head[1] = head.length === 10 ? 127 : 126
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  else head.writeUInt16BE(length, 2)
  return Buffer.concat([head, bytes])
}

/** Pushes copies of the pieces, since they may be written over. */
function pass(...pieces: Buffer[]): { out: Buffer; hits: number } {
  const mask = new FrameMask(needles)
  const out = pieces.map((piece) => mask.push(Buffer.from(piece)) ?? Buffer.alloc(0))
  return { out: Buffer.concat([...out, mask.end() ?? Buffer.alloc(0)]), hits: mask.hits }
}

t.test('masks a secret in a frame, whatever the cuts and the way its length is written', async (t) => {
  const filler = 'x'.repeat(150)
  const sent = Buffer.concat([
    frame(`a${SECRET}b`),
    frame(''),
    frame(`${filler}${SECRET}`),
    frame(SECRET, { long: true }),
    frame('', { first: 0x8a }),
  ])
  const expected = Buffer.concat([
    frame(`a${stars}b`),
    frame(''),
    frame(`${filler}${stars}`),
    frame(stars, { long: true }),
    frame('', { first: 0x8a }),
  ])
  for (let cut = 0; cut <= sent.length; cut++) {
    const { out, hits } = pass(sent.subarray(0, cut), sent.subarray(cut))
    if (!out.equals(expected) || hits !== 3) t.fail(`cut at ${cut}`)
  }
  const single = pass(...Array.from(sent, (byte) => Buffer.from([byte])))
  t.ok(single.out.equals(expected), 'byte by byte')
  t.equal(single.hits, 3)
})

t.test('holds nothing back at the end of a frame, whatever it ends with', async (t) => {
  const mask = new FrameMask(needles)
  for (let length = 1; length < SECRET.length; length++) {
    const sent = frame(SECRET.slice(0, length))
    t.ok(mask.push(Buffer.from(sent))?.equals(sent), `the first ${length} characters of the secret`)
  }
  t.equal(mask.hits, 0)
})

t.test('takes what stands in a head for no part of a secret', async (t) => {
  // The length of the second frame reads like the secret's next letter.
  const head = SECRET.slice(0, 4)
  const next = 'y'.repeat(SECRET.charCodeAt(5))
  const sent = Buffer.concat([frame(head), frame(next, { first: 0x81 })])
  t.ok(pass(sent).out.equals(sent))
})

t.test('refuses frames that would hide what they hold', async (t) => {
  const masked = frame('abcdefgh')
  masked[1] = (masked[1] as number) | 0x80
  for (const bytes of [
    masked,
    frame('abc', { first: 0xc1 }),
    frame('abc', { first: 0xa1 }),
    frame('abc', { first: 0x91 }),
  ])
    t.throws(() => new FrameMask(needles).push(bytes), /hides what it holds|beyond all bounds/)
  const endless = frame('abc', { long: true })
  endless.writeBigUInt64BE(0xffff_ffff_ffff_ffffn, 2)
  t.throws(() => new FrameMask(needles).push(endless), /hides what it holds|beyond all bounds/)
})
