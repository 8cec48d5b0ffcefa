import type { Duplex } from 'node:stream'
import type { Limits } from '../limits.ts'
import { type Tunnel, WireError } from '../message.ts'
import type { BodyOwner, BodyReader } from './body-reader.ts'
import { type Clock, clockOf, type Timed } from './clock.ts'
import { HeadBytes } from './head-bytes.ts'
import { type Intake, intakeOf } from './intake.ts'
import { Outlet } from './outlet.ts'
import { NOTHING, outliveReset, sendWithoutDelay } from './socket.ts'

/** How most connections end; one for all, since each Error walks the stack. */
const ENDED = new WireError('closed', 'the peer ended the connection')

/**
 * What both sides do with a socket: read while somebody wants the bytes and never more than one piece
 * beyond, write and notice a peer that does not read, keep two deadlines, and survive whatever breaks.
 */
export abstract class Connection implements BodyOwner, Timed {
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
  gone = false
  /** Deadlines by the clock; 0 is none. */
  protected readBy = 0
  protected writeBy = 0
  protected fault: WireError | undefined
  readonly #outlet: Outlet
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
    this.#outlet = new Outlet(socket, limits, this)
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
    return this.#outlet.full
  }

  /** Goes out at the end of this turn of the event loop, or with what is sent next. */
  sendText(latin1: string): boolean {
    return this.#outlet.sendText(latin1)
  }

  sendBytes(bytes: Buffer): boolean {
    return this.#outlet.sendPiece('', bytes, '')
  }

  /** One write to the system, where the platform has one for several pieces. */
  sendPiece(before: string, bytes: Buffer, after: string): boolean {
    return this.#outlet.sendPiece(before, bytes, after)
  }

  /** Writes what waits now. */
  flush(): void {
    this.#outlet.flush()
  }

  bodyStarted(): void {}

  chunkKept(): void {
    this.#kept = true
  }

  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#kept = false
    try {
      while (this.held !== undefined && !this.gone && this.step(this.held));
    } finally {
      this.#pumping = false
    }
    if (this.#kept) this.#intake?.abandon()
    if (this.held === undefined) this.#intake?.release()
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

  /** Nothing is expected for a while. */
  protected rest(): void {
    this.#intake?.rest()
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
    const pause = this.held !== undefined || this.reader?.stalled === true
    if (pause !== this.#paused) {
      this.#paused = pause
      if (pause) this.socket.pause()
      else this.socket.resume()
    }
    this.settled(!pause)
  }

  wrote(room: boolean): void {
    if (!room && this.writeBy === 0) this.writeBy = this.clock.after(this.limits.writeStallMs)
  }

  roomAgain(): void {
    if (this.writeBy !== 0) this.#onDrain()
  }

  #onChunk = (chunk: Buffer): boolean => {
    this.#onData(chunk)
    return this.held !== undefined
  }

  #onData = (chunk: Buffer): void => {
    this.held = this.held === undefined ? chunk : joined(this.held, chunk)
    this.pump()
  }

  #onEnd = (): void => {
    this.peerEnded = true
    this.pump()
  }

  #onDrain = (): void => {
    this.writeBy = 0
    this.#outlet.drained()
    this.drained()
  }

  #onError = (): void => {
    this.fault ??= new WireError('reset', 'the connection broke')
  }

  #onClose = (): void => {
    if (this.gone) return
    // What was read before a proper end still counts.
    if (this.peerEnded && this.fault === undefined && this.held !== undefined) return
    this.fail(this.fault ?? ENDED)
  }
}

/** Without a copy where one was read right behind the other. */
function joined(one: Buffer, next: Buffer): Buffer {
  if (one.buffer !== next.buffer || one.byteOffset + one.length !== next.byteOffset)
    return Buffer.concat([one, next])
  return Buffer.from(one.buffer, one.byteOffset, one.length + next.length)
}
