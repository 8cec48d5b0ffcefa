/** What a ClientHello is made of, beside what makes every one. */
export interface HelloParts {
  /** One server name extension for each list; one list of one name as a rule. */
  readonly names?: readonly (readonly string[])[]
  /** Other extensions: type and body. */
  readonly extensions?: readonly (readonly [type: number, body: Buffer])[]
  /** The minor version: 3 unless told. */
  readonly minor?: number
}

/** A length of `size` bytes, and what it is the length of. */
function sized(size: 1 | 2 | 3, body: Buffer): Buffer {
  const length = Buffer.alloc(size)
  length.writeUIntBE(body.length, 0, size)
  return Buffer.concat([length, body])
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 255), sized(2, body)])
}

/** A ClientHello as a handshake message (RFC 8446 §4.1.2). No server answers it well; many read its name. */
export function clientHello({ names = [], extensions = [], minor = 3 }: HelloParts = {}): Buffer {
  const lists = names.map((list) =>
    extension(
      0,
      sized(2, Buffer.concat(list.map((name) => Buffer.concat([Buffer.of(0), sized(2, Buffer.from(name))])))),
    ),
  )
  const others = extensions.map(([type, body]) => extension(type, body))
  const body = Buffer.concat([
    Buffer.of(3, minor),
    Buffer.alloc(32, 7),
    sized(1, Buffer.alloc(32, 8)),
    sized(2, Buffer.of(0x13, 0x01)),
    sized(1, Buffer.of(0)),
    sized(2, Buffer.concat([...lists, ...others])),
  ])
  return Buffer.concat([Buffer.of(1), sized(3, body)])
}

/** Handshake bytes in records of at most `size`. */
export function inRecords(message: Buffer, size = 16_384): Buffer {
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size)
    records.push(Buffer.concat([Buffer.of(22, 3, 1), sized(2, message.subarray(at, at + size))]))
  return Buffer.concat(records)
}
