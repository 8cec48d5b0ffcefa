import type { Duplex } from 'node:stream'
import type { Limits } from '../limits.ts'
import { type Tunnel, WireError } from '../message.ts'
import type { BodyOwner, BodyReader } from './body-reader.ts'
import { type Clock, clockOf, type Timed } from './clock.ts'
import { HeadBytes } from './head-bytes.ts'
import { giveLarge, type Intake, intakeOf, takeLarge } from './intake.ts'
import { NOTHING, outliveReset, sendWithoutDelay } from './socket.ts'
import { flushAtTurnEnd, type Waiting } from './turn.ts'

/**
 * What both sides do with a socket: read while somebody wants the bytes and never more than one piece
 * beyond, write and notice a peer that does not read, keep two deadlines, and survive whatever breaks.
 */
export abstract class Connection implements BodyOwner, Timed, Waiting {
  readonly limits: Readonly<Limits>
  onclose: (() => void) | undefined
  protected readonly socket: Duplex
  protected readonly clock: Clock
  protected readonly bytes = new HeadBytes()
  /** Read and not yet used. While there is any, the socket is not read. */
  protected held: Buffer | undefined
  /** The body that is being read. */
  protected reader: BodyReader | undefined
  protected peerEnded = false
  protected gone = false
  /** Deadlines by the clock; 0 is none. */
  protected readBy = 0
  protected writeBy = 0
  protected fault: WireError | undefined
  /** Sent and not yet written. */
  #text = ''
  /** Pieces of a middling size that go out with it, before it. */
  #gathered: Buffer | undefined
  #gatheredBytes = 0
  /** Memory that the socket still writes from, in order. */
  readonly #writing: Buffer[] = []
  readonly #intake: Intake | undefined
  /** Somebody keeps what was read last. */
  #kept = false
  #paused = false
  #pumping = false

  constructor(socket: Duplex, limits: Readonly<Limits>, idleMs: number) {
    this.limits = limits
    this.socket = socket
    this.clock = clockOf(limits.tickMs)
    this.clock.watch(this)
    this.readBy = this.clock.after(idleMs)
    sendWithoutDelay(socket)
    this.#intake = intakeOf(socket)
    this.#intake?.attach(this.#onChunk)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    if (socket.destroyed) process.nextTick(this.#onClose)
    else socket.resume()
  }

  /** Uses some of what is held; false where nobody wants more of it now. */
  protected abstract step(held: Buffer): boolean
  /** After each turn of steps. `reading`: the socket is being read. */
  protected abstract settled(reading: boolean): void
  /** The peer sends no more, and everything it sent was used. */
  protected abstract ended(): void
  /** The deadline of reading has passed. */
  protected abstract late(): void
  /** The connection is lost to whatever was under way. */
  protected abstract fail(fault: WireError): void
  protected abstract drained(): void

  get full(): boolean {
    return this.socket.writableNeedDrain
  }

  /** Goes out at the end of this turn of the event loop, or with what is sent next. */
  sendText(latin1: string): boolean {
    if (this.#text.length + latin1.length > this.limits.joinBytes) this.flush()
    if (this.#text === '' && this.#gathered === undefined) flushAtTurnEnd(this)
    this.#text += latin1
    return !this.full
  }

  sendBytes(bytes: Buffer): boolean {
    return this.sendPiece('', bytes, '')
  }

  /**
   * One write to the system, where the platform has one for several pieces. A middling piece is copied and
   * goes out with the others of this turn; false for a large one also means that it is still written from.
   */
  sendPiece(before: string, bytes: Buffer, after: string): boolean {
    const text = this.#text + before
    this.#text = ''
    if (bytes.length < this.limits.gatherBytes) {
      this.#gather(text, bytes)
      this.#text = after
      return !this.full
    }
    this.#writeGathered('')
    const { socket } = this
    if (text === '' && after === '') socket.write(bytes, this.#onWritten)
    else {
      socket.cork()
      if (text !== '') socket.write(text, 'latin1')
      socket.write(bytes, this.#onWritten)
      if (after !== '') socket.write(after, 'latin1')
      socket.uncork()
    }
    return this.#sent(socket.writableLength === 0)
  }

  /** Writes what waits now. */
  flush(): void {
    const text = this.#text
    this.#text = ''
    if (this.gone) return
    if (this.#gathered !== undefined) this.#writeGathered(text)
    else if (text !== '') this.#sent(this.socket.write(text, 'latin1'))
  }

  #gather(text: string, bytes: Buffer): void {
    let into = this.#gathered
    if (into !== undefined && this.#gatheredBytes + text.length + bytes.length > into.length) {
      this.#writeGathered('')
      into = undefined
    }
    if (into === undefined) {
      flushAtTurnEnd(this)
      into = takeLarge()
      this.#gathered = into
    }
    const at = this.#gatheredBytes
    into.write(text, at, 'latin1')
    into.set(bytes, at + text.length)
    this.#gatheredBytes = at + text.length + bytes.length
  }

  /** … with `text` behind. */
  #writeGathered(text: string): void {
    const memory = this.#gathered
    if (memory === undefined) return
    const { socket } = this
    const size = this.#gatheredBytes
    const fits = size + text.length <= memory.length
    this.#gathered = undefined
    this.#gatheredBytes = 0
    this.#writing.push(memory)
    if (fits) memory.write(text, size, 'latin1')
    else socket.cork()
    let room = socket.write(memory.subarray(0, fits ? size + text.length : size), this.#onGatheredWritten)
    if (!fits) {
      room = socket.write(text, 'latin1')
      socket.uncork()
    }
    this.#sent(room)
  }

  bodyStarted(): void {}

  chunkKept(): void {
    this.#kept = true
  }

  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.held !== undefined && !this.gone && this.step(this.held));
    } finally {
      this.#pumping = false
    }
    this.#settle()
  }

  tick(now: number): void {
    if (this.writeBy !== 0 && now > this.writeBy)
      this.fail(new WireError('timeout', 'the peer does not read', 'write'))
    else if (this.readBy !== 0 && now > this.readBy) {
      this.readBy = 0
      this.late()
    }
  }

  /** Lets go of the socket, paused, with what was read beyond the head. */
  protected detach(): Tunnel {
    const { socket } = this
    this.flush()
    socket.pause()
    this.#intake?.detach()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('drain', this.#onDrain)
    socket.off('error', this.#onError)
    socket.off('close', this.#onClose)
    socket.on('error', outliveReset)
    const rest = this.held === undefined ? NOTHING : Buffer.from(this.held)
    this.held = undefined
    return { socket, rest }
  }

  /** Nothing more is done for it; its owner is told. */
  protected retire(): void {
    this.gone = true
    this.held = undefined
    this.clock.unwatch(this)
    const { onclose } = this
    this.onclose = undefined
    onclose?.()
  }

  /** Decides, after what is held was offered, whether more is read. */
  #settle(): void {
    if (this.gone) return
    if (this.peerEnded && this.held === undefined) {
      this.ended()
      if (this.gone) return
    }
    const pause = this.held !== undefined
    if (pause !== this.#paused) {
      this.#paused = pause
      if (pause) this.socket.pause()
      else this.socket.resume()
    }
    this.settled(!pause)
  }

  #sent(room: boolean): boolean {
    if (!room && this.writeBy === 0) this.writeBy = this.clock.after(this.limits.writeStallMs)
    return room
  }

  #onChunk = (chunk: Buffer): boolean => {
    this.#kept = false
    this.#onData(chunk)
    return !this.#kept && this.held === undefined
  }

  #onWritten = (error?: Error | null): void => {
    if (!error && this.writeBy !== 0 && this.socket.writableLength === 0) this.#onDrain()
  }

  #onGatheredWritten = (error?: Error | null): void => {
    const memory = this.#writing.shift() as Buffer
    // After a failure the system may not be done with it.
    if (!error) giveLarge(memory)
  }

  #onData = (chunk: Buffer): void => {
    this.held = this.held === undefined ? chunk : Buffer.concat([this.held, chunk])
    this.pump()
  }

  #onEnd = (): void => {
    this.peerEnded = true
    this.pump()
  }

  #onDrain = (): void => {
    this.writeBy = 0
    this.drained()
  }

  #onError = (): void => {
    this.fault ??= new WireError('reset', 'the connection broke')
  }

  #onClose = (): void => {
    if (this.gone) return
    // What was read before a proper end still counts.
    if (this.peerEnded && this.fault === undefined && this.held !== undefined) return
    this.fail(this.fault ?? new WireError('closed', 'the peer ended the connection'))
  }
}
