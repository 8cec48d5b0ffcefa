import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { Intake } from '../../proxy/wire/h1/intake.ts'
import { Outlet } from '../../proxy/wire/h1/outlet.ts'
import { LIMITS } from '../../proxy/wire/limits.ts'
import type { BodySink } from '../../proxy/wire/message.ts'
import { plainHead } from './kit.ts'

/** A socket that is done with what was written when it is told so, and looks at it only then. */
class SlowSocket extends Duplex {
  readonly taken: string[] = []
  #done: (() => void) | undefined
  override _read(): void {}
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.#done = () => {
      this.taken.push(chunk.toString('latin1'))
      done()
    }
  }
  override _writev(chunks: readonly { chunk: Buffer }[], done: () => void): void {
    this.#done = () => {
      for (const { chunk } of chunks) this.taken.push(chunk.toString('latin1'))
      done()
    }
  }
  complete(): void {
    const done = this.#done
    this.#done = undefined
    done?.()
  }
  async completeAll(): Promise<string> {
    for (let i = 0; i < 50; i++) {
      await turn()
      this.complete()
    }
    return this.taken.join('')
  }
}

function speak(highWaterMark = 65_536) {
  const socket = new SlowSocket({ highWaterMark })
  const told = { room: [] as boolean[], again: 0 }
  const outlet = new Outlet(socket, LIMITS, {
    gone: false,
    wrote: (room) => told.room.push(room),
    roomAgain: () => told.again++,
  })
  socket.on('drain', () => outlet.drained())
  return { socket, outlet, told }
}

t.test('a large piece that is still written from is not given back', async (t) => {
  const { socket, outlet, told } = speak()
  const large = Buffer.alloc(LIMITS.gatherBytes, 'x')
  t.equal(outlet.sendPiece('', large, ''), false)
  t.same(told, { room: [false], again: 0 })
  t.equal(await socket.completeAll(), large.toString())
  t.equal(told.again, 1)
})

t.test('whoever waits for a large piece is told, whatever is said behind it', async (t) => {
  for (const behind of [0, 20_000]) {
    const { socket, outlet, told } = speak(1 << 20)
    outlet.sendPiece('', Buffer.alloc(LIMITS.gatherBytes, 'x'), '')
    outlet.sendText('text')
    await turn()
    if (behind > 0) outlet.sendPiece('', Buffer.alloc(behind, 'y'), '')
    await socket.completeAll()
    t.equal(told.again, 1, `${behind} bytes`)
  }
})

t.test('middling pieces of a turn are one write, and theirs no more when they are sent', async (t) => {
  const { socket, outlet } = speak()
  const piece = Buffer.alloc(20_000)
  let expected = ''
  outlet.sendText('head\n')
  expected += 'head\n'
  for (const letter of 'abc') {
    t.equal(outlet.sendPiece('<', piece.fill(letter), '>'), true)
    expected += `<${letter.repeat(20_000)}>`
  }
  outlet.sendText('tail')
  await turn()
  socket.complete()
  t.same(socket.taken, [`${expected}tail`])
})

t.test('what is gathered is not gathered into again before it is written', async (t) => {
  const all = Array.from({ length: 40 }, () => speak())
  for (const round of 'abc') {
    for (const { outlet } of all) outlet.sendPiece('', Buffer.alloc(50_000, round), '')
    await turn()
  }
  for (const { socket } of all) {
    t.equal(await socket.completeAll(), 'a'.repeat(50_000) + 'b'.repeat(50_000) + 'c'.repeat(50_000))
  }
})

t.test('what comes while a peer takes nothing is one write when it does', async (t) => {
  const { socket, outlet } = speak()
  outlet.sendPiece('', Buffer.alloc(60_000, 'a'), '')
  outlet.sendPiece('', Buffer.alloc(60_000, 'b'), '')
  await turn()
  for (const letter of 'cde') {
    t.equal(outlet.sendPiece('', Buffer.alloc(20_000, letter), ''), true)
    await turn()
  }
  await socket.completeAll()
  t.same(
    socket.taken.map(({ length }) => length),
    [120_000, 60_000],
  )
})

t.test('pieces stay in their order, whatever their size, and are told to wait in time', async (t) => {
  const size = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 20_000 }),
    fc.integer({ min: 60_000, max: 70_000 }),
    fc.constant(131_072),
  )
  const step = fc.record({
    size,
    text: fc.string({ maxLength: 20, unit: 'grapheme-ascii' }),
    turn: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const { socket, outlet } = speak()
      let expected = ''
      let waiting = 0
      for (const [i, { size, text, turn: pause }] of steps.entries()) {
        const bytes = Buffer.alloc(size, String.fromCharCode(97 + i))
        expected += text + bytes.toString('latin1') + text
        const room =
          size < 100
            ? outlet.sendText(text + bytes.toString('latin1') + text)
            : outlet.sendPiece(text, bytes, text)
        waiting = room ? 0 : waiting + 1
        if (pause) await turn()
        if (pause && i % 2 === 0) socket.complete()
      }
      outlet.flush()
      t.equal(await socket.completeAll(), expected)
    }),
    { numRuns: 60 },
  )
  const { outlet } = speak()
  let sent = 0
  while (outlet.sendPiece('', Buffer.alloc(16_384), '')) {
    sent += 16_384
    await turn()
  }
  t.ok(sent <= LIMITS.aheadBytes, `${sent} bytes for a peer that takes none`)
})

t.test('what waits for a sink without room is not read over', async (t) => {
  const intake = new Intake()
  const socket = intake.serve(new SlowSocket() as unknown as Socket)
  const connection = connectH1(socket)
  t.teardown(() => connection.destroy())
  const { buffer, callback } = intake.onread
  const next = buffer as () => Buffer
  let memory = next()
  const read = (text: string) => {
    callback(memory.write(text, 'latin1'), memory)
    memory = next()
  }
  let got = ''
  let room = false
  const sink: BodySink = {
    ondrain: undefined,
    write(chunk) {
      got += chunk.toString('latin1')
      return room
    },
    end() {},
    abort() {},
  }
  const unexpected = () => t.fail('unexpected')
  connection.send(plainHead(), undefined, {
    informational: unexpected,
    response: (_, body) => body.start(sink),
    upgraded: unexpected,
    failed: unexpected,
  })
  read('HTTP/1.1 200 OK\r\nContent-Length: 160000\r\n\r\n')
  let expected = ''
  for (let i = 0; i < 10; i++) {
    const piece = String.fromCharCode(97 + i).repeat(16_000)
    expected += piece
    // Records of TLS come on after nobody reads any longer.
    read(piece)
    if (i !== 6) continue
    room = true
    sink.ondrain?.()
  }
  t.equal(got, expected)
})

t.test('no read goes where something is held or kept, whatever was read before', async (t) => {
  const step = fc.record({
    share: fc.double({ min: 0.01, max: 1, noNaN: true }),
    use: fc.constantFrom('free', 'hold', 'keep', 'keep and hold'),
    release: fc.boolean(),
    keepLater: fc.boolean(),
    rest: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const intake = new Intake()
      const { buffer, callback } = intake.onread
      const next = buffer as () => Buffer
      const kept: { chunk: Buffer; copy: Buffer }[] = []
      let held: { chunk: Buffer; copy: Buffer }[] = []
      let use = 'free'
      intake.attach((chunk) => {
        const one = { chunk, copy: Buffer.from(chunk) }
        if (use.includes('keep')) {
          kept.push(one)
          intake.abandon()
        }
        if (use.includes('hold') || held.length > 0) held.push(one)
        return held.length > 0
      })
      let memory = next()
      for (const [i, step] of steps.entries()) {
        const size = Math.max(1, Math.floor(step.share * memory.length))
        t.ok(memory.length >= 16_384, 'there is room to read into')
        memory.fill(i & 255, 0, size)
        use = step.use
        callback(size, memory)
        memory = next()
        if (step.release && held.length > 0) {
          // What was held is used up later: perhaps by somebody who keeps it.
          if (step.keepLater) {
            kept.push(...held)
            intake.abandon()
          }
          held = []
          intake.release()
        }
        if (step.rest) intake.rest()
        for (const { chunk, copy } of [...kept, ...held])
          if (!chunk.equals(copy)) t.fail('a byte was changed')
      }
    }),
    { numRuns: 500 },
  )
  t.pass()
})
