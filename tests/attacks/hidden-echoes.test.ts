import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { ENTRANCES, eventually, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startBytes } from '../kit/upstream.ts'

/** What the upstream says to everything. */
let says: (string | Buffer)[] = []
const start = () =>
  startBytes(t, (socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (!chunk.includes('\r\n\r\n')) return
      for (const piece of says) socket.write(piece)
    })
  })
const upstreams = { echo: await start(), strict: await start() }
const NAMES = ['echo', 'strict'] as const
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [
    connectionTo(upstreams.echo),
    connectionTo(upstreams.strict, { name: 'strict', redact: 'block' }),
  ],
  credentials: NAMES.map((connection) => ({ connection, for: 'shared', fields: { apiKey: SECRET } })),
})

const PLAIN = Buffer.from('nothing to see here')

/** A gzip member whose header says a name, a comment or something extra. */
function member(x: { name?: string; comment?: string; extra?: string }, data: Buffer = PLAIN): Buffer {
  const whole = gzipSync(data)
  const flags = (x.extra ? 4 : 0) | (x.name ? 8 : 0) | (x.comment ? 16 : 0)
  const extra = Buffer.from(x.extra ?? '', 'latin1')
  return Buffer.concat([
    whole.subarray(0, 3),
    Buffer.from([flags]),
    whole.subarray(4, 10),
    ...(x.extra ? [Buffer.from([extra.length & 255, extra.length >> 8]), extra] : []),
    ...(x.name ? [Buffer.from(`${x.name}\0`, 'latin1')] : []),
    ...(x.comment ? [Buffer.from(`${x.comment}\0`, 'latin1')] : []),
    whole.subarray(10),
  ])
}

function skippable(text: string): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a53, 0)
  head.writeUInt32LE(text.length, 4)
  return Buffer.concat([head, Buffer.from(text, 'latin1')])
}

/** A block of metadata in brotli, in front of a stream that holds nothing (RFC 7932 §9.2). */
function metadata(text: string): Buffer {
  // WBITS 16 (0), not the last (0), MNIBBLES 0 (11), reserved 0, MSKIPBYTES 1 (01), the length less one.
  const bits = 0b0 | (0b0 << 1) | (0b11 << 2) | (0 << 4) | (0b01 << 5) | ((text.length - 1) << 7)
  return Buffer.concat([
    Buffer.from([bits & 255, (bits >> 8) & 255]),
    Buffer.from(text, 'latin1'),
    Buffer.from([0b11]),
  ])
}

const E = `x ${SECRET} y`
const noise = gzipSync(Buffer.alloc(0))
const CASES: Record<string, [encoding: string, body: Buffer]> = {
  'the name in a gzip header': ['gzip', member({ name: E })],
  'a comment in it': ['gzip', member({ comment: E })],
  'something extra in it': ['x-gzip', member({ extra: E })],
  'the name of a second member': ['gzip', Buffer.concat([gzipSync(PLAIN), member({ name: E })])],
  'the name of a member after many empty ones': [
    'gzip',
    Buffer.concat([...Array.from({ length: 500 }, () => noise), member({ name: E })]),
  ],
  'a frame of zstd that is skipped': ['zstd', Buffer.concat([zstdCompressSync(PLAIN), skippable(E)])],
  'nothing but such a frame': ['zstd', skippable(E)],
  'metadata of brotli': ['br', metadata(E)],
  'a stored block': ['deflate', deflateRawSync(Buffer.from(E), { level: 0 })],
  'a name inside of gzip in gzip': ['gzip, gzip', gzipSync(member({ name: E }))],
  'a name inside of gzip in brotli': ['gzip, br', brotliCompressSync(member({ comment: E }))],
  'a skipped frame inside of gzip': [
    'zstd, gzip',
    gzipSync(Buffer.concat([zstdCompressSync(PLAIN), skippable(E)])),
  ],
  'a skipped frame two deep': [
    'zstd, deflate, gzip',
    gzipSync(deflateSync(Buffer.concat([zstdCompressSync(PLAIN), skippable(E)]))),
  ],
  'identity beside it': ['identity, gzip', gzipSync(E)],
  'upper case': ['GZIP', gzipSync(E)],
  'two fields': ['gzip\r\ncontent-encoding: br', brotliCompressSync(gzipSync(E))],
}

const form = SECRET.slice(0, 12)

for (const entrance of ENTRANCES) {
  for (const name of NAMES) {
    t.test(`${entrance}, ${name}: what a decoder leaves out is searched all the same`, async (t) => {
      for (const [what, [encoding, body]] of Object.entries(CASES)) {
        for (const type of ['text/plain', 'text/event-stream']) {
          says = [
            `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Encoding: ${encoding}\r\nContent-Length: ${body.length}\r\n\r\n`,
            body,
          ]
          const client = await sendBy(t, site, entrance, { ...upstreams[name], name }, { headers: [ASKS] })
          const response = await client.response()
          client.socket.destroy()
          // Packed in between, it cannot be read; what it was packed from can be.
          const masked = response.status === 200 && response.headers['content-encoding'] === undefined
          if (masked) t.equal(response.whole, true, what)
          else t.ok(response.status === 502 || !response.whole, `${what} by ${type}`)
          t.notMatch(response.body, form, what)
        }
      }
    })
  }
}

t.test('an echo in whatever a head says of the connection, and behind chunks, is not passed', async (t) => {
  for (const [head, rest] of [
    [`HTTP/1.1 426 ${E}\r\nUpgrade: ${SECRET}\r\nContent-Length: 0\r\n\r\n`, ''],
    [`HTTP/1.1 200 OK\r\nConnection: ${SECRET}\r\nKeep-Alive: ${SECRET}=5\r\nContent-Length: 0\r\n\r\n`, ''],
    [
      `HTTP/1.1 200 OK\r\n${SECRET}: x\r\nVia: 1.1 ${SECRET}\r\nTrailer: ${SECRET}\r\nContent-Length: 0\r\n\r\n`,
      '',
    ],
    [
      `HTTP/1.1 200 OK\r\nSet-Cookie: a="${SECRET}"\r\nETag: "${SECRET}"\r\nRefresh: 0;url=/${SECRET}\r\nContent-Length: 0\r\n\r\n`,
      '',
    ],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      `3;x=${SECRET}\r\nabc\r\n0;${SECRET}\r\nX-${SECRET}: ${SECRET}\r\n\r\n`,
    ],
    [
      `HTTP/1.1 103 ${SECRET}\r\nX: ${SECRET}\r\nLink: </${SECRET}>\r\n\r\n`,
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    ],
    [
      `HTTP/1.1 302 Found\r\nLocation: https://x.example/?${SECRET}\r\nContent-Location: /${SECRET}\r\nContent-Length: 0\r\n\r\n`,
      '',
    ],
    [
      'HTTP/1.1 200 OK\r\nContent-Type: multipart/byteranges; boundary=b\r\n',
      `Content-Length: ${2 * SECRET.length}\r\n\r\n${SECRET}${SECRET}`,
    ],
  ] as const) {
    for (const entrance of ENTRANCES) {
      for (const name of NAMES) {
        says = [head, rest]
        const client = await sendBy(t, site, entrance, { ...upstreams[name], name }, { headers: [ASKS] })
        await eventually(() => client.ended || /\r\n\r\n/.test(client.received), 'an answer')
        await client.response()
        t.notMatch(client.received, SECRET.slice(3), `${entrance}, ${name}: ${head}`)
        client.socket.destroy()
      }
    }
  }
})
