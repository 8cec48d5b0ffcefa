import fc from 'fast-check'
import t from 'tap'
import { type BodyOwner, BodyReader } from '../../proxy/wire/h1/body-reader.ts'
import { type BodyChannel, BodyWriter } from '../../proxy/wire/h1/body-writer.ts'
import { CHUNKED, CLOSE, type Framing, LENGTH, NONE } from '../../proxy/wire/h1/head-writer.ts'
import { LIMITS, type Limits, limitsWith } from '../../proxy/wire/limits.ts'
import { type BodySink, Fields, WireError } from '../../proxy/wire/message.ts'
import { faultOf } from './kit.ts'

const OWNER: BodyOwner = { pump() {}, bodyStarted() {}, chunkKept() {} }

class Kept implements BodySink {
  ondrain: (() => void) | undefined
  text = ''
  ends = 0
  trailers: Fields | undefined
  fault: WireError | undefined
  room = true
  write(chunk: Buffer): boolean {
    this.text += chunk.toString('latin1')
    return this.room
  }
  end(trailers?: Fields): void {
    this.ends++
    this.trailers = trailers
  }
  abort(fault: WireError): void {
    this.fault = fault
  }
}

/** Reads the pieces as a body; what lies behind it is `rest`. */
function read(framing: Framing, length: number, pieces: Buffer[], limits: Readonly<Limits> = LIMITS) {
  const sink = new Kept()
  const reader = new BodyReader(OWNER, framing, length, limits)
  reader.start(sink)
  let rest = ''
  try {
    for (const piece of pieces) {
      if (reader.done) rest += piece.toString('latin1')
      else if (piece.length > 0) rest += reader.feed(piece)?.toString('latin1') ?? ''
    }
    if (reader.done) reader.end()
  } catch (fault) {
    if (!(fault instanceof WireError)) throw fault
    reader.fail(fault)
  }
  return { sink, rest, done: reader.done }
}

const CHUNKS =
  '5\r\nhello\r\n00000000000001A;a;b=c;d="e\\"f;"\r\n, this is the second part.\r\n0;last\r\nX-Sum: 1\r\nHost: no\r\n__proto__: x\r\n\r\nbehind'

t.test('reads a body to its length and not a byte beyond, however it is cut', async (t) => {
  const bytes = Buffer.from('0123456789behind')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { sink, rest } = read(LENGTH, 10, [bytes.subarray(0, cut), bytes.subarray(cut)])
    t.same([sink.text, sink.ends, rest], ['0123456789', 1, 'behind'], `cut at ${cut}`)
  }
})

t.test('takes the chunked coding off, however it is cut', async (t) => {
  const bytes = Buffer.from(CHUNKS)
  const expected = ['hello, this is the second part.', 1, 'behind', ['x-sum', '__proto__']]
  const got = (pieces: Buffer[]) => {
    const { sink, rest } = read(CHUNKED, 0, pieces)
    return [sink.text, sink.ends, rest, sink.trailers?.names]
  }
  for (let first = 0; first <= bytes.length; first++)
    for (let second = first; second <= bytes.length; second += 3) {
      const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
      if (JSON.stringify(got(pieces)) !== JSON.stringify(expected))
        t.same(got(pieces), expected, `${first}, ${second}`)
    }
  t.same(got([...bytes].map((byte) => Buffer.from([byte]))), expected, 'byte by byte')
})

t.test('refuses chunks that can be read in two ways, however they are cut', async (t) => {
  for (const text of [
    '\r\n',
    ' 5\r\nhello\r\n',
    '5 \r\nhello\r\n',
    '5\nhello\r\n',
    '5\r\r\nhello\r\n',
    '5\r\r;ABCD\r\n',
    '0x5\r\nhello\r\n',
    '+5\r\nhello\r\n',
    '-5\r\nhello\r\n',
    '5_0\r\nhello\r\n',
    'g\r\nhello\r\n',
    '\xb5\r\nhello\r\n',
    '5\r\nhelloX\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '5\r\nhelloX\n0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '1234567890abcdef\r\n',
    'fffffffffffffff\r\n',
    '5;\r\nhello\r\n',
    '5;;a\r\nhello\r\n',
    '5; a\r\nhello\r\n',
    '5;a=\r\nhello\r\n',
    '5;a="b\r\nhello\r\n',
    '5;a\nhello\r\n',
    '5;a\x00\r\nhello\r\n',
    '5;a\x80\r\nhello\r\n',
    '5,a\r\nhello\r\n',
    '0\r\nX\r\n\r\n',
    '0\r\nX: a\n\r\n\r\n',
    '0\r\n X: a\r\n\r\n',
    '0\r\nX : a\r\n\r\n',
    '0\r\nX: \x01\r\n\r\n',
    '0\r\n\n',
    '0\n\r\n',
  ]) {
    const bytes = Buffer.from(text, 'latin1')
    for (let cut = 0; cut < bytes.length; cut++) {
      const { sink } = read(CHUNKED, 0, [bytes.subarray(0, cut), bytes.subarray(cut)])
      if (sink.fault?.fault !== 'malformed' || sink.ends > 0) t.fail(`${JSON.stringify(text)} cut at ${cut}`)
    }
  }
  t.pass('each of them, cut everywhere')
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte)
    if (/[0-9a-fA-F]/.test(char)) continue
    const { sink } = read(CHUNKED, 0, [Buffer.from(`${char}\r\n${'x'.repeat(300)}\r\n`, 'latin1')])
    t.equal(sink.fault?.fault, 'malformed', `the digit ${byte}`)
  }
})

t.test('leaves out a trailer that must not be one, also where it is the first or the only one', async (t) => {
  for (const [lines, names] of [
    ['Host: no\r\n', undefined],
    ['Content-Length: 1\r\nX-Sum: 1\r\n', ['x-sum']],
    ['X-Sum: 1\r\nTransfer-Encoding: chunked\r\n', ['x-sum']],
  ] as const) {
    const { sink, done } = read(CHUNKED, 0, [Buffer.from(`0\r\n${lines}\r\n`)])
    t.ok(done)
    t.same(sink.trailers?.names, names)
  }
})

t.test('bounds what a body can carry beside itself', async (t) => {
  const fault = (text: string, limits?: Limits) =>
    read(CHUNKED, 0, [Buffer.from(text)], limits).sink.fault?.fault
  t.equal(fault(`1;${'x'.repeat(300)}\r\na\r\n`), 'malformed', 'one extension')
  t.equal(fault(`1;${'x'.repeat(200)}\r\na\r\n`.repeat(100)), 'malformed', 'all extensions')
  t.equal(fault(`1;${'x'.repeat(200)}\r\na\r\n`.repeat(50)), undefined)
  t.equal(fault(`0\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), 'malformed', 'a trailer section’s bytes')
  t.equal(fault(`0\r\n${'X: 1\r\n'.repeat(101)}\r\n`), 'malformed', 'a trailer section’s lines')
  t.equal(fault(`0\r\n${'X: 1\r\n'.repeat(3)}\r\n`, limitsWith({ trailerLines: 2 })), 'malformed')
})

t.test('reads a body that a close delimits until it is told', async (t) => {
  const reader = new BodyReader(OWNER, CLOSE, 0, LIMITS)
  const sink = new Kept()
  reader.start(sink)
  t.equal(reader.feed(Buffer.from('abc')), undefined)
  t.equal(sink.ends, 0)
  reader.end()
  t.same([sink.text, sink.ends], ['abc', 1])
})

t.test('stops where the sink has no room, and goes on at its word', async (t) => {
  let pumped = 0
  const reader = new BodyReader(
    { pump: () => pumped++, bodyStarted() {}, chunkKept() {} },
    CHUNKED,
    0,
    LIMITS,
  )
  const sink = new Kept()
  reader.start(sink)
  sink.room = false
  const rest = reader.feed(Buffer.from('1\r\na\r\n1\r\nb\r\n0\r\n\r\n'))
  t.equal(sink.text, 'a')
  t.equal(reader.flowing, false)
  sink.ondrain?.()
  t.equal(pumped, 2, 'at the start, and now')
  sink.room = true
  reader.feed(rest as Buffer)
  t.equal(sink.text, 'ab')
  t.equal(reader.done, true)
})

t.test('tells a body that failed before it was started', async (t) => {
  const reader = new BodyReader(OWNER, LENGTH, 5, LIMITS)
  reader.fail(new WireError('closed', 'gone'))
  const sink = new Kept()
  reader.start(sink)
  t.equal(sink.fault?.fault, 'closed')
})

t.test('drains what is discarded up to its limit', async (t) => {
  const limits = limitsWith({ drainBytes: 10 })
  const reader = new BodyReader(OWNER, LENGTH, 20, limits)
  t.equal(reader.oversize, true)
  reader.discard()
  reader.feed(Buffer.alloc(10))
  t.equal(reader.exhausted, false)
  reader.feed(Buffer.alloc(5))
  t.equal(reader.exhausted, true)
  t.ok(faultOf(() => reader.start(new Kept())))
})

class Channel implements BodyChannel {
  readonly limits = limitsWith({ joinBytes: 64 })
  text = ''
  writes = 0
  written = 0
  fault: WireError | undefined
  sendText(latin1: string): boolean {
    this.writes++
    this.text += latin1
    return true
  }
  sendBytes(bytes: Buffer): boolean {
    return this.sendText(bytes.toString('latin1'))
  }
  sendPiece(before: string, bytes: Buffer, after: string): boolean {
    return this.sendText(before + bytes.toString('latin1') + after)
  }
  bodyWritten(): void {
    this.written++
  }
  bodyBroken(fault: WireError): void {
    this.fault = fault
  }
}

t.test('sends a head and small pieces of a body as text, and nothing after the end', async (t) => {
  const channel = new Channel()
  const writer = new BodyWriter(channel, CHUNKED, 0, 'HEAD;')
  writer.write(Buffer.from('one'))
  writer.write(Buffer.alloc(0))
  writer.write(Buffer.from('two'))
  writer.end(
    Fields.from([
      ['X-Sum', '1'],
      ['Authorization', 'no'],
      ['Content-Length', '5'],
    ]),
  )
  t.equal(channel.text, 'HEAD;3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 1\r\n\r\n')
  t.equal(channel.written, 1)
  writer.write(Buffer.from('late'))
  writer.end()
  writer.abort(new WireError('closed', ''))
  t.match(channel.text, /Sum: 1\r\n\r\n$/)
  t.same([channel.written, channel.fault], [1, undefined])
})

t.test('breaks off a body that is longer or shorter than its head said', async (t) => {
  const longer = new Channel()
  const writer = new BodyWriter(longer, LENGTH, 3, '')
  writer.write(Buffer.from('ab'))
  writer.write(Buffer.from('cd'))
  t.equal(longer.fault?.fault, 'overrun')
  t.notMatch(longer.text, /d/)
  const shorter = new Channel()
  new BodyWriter(shorter, LENGTH, 3, '').end()
  t.same([shorter.fault?.fault, shorter.written], ['overrun', 0])
})

t.test('leaves the bytes of a body out where there is none', async (t) => {
  const channel = new Channel()
  const writer = new BodyWriter(channel, NONE, 0, 'HEAD;')
  writer.write(Buffer.from('body'))
  writer.end()
  t.equal(channel.text, 'HEAD;')
})

t.test('breaks off rather than write a trailer that could be read as another', async (t) => {
  const channel = new Channel()
  new BodyWriter(channel, CHUNKED, 0, '').end(Fields.from([['X', 'a\r\n\r\nb']]))
  t.equal(channel.fault?.fault, 'malformed')
  t.equal(channel.text, '')
})

t.test('reads back every body that it writes', async (t) => {
  t.plan(1)
  const pieces = fc.array(fc.uint8Array({ minLength: 0, maxLength: 200 }).map((bytes) => Buffer.from(bytes)))
  fc.assert(
    fc.property(pieces, fc.boolean(), fc.nat(1000), (pieces, chunked, cut) => {
      const body = Buffer.concat(pieces)
      const channel = new Channel()
      const writer = new BodyWriter(channel, chunked ? CHUNKED : LENGTH, body.length, '')
      for (const piece of pieces) writer.write(piece)
      writer.end()
      if (body.length === 0 && !chunked) return channel.text === ''
      const bytes = Buffer.from(channel.text, 'latin1')
      const { sink, rest, done } = read(chunked ? CHUNKED : LENGTH, body.length, [
        bytes.subarray(0, cut),
        bytes.subarray(cut),
      ])
      return done && rest === '' && sink.text === body.toString('latin1')
    }),
  )
  t.pass('each of them')
})
