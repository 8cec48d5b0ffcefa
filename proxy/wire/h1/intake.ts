import type { OnReadOpts, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A head and a small body, or one record of TLS. Bytes. */
const SMALL = 16 * 1024
/** What plain sockets are read into while a body comes in bulk: half the system calls of 64 KiB, and still in the cache. */
const LARGE = 128 * 1024
/** Large ones kept for whoever reads in bulk next. */
const STOCK = 32

const stock: Buffer[] = []

/** Memory of `LARGE` bytes, with whatever it held before. */
export function takeLarge(): Buffer {
  return stock.pop() ?? Buffer.allocUnsafeSlow(LARGE)
}

/** Gives it back: nobody may look at it any more. */
export function giveLarge(memory: Buffer): void {
  if (stock.length < STOCK) stock.push(memory)
}

/** Takes a piece that was read; true: it holds some of it, until it says `release`. */
export type Reader = (chunk: Buffer) => boolean

const intakes = new WeakMap<Duplex, Intake>()

/** The intake of a socket that has one. */
export function intakeOf(socket: Duplex): Intake | undefined {
  return intakes.get(socket)
}

/**
 * The memory that one socket is read into. Node would take 64 KiB anew for each read, and the garbage
 * collector has to bring them back; here it is the same memory again, unless somebody keeps it. Without a
 * reader, and again once it let go, the socket is a stream like any other.
 */
export class Intake {
  /** For the socket that is made. */
  readonly onread: OnReadOpts
  #socket: Socket | undefined
  #reader: Reader | undefined
  #memory: Buffer | undefined
  /** The little one, while a large one is in use. */
  #small: Buffer | undefined
  /** Where the next read begins: behind what is held. */
  #from = 0
  #filled = 0
  #held = false

  constructor() {
    this.onread = {
      buffer: () => this.#next(),
      callback: (size, memory) => this.#read(memory as Buffer, size),
    }
  }

  /** Says which socket was made with `onread`. */
  serve<S extends Socket>(socket: S): S {
    this.#socket = socket
    intakes.set(socket, this)
    return socket
  }

  /** From now on what is read goes there, and the socket emits no data. */
  attach(reader: Reader): void {
    this.#reader = reader
  }

  detach(): void {
    this.#reader = undefined
  }

  /** Nothing is held any more. */
  release(): void {
    this.#held = false
  }

  /** No bulk is to be expected any more. */
  rest(): void {
    this.#filled = 0
  }

  /** What was read is somebody else's for good. */
  abandon(): void {
    this.#memory = undefined
  }

  #read(memory: Buffer, size: number): boolean {
    const chunk = memory.subarray(0, size)
    this.#filled = size
    if (this.#reader === undefined) return (this.#socket as Socket).push(Buffer.from(chunk))
    this.#held = this.#reader(chunk)
    this.#from = this.#held ? this.#from + size : 0
    return true
  }

  /** What the next read goes into; asked for before the first and behind each. */
  #next(): Buffer {
    const bulk = this.#filled >= SMALL && this.#reader !== undefined
    let memory = this.#memory
    if (memory !== undefined && memory.length - this.#from < SMALL) memory = undefined
    else if (memory !== undefined && !this.#held && bulk !== (memory.length === LARGE)) {
      if (bulk) this.#small = memory
      else giveLarge(memory)
      memory = undefined
    }
    if (memory === undefined) {
      memory = bulk ? takeLarge() : (this.#small ?? Buffer.allocUnsafeSlow(SMALL))
      if (!bulk) this.#small = undefined
      this.#memory = memory
      this.#from = 0
    }
    return this.#from === 0 ? memory : memory.subarray(this.#from)
  }
}
