/**
 * What a TLS client says in clear (RFC 8446 §4.1.2, §5.1), read as it passes. A second ClientHello, which
 * a server may ask for, is read as well: servers were seen to take its name for the first one's.
 */

const CHANGE_CIPHER_SPEC = 20
const ALERT = 21
const HANDSHAKE = 22
const APPLICATION_DATA = 23
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const EARLY_DATA = 42
/** Of a record, encrypted ones included (RFC 5246 §6.2.3). */
const RECORD_LIMIT = 18_432
/** Bytes of one ClientHello: what OpenSSL takes at the most; those of clients have two thousand. */
const HELLO_LIMIT = 131_396
/** Records that hold nothing of a ClientHello: servers take some 32 of them. */
const IDLE_LIMIT = 100

/** The server name of a ClientHello: a text, none, or something that could be read in two ways. */
export type ServerName = { readonly name: string | undefined } | 'malformed'

/** Reads records until what is said is no ClientHello. */
export class HelloReader {
  /** The ClientHellos that are whole, in order. */
  readonly hellos: ServerName[] = []
  /** What comes from here on is not read: it is encrypted, or no TLS. */
  over = false
  #type = 0
  readonly #header = Buffer.alloc(5)
  #headerSize = 0
  /** Bytes of the record that are still to come. */
  #left = 0
  /** Records so far that hold nothing of a ClientHello. */
  #idle = 0
  /** A server may skip application data then, and read the ClientHello behind it (RFC 8446 §4.2.10). */
  #early = false
  /** Handshake bytes, over the bounds of records. */
  #parts: Buffer[] = []
  #size = 0
  /** Bytes of the message that is being gathered, its head included; 0 while that is not known. */
  #wanted = 0

  feed(bytes: Buffer): void {
    let rest = bytes
    while (rest.length > 0 && !this.over) rest = this.#left > 0 ? this.#body(rest) : this.#head(rest)
  }

  #head(bytes: Buffer): Buffer {
    const taken = bytes.copy(this.#header, this.#headerSize, 0, 5 - this.#headerSize)
    this.#headerSize += taken
    const [type, major] = this.#header as unknown as [number, number]
    // Told as soon as it can be: what is no TLS may be waiting for an answer.
    // A warning, or a record that is empty, is passed over by servers, and so it is here.
    const between = this.hellos.length > 0 && (type === CHANGE_CIPHER_SPEC || type === ALERT)
    const early = this.#early && this.#size === 0 && type === APPLICATION_DATA
    const known = type === HANDSHAKE || between || early
    if (!known || (this.#headerSize > 1 && major !== 3)) this.over = true
    else if (this.#headerSize === 5) {
      this.#headerSize = 0
      this.#type = type
      this.#left = this.#header.readUInt16BE(3)
      if ((between || this.#left === 0) && ++this.#idle > IDLE_LIMIT) this.over = true
      if (this.#left > RECORD_LIMIT) this.over = true
    }
    return bytes.subarray(taken)
  }

  #body(bytes: Buffer): Buffer {
    const piece = bytes.subarray(0, this.#left)
    this.#left -= piece.length
    if (this.#type === HANDSHAKE) this.#gather(piece)
    return bytes.subarray(piece.length)
  }

  #gather(piece: Buffer): void {
    this.#parts.push(piece)
    this.#size += piece.length
    while (!this.over && this.#size >= (this.#wanted || 4)) {
      const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
      this.#parts = [all]
      if (this.#wanted === 0) {
        // Whatever its version says: servers go by an extension. Behind a change of ciphers the bytes may be
        // encrypted and look like one, but then application data comes before it is whole.
        this.#wanted = 4 + all.readUIntBE(1, 3)
        if (all[0] !== CLIENT_HELLO || this.#wanted > HELLO_LIMIT) this.over = true
        continue
      }
      const { name, early } = readHello(all.subarray(4, this.#wanted))
      this.hellos.push(name)
      this.#early ||= early
      this.#size -= this.#wanted
      this.#parts = this.#size > 0 ? [all.subarray(this.#wanted)] : []
      this.#wanted = 0
    }
  }
}

/** Steps through length-prefixed fields; every one has to end where its length says. */
class Cursor {
  at = 0
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  number(size: 1 | 2): number {
    this.skip(size)
    return this.bytes.readUIntBE(this.at - size, size)
  }

  /** The field behind its length of `size` bytes. */
  field(size: 1 | 2): Buffer {
    const length = this.number(size)
    this.skip(length)
    return this.bytes.subarray(this.at - length, this.at)
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('a field is longer than what holds it')
    this.at += count
  }
}

/** Of a ClientHello without the head of its message; `early`: it offers early data. */
function readHello(hello: Buffer): { name: ServerName; early: boolean } {
  try {
    const extensions = readExtensions(hello)
    const names = extensions.filter(([type]) => type === SERVER_NAME).map(([, body]) => readServerName(body))
    if (names.length > 1) throw new RangeError('two server names')
    return { name: { name: names[0] }, early: extensions.some(([type]) => type === EARLY_DATA) }
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown
    return { name: 'malformed', early: false }
  }
}

function readExtensions(hello: Buffer): (readonly [type: number, body: Buffer])[] {
  const cursor = new Cursor(hello)
  cursor.skip(34)
  cursor.field(1)
  cursor.field(2)
  cursor.field(1)
  if (cursor.left === 0) return []
  const list = new Cursor(cursor.field(2))
  if (cursor.left > 0) throw new RangeError('bytes behind the extensions')
  const extensions: (readonly [number, Buffer])[] = []
  while (list.left > 0) extensions.push([list.number(2), list.field(2)])
  return extensions
}

/** RFC 6066 §3: one name of one type; whoever sends more wants them read differently. */
function readServerName(body: Buffer): string {
  const outer = new Cursor(body)
  const list = new Cursor(outer.field(2))
  const type = list.number(1)
  const name = list.field(2)
  if (outer.left > 0 || list.left > 0 || type !== HOST_NAME || name.length === 0)
    throw new RangeError('a list of server names that is none')
  return name.toString('latin1')
}
