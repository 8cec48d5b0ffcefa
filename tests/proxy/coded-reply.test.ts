import { randomBytes } from 'node:crypto'
import type { Transform } from 'node:stream'
import {
  createGzip,
  createZstdCompress,
  gzipSync,
  type Zlib,
  constants as zlib,
  zstdCompressSync,
} from 'node:zlib'
import t from 'tap'
import type { LocumError } from '../../core/errors.ts'
import { Needles } from '../../core/redact.ts'
import { CODED_LIMITS, type CodedLimits, CodedReply } from '../../proxy/answer/coded-reply.ts'
import { codingsOf } from '../../proxy/answer/codings.ts'
import type { ReplyTarget } from '../../proxy/answer/reply.ts'
import { Fields, type ResponseHead, WireError } from '../../proxy/wire/message.ts'
import { CODERS, type Coder } from '../kit/coders.ts'
import { SECRET } from '../kit/echo-site.ts'

const STARS = '*'.repeat(SECRET.length)

// The timers of a reply keep no process alive.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

/** Takes what a reply sends on, and waits for its end. */
class Client implements ReplyTarget {
  ondrain: (() => void) | undefined
  head: ResponseHead | undefined
  readonly pieces: Buffer[] = []
  masked = 0
  failure: LocumError | undefined
  fault: WireError | undefined
  trailers: Fields | undefined
  whole = false
  room = true
  readonly over: Promise<void>
  #end = (): void => {}
  onwrite: (() => void) | undefined

  constructor() {
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
  }
  get body(): Buffer {
    return Buffer.concat(this.pieces)
  }
  begin(head: ResponseHead): void {
    this.head = head
  }
  write(chunk: Buffer): boolean {
    if (!this.head) throw new Error('a body before its head')
    this.pieces.push(Buffer.from(chunk))
    this.onwrite?.()
    if (!this.room)
      setImmediate(() => {
        const call = this.ondrain
        this.ondrain = undefined
        call?.()
      })
    return this.room
  }
  end(trailers?: Fields): void {
    this.trailers = trailers
    this.whole = true
    this.#end()
  }
  abort(fault: WireError): void {
    this.fault = fault
    this.#end()
  }
  found(echoes: number): void {
    this.masked += echoes
  }
  fail(error: LocumError): void {
    this.failure = error
    this.#end()
  }
}

interface Shape {
  readonly block?: boolean
  readonly stream?: boolean
  readonly limits?: Partial<CodedLimits>
  readonly fields?: readonly (readonly [string, string])[]
}

function open(header: string, client: Client, x: Shape = {}): CodedReply {
  const fields = Fields.from([['Content-Encoding', header], ...(x.fields ?? [])])
  const head: ResponseHead = { status: 200, reason: 'OK', fields, contentLength: 4711 }
  const { block = false, stream = false } = x
  const needles = Needles.of([SECRET]) as Needles
  // A machine that is busy elsewhere takes no body for a stream.
  const limits = { ...CODED_LIMITS, heldMs: 60_000, ...x.limits }
  return new CodedReply({ needles, codings: codingsOf(head), head, block, stream }, client, limits)
}

/** Sends a body in chunks, as its source does: it waits where it is told to. */
async function send(header: string, chunks: readonly Buffer[], x: Shape = {}, client = new Client()) {
  const reply = open(header, client, x)
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk)
    if (!reply.write(copy) && !client.failure)
      await new Promise<void>((resolve) => {
        reply.ondrain = resolve
        void client.over.then(resolve)
      })
    // The memory is the source's again.
    copy.fill('#')
  }
  reply.end()
  await client.over
  return client
}

function coded(coder: Coder, text: string | Buffer): Buffer {
  return coder.encode(Buffer.from(text))
}

for (const coder of CODERS) {
  t.test(`${coder.name}: every cut leaves the very bytes where nothing is found`, async (t) => {
    const body = coded(coder, `{"greeting":"hello","words":["one","two","three ${SECRET.slice(0, 9)}"]}`)
    for (let cut = 0; cut <= body.length; cut++) {
      const client = await send(
        coder.header,
        [body.subarray(0, cut), body.subarray(cut)].filter(({ length }) => length),
      )
      if (!client.whole || !client.body.equals(body) || client.masked !== 0) t.fail(`cut at ${cut}`)
      t.equal(client.head?.contentLength, 4711)
    }
    const single = await send(
      coder.header,
      Array.from(body, (_, i) => body.subarray(i, i + 1)),
    )
    t.ok(single.whole && single.body.equals(body), 'byte by byte')
  })

  t.test(`${coder.name}: every cut leaves no secret where there is one`, async (t) => {
    const text = `{"greeting":"hello ${SECRET}","again":"${Buffer.from(SECRET).toString('hex')}"}`
    const body = coded(coder, text)
    const expected = text.replace(SECRET, STARS).replace(/[0-9a-f]{48}/, '*'.repeat(48))
    for (let cut = 0; cut <= body.length; cut++) {
      const client = await send(
        coder.header,
        [body.subarray(0, cut), body.subarray(cut)].filter(({ length }) => length),
      )
      if (client.body.toString() !== expected || client.masked !== 2) t.fail(`cut at ${cut}: ${client.body}`)
      t.equal(client.head?.contentLength, undefined)
      t.equal(client.head?.fields.has('content-encoding'), false)
    }
    const blocked = await send(coder.header, [body], { block: true })
    t.equal(blocked.failure?.code, 'upstream_echoed_secret')
    t.equal(blocked.head, undefined)
  })

  t.test(`${coder.name}: what is damaged, cut off or goes on behind its end is not passed`, async (t) => {
    const body = coded(coder, `${'nothing to be found in here, and nothing to be masked. '.repeat(40)}`)
    for (const [name, bytes] of [
      ['cut off', body.subarray(0, body.length - 1)],
      ['cut in the middle', body.subarray(0, body.length >> 1)],
      ['one byte', body.subarray(0, 1)],
      ['not of this coding', Buffer.from('plain text all the way')],
      ['trailing', Buffer.concat([body, Buffer.from('garbage')])],
      ['trailing secret', Buffer.concat([body, Buffer.from(SECRET)])],
    ] as const) {
      for (const stream of [false, true]) {
        const client = await send(coder.header, [bytes], { stream })
        t.match(client.failure?.code, /^upstream_(?:invalid|echoed_secret)$/, `${name} ${stream}`)
        t.equal(client.whole, false)
        if (!stream) t.equal(client.head, undefined, `${name}: nothing was sent`)
        t.notMatch(client.failure?.message, 'plain')
      }
    }
  })

  t.test(`${coder.name}: a large body passes behind what was searched, and ends at an echo`, async (t) => {
    const noise = randomBytes(300_000).toString('base64')
    const clean = coded(coder, noise)
    const pieces = (bytes: Buffer, size: number) =>
      Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      )
    for (const size of [1_000, 16_384, 65_536, 131_072]) {
      const slow = new Client()
      slow.room = size !== 16_384
      const client = await send(coder.header, pieces(clean, size), {}, slow)
      t.ok(client.whole && client.body.equals(clean), `in pieces of ${size}`)
    }
    for (const at of [0, 100_000, 250_000, noise.length]) {
      const body = coded(coder, noise.slice(0, at) + SECRET + noise.slice(at))
      for (const size of [1_000, 16_384, 131_072]) {
        const client = await send(coder.header, pieces(body, size))
        t.equal(client.failure?.code, 'upstream_echoed_secret', `an echo at ${at} in pieces of ${size}`)
        t.equal(client.whole, false)
        const got = client.body.length === 0 ? '' : coder.decode(client.body).toString('latin1')
        t.ok((noise.slice(0, at) + SECRET).startsWith(got) || noise.startsWith(got), 'only what came before')
        t.ok(got.length <= at, `no byte of the secret: ${got.length} of ${at}`)
      }
    }
  })
}

t.test('the head and the trailers of a body that is sent unpacked are those of what is sent', async (t) => {
  const client = await send('gzip', [gzipSync(SECRET)], {
    fields: [
      ['ETag', '"abc"'],
      ['Content-MD5', 'x'],
      ['Digest', 'x'],
      ['Content-Digest', 'x'],
      ['Repr-Digest', 'x'],
      ['Accept-Ranges', 'bytes'],
      ['Vary', 'Accept-Encoding'],
      ['Content-Type', 'text/plain'],
    ],
  })
  t.equal(client.body.toString(), STARS)
  const { names, values } = (client.head as ResponseHead).fields
  t.same(
    names.map((name, i) => `${name}: ${values[i]}`),
    ['etag: W/"abc"', 'accept-ranges: none', 'vary: Accept-Encoding', 'content-type: text/plain'],
  )
  const trailing = new Client()
  const reply = open('gzip', trailing)
  reply.write(gzipSync(SECRET))
  reply.end(
    Fields.from([
      ['Content-Digest', 'x'],
      ['X-Sum', '1'],
    ]),
  )
  await trailing.over
  t.same(trailing.trailers?.names, ['x-sum'])
})

t.test('nothing at all is nothing to unpack', async (t) => {
  for (const coder of CODERS) {
    const client = await send(coder.header, [])
    t.ok(client.whole && client.head && client.body.length === 0, coder.name)
  }
})

t.test('several members of gzip and frames of zstd are one body', async (t) => {
  const clean = (pack: (text: string) => Buffer) => Buffer.concat([pack('one '), pack(''), pack('two')])
  const echo = (pack: (text: string) => Buffer) =>
    Buffer.concat([pack('one '), pack(SECRET.slice(0, 9)), pack(SECRET.slice(9))])
  const skippable = Buffer.from('5a2a4d18040000006a756e6b', 'hex')
  for (const [header, pack] of [
    ['gzip', (text: string) => gzipSync(text)],
    ['zstd', (text: string) => zstdCompressSync(text)],
    ['zstd', (text: string) => Buffer.concat([skippable, zstdCompressSync(text), skippable])],
  ] as const) {
    for (const size of [1, 5, 1_000]) {
      const cut = (bytes: Buffer) =>
        Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        )
      const passed = await send(header, cut(clean(pack)))
      t.ok(passed.whole && passed.body.equals(clean(pack)), `${header} in pieces of ${size}`)
      const masked = await send(header, cut(echo(pack)))
      t.equal(masked.body.toString(), `one ${STARS}`, `${header} in pieces of ${size}`)
    }
  }
  const filled = Buffer.concat([gzipSync('padded'), Buffer.alloc(512)])
  t.ok((await send('gzip', [filled])).body.equals(filled), 'zeros behind gzip are filling')
  const hidden = Buffer.concat([gzipSync('padded'), Buffer.alloc(5), gzipSync(SECRET)])
  t.equal((await send('gzip', [hidden])).failure?.code, 'upstream_invalid')
  const many = Buffer.concat(Array.from({ length: CODED_LIMITS.frames + 1 }, () => skippable))
  t.equal((await send('zstd', [many])).failure?.code, 'upstream_invalid', 'more frames than anybody needs')
})

t.test('a secret beside the packed data does not pass either', async (t) => {
  // RFC 1952 §2.3.1: a file's name in the header.
  const packed = gzipSync('innocent')
  const named = Buffer.concat([
    packed.subarray(0, 3),
    Buffer.from([8]),
    packed.subarray(4, 10),
    Buffer.from(`${SECRET}\0`),
    packed.subarray(10),
  ])
  t.equal((await send('gzip', [named])).body.toString(), 'innocent')
  const size = Buffer.alloc(4)
  size.writeUInt32LE(SECRET.length)
  const skipped = Buffer.concat([
    Buffer.from('502a4d18', 'hex'),
    size,
    Buffer.from(SECRET),
    zstdCompressSync('innocent'),
  ])
  t.equal((await send('zstd', [skipped])).body.toString(), 'innocent')
  const streamed = await send('zstd', [skipped], { stream: true })
  t.equal(streamed.failure?.code, 'upstream_echoed_secret')
  t.notMatch(streamed.body.toString('latin1'), SECRET)
})

t.test('a bomb is given up in bounded time and memory', async (t) => {
  const zeros = Buffer.alloc(96 << 20)
  for (const coder of CODERS) {
    const bomb = coder.encode(zeros)
    const started = performance.now()
    const client = await send(coder.header, [bomb])
    t.equal(client.failure?.code, 'upstream_invalid', `${coder.name}: ${bomb.length} bytes`)
    t.equal(client.head, undefined)
    t.ok(performance.now() - started < 5_000, 'time')
  }
})

t.test('what is unpacked is not kept', async (t) => {
  const body = zstdCompressSync(Buffer.alloc(768 << 20))
  const before = process.memoryUsage.rss()
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss() - before)
  }, 5)
  const client = await send('zstd', [body], { limits: { free: 1 << 30 } })
  clearInterval(watch)
  t.ok(client.whole && client.body.equals(body))
  t.ok(peak < 256 << 20, `${peak >> 20} MiB more`)
})

t.test('no part of a zstd block goes on before all of it was seen', async (t) => {
  const zstd = createZstdCompress()
  const first = await flushed(zstd, 'data: one, two, three, and so on\n\n')
  const second = await flushed(zstd, `data: ${randomBytes(9_000).toString('base64')} ${SECRET}\n\n`)
  const cut = second.length >> 1
  const plain = [first, second.subarray(0, cut), second.subarray(cut)]
  const stored = createGzip({ level: 0, flush: zlib.Z_SYNC_FLUSH })
  const packed: Buffer[] = []
  for (const part of plain) packed.push(await flushed(stored, part))
  for (const [header, parts] of [
    ['zstd', plain],
    ['zstd, gzip', packed],
  ] as const) {
    const client = new Client()
    const reply = open(header, client, { stream: true })
    for (const part of parts) {
      await seen(reply, client, part)
      t.equal(client.body.length, parts[0]?.length, header)
    }
    t.equal(client.failure?.code, 'upstream_echoed_secret')
  }
})

t.test('a body that unpacks to little from much is no bomb', async (t) => {
  const text = 'abcdefgh'.repeat(1 << 20)
  const body = gzipSync(text)
  const client = await send('gzip', [body])
  t.ok(client.whole && client.body.equals(body))
  const echo = await send('gzip', [gzipSync(`${text}${SECRET}`)])
  t.equal(echo.failure?.code, 'upstream_echoed_secret', 'and beyond 4 MiB is not sent again')
})

t.test('events are not delayed, and end at an echo', async (t) => {
  for (const block of [false, true]) {
    const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
    const client = new Client()
    const reply = open('gzip', client, { stream: true, block })
    t.equal(client.head === undefined, block, 'the head goes at once, unless it may have to be taken back')
    const seen: string[] = []
    const plain = () => gunzipSoft(client.body)
    for (const event of ['data: one\n\n', ': ping\n\n', 'data: two\n\n', 'data: sk_live\n\n']) {
      const written = new Promise<void>((resolve) => {
        client.onwrite = () => {
          if (plain().endsWith(event)) resolve()
        }
      })
      reply.write(await flushed(gzip, event))
      await written
      seen.push(event)
      t.equal(plain(), seen.join(''))
    }
    reply.write(await flushed(gzip, `data: ${SECRET}\n\n`))
    await client.over
    t.equal(client.failure?.code, 'upstream_echoed_secret')
    t.equal(plain(), seen.join(''))
  }
})

t.test('what may begin a secret waits, packed or not, and goes on when it is none', async (t) => {
  const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
  const client = new Client()
  const reply = open('gzip', client, { stream: true })
  for (const part of ['data: ', SECRET.slice(0, 10), SECRET.slice(10, 20)])
    await seen(reply, client, await flushed(gzip, part))
  t.equal(gunzipSoft(client.body), 'data: ')
  const written = new Promise<void>((resolve) => {
    client.onwrite = () => {
      if (gunzipSoft(client.body).endsWith('!\n')) resolve()
    }
  })
  reply.write(await flushed(gzip, '!\n'))
  await written
  t.equal(gunzipSoft(client.body), `data: ${SECRET.slice(0, 20)}!\n`)
  reply.stop()
})

t.test('a stream without that name waits only for a moment', async (t) => {
  const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
  const client = new Client()
  const reply = open('gzip', client, { limits: { heldMs: 20 } })
  const written = new Promise<void>((resolve) => {
    client.onwrite = resolve
  })
  reply.write(await flushed(gzip, '{"line":1}\n'))
  t.equal(client.head, undefined)
  await written
  t.equal(gunzipSoft(client.body), '{"line":1}\n')
  reply.write(await flushed(gzip, `{"line":"${SECRET}"}\n`))
  await client.over
  t.equal(client.failure?.code, 'upstream_echoed_secret')
})

t.test('an echo whose end does not come is refused', async (t) => {
  const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
  const client = new Client()
  const reply = open('gzip', client, { limits: { heldMs: 5, echoMs: 30 } })
  reply.write(await flushed(gzip, `{"line":"${SECRET}"}\n`))
  await client.over
  t.equal(client.failure?.code, 'upstream_echoed_secret')
  t.equal(client.head, undefined)
})

t.test('an upstream that breaks off is told as it is: refused, or broken off', async (t) => {
  const held = new Client()
  const reply = open('gzip', held)
  reply.write(gzipSync('something').subarray(0, 15))
  reply.abort(new WireError('closed', 'gone'))
  await held.over
  t.equal(held.failure?.code, 'upstream_invalid')
  const late = new Client()
  open('gzip', late).abort(new WireError('timeout', 'slow', 'body'))
  t.equal(late.failure?.code, 'upstream_timeout')
  const begun = new Client()
  open('gzip', begun, { stream: true }).abort(new WireError('closed', 'gone'))
  t.equal(begun.fault?.fault, 'closed')
  t.equal(begun.failure, undefined)
})

/** Writes, and waits until it was searched. */
function seen(reply: CodedReply, client: Client, part: Buffer): Promise<void> {
  return new Promise((resolve) => {
    void client.over.then(resolve)
    reply.ondrain = resolve
    reply.write(Buffer.from(part))
  })
}

/** What a packer says of this much, at once. */
function flushed(packer: Transform & Zlib, part: string | Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    packer.write(part, () => packer.flush(() => resolve(packer.read() as Buffer)))
  })
}

function gunzipSoft(bytes: Buffer): string {
  return bytes.length === 0 ? '' : (CODERS[0] as Coder).decode(bytes).toString('latin1')
}
