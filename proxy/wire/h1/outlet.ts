import type { Duplex } from 'node:stream'
import type { Limits } from '../limits.ts'
import { giveLarge, takeLarge } from './intake.ts'
import { flushAtTurnEnd, type Waiting } from './turn.ts'

/** The connection that speaks through it. */
interface OutletOwner {
  readonly gone: boolean
  /** After each write to the socket: whether that has room for more, or is still written from. */
  wrote(room: boolean): void
  /** A large piece is written, and its source waits. */
  roomAgain(): void
}

/**
 * What one side of a connection says. Text and middling pieces wait for the end of the turn of the event
 * loop and go out as one write; large pieces go as they came.
 */
export class Outlet implements Waiting {
  readonly #socket: Duplex
  readonly #limits: Readonly<Limits>
  readonly #owner: OutletOwner
  /** Sent and not yet written: behind what was gathered. */
  #text = ''
  #gathered: Buffer | undefined
  #gatheredBytes = 0
  /** Memory that the socket still writes from, in order. */
  readonly #writing: Buffer[] = []
  /** A source waits until its large piece is written. */
  #awaited = false

  constructor(socket: Duplex, limits: Readonly<Limits>, owner: OutletOwner) {
    this.#socket = socket
    this.#limits = limits
    this.#owner = owner
  }

  get full(): boolean {
    return this.#socket.writableNeedDrain
  }

  /** All three tell whether there is room for more. */
  sendText(latin1: string): boolean {
    if (this.#text.length + latin1.length > this.#limits.joinBytes) this.flush()
    if (this.#text === '' && this.#gathered === undefined) flushAtTurnEnd(this)
    this.#text += latin1
    return !this.full
  }

  /** False also means that the bytes are still written from. */
  sendPiece(before: string, bytes: Buffer, after: string): boolean {
    const text = this.#text + before
    this.#text = ''
    if (bytes.length < this.#limits.gatherBytes) {
      const room = this.#gather(text, bytes)
      this.#text = after
      return room
    }
    this.#writeGathered('')
    const socket = this.#socket
    if (text === '' && after === '') socket.write(bytes, this.#onWritten)
    else {
      socket.cork()
      if (text !== '') socket.write(text, 'latin1')
      socket.write(bytes, this.#onWritten)
      if (after !== '') socket.write(after, 'latin1')
      socket.uncork()
    }
    const written = socket.writableLength === 0
    this.#awaited = !written
    this.#owner.wrote(written)
    return written
  }

  /** Writes what waits now. */
  flush(): void {
    const text = this.#text
    this.#text = ''
    if (this.#owner.gone) return
    if (this.#gathered !== undefined) this.#writeGathered(text)
    else if (text === '') return
    else if (!this.#awaited) this.#owner.wrote(this.#socket.write(text, 'latin1'))
    else this.#owner.wrote(this.#socket.write(text, 'latin1', this.#onWritten))
  }

  /** What is gathered for a socket that takes no more waits until it does. */
  turnEnded(): void {
    if (this.#gathered === undefined || !this.full) this.flush()
  }

  /** The socket takes more again. */
  drained(): void {
    if (this.#gathered !== undefined) this.flush()
  }

  #gather(text: string, bytes: Buffer): boolean {
    if (this.#gatheredBytes + text.length + bytes.length > (this.#gathered?.length ?? 0)) {
      this.#writeGathered('')
      this.#gathered = takeLarge()
      flushAtTurnEnd(this)
    }
    const into = this.#gathered as Buffer
    const at = this.#gatheredBytes + text.length
    if (text !== '') into.write(text, this.#gatheredBytes, 'latin1')
    into.set(bytes, at)
    this.#gatheredBytes = at + bytes.length
    return !this.full || this.#gatheredBytes + this.#socket.writableLength < this.#limits.aheadBytes
  }

  /** … with `text` behind. */
  #writeGathered(text: string): void {
    const memory = this.#gathered
    if (memory === undefined) return
    const socket = this.#socket
    let size = this.#gatheredBytes
    this.#gathered = undefined
    this.#gatheredBytes = 0
    this.#writing.push(memory)
    const apart = size + text.length > memory.length
    if (apart) socket.cork()
    else size += memory.write(text, size, 'latin1')
    let room = socket.write(memory.subarray(0, size), this.#onGatheredWritten)
    if (apart) {
      room = socket.write(text, 'latin1')
      socket.uncork()
    }
    this.#owner.wrote(room)
  }

  #onWritten = (error?: Error | null): void => {
    if (error || !this.#awaited || this.#socket.writableLength > 0) return
    this.#awaited = false
    this.#owner.roomAgain()
  }

  #onGatheredWritten = (error?: Error | null): void => {
    const memory = this.#writing.shift() as Buffer
    // After a failure the system may not be done with it.
    if (error) return
    giveLarge(memory)
    this.#onWritten()
  }
}
