import { createHash, randomBytes } from 'node:crypto'
import { createGzip, gunzipSync, gzipSync, constants as zlib } from 'node:zlib'
import t from 'tap'
import { CODERS, type Coder } from '../kit/coders.ts'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, dial, ENTRANCES, eventually, keyLine, type RawResponse, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes, startUpstream } from '../kit/upstream.ts'

const STARS = '*'.repeat(SECRET.length)

/** What the byte-speaking upstream does with each request, by hand. */
let serve: (head: string, say: (bytes: Buffer | string) => void, end: () => void) => void = () => {}
const bytes = await startBytes(
  t,
  replying((head, socket) => {
    serve(
      head,
      (text) => socket.write(text),
      () => socket.destroy(),
    )
    return undefined
  }),
)
const upstream = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream), connectionTo(bytes, { name: 'bytes' })],
  credentials: ['echo', 'bytes'].map((connection) => ({
    connection,
    for: 'shared',
    fields: { apiKey: SECRET },
  })),
})
const goal = { ...bytes, name: 'bytes' }
type Entrance = (typeof ENTRANCES)[number]

/** Answers with this body, in one write. */
function answering(coder: Pick<Coder, 'header'>, body: Buffer, more = ''): void {
  serve = (_, say) =>
    say(
      Buffer.concat([
        Buffer.from(
          `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: ${coder.header}\r\n${more}Content-Length: ${body.length}\r\n\r\n`,
        ),
        body,
      ]),
    )
}

const ask = (entrance: Entrance, headers: readonly string[] = [], method = 'GET') =>
  askBy(t, site, entrance, goal, { method, headers: [ASKS, ...headers] })

const lastOutcome = async () => (await site.audit()).filter(({ event }) => event === 'outcome').at(-1)
const bodyOf = ({ body }: RawResponse) => Buffer.from(body, 'latin1')

for (const entrance of ENTRANCES) {
  for (const coder of CODERS) {
    t.test(`${entrance}, ${coder.name}: the upstream's own bytes come where nothing is found`, async (t) => {
      for (const size of [10, 3_000, 200_000]) {
        const body = coder.encode(randomBytes(size))
        answering(coder, body, 'ETag: "x"\r\nAccept-Ranges: bytes\r\n')
        const response = await ask(entrance)
        t.equal(response.status, 200)
        t.ok(bodyOf(response).equals(body), `${size} bytes`)
        t.equal(response.headers['content-encoding'], coder.header)
        t.equal(response.headers['content-length'], String(body.length))
        t.equal(response.headers.etag, '"x"')
        t.equal(response.headers['accept-ranges'], 'bytes')
      }
    })

    t.test(`${entrance}, ${coder.name}: a small body with an echo comes unpacked and masked`, async (t) => {
      const text = `first ${SECRET} then ${Buffer.from(SECRET).toString('base64')} last`
      answering(coder, coder.encode(Buffer.from(text)), 'ETag: "x"\r\n')
      const response = await ask(entrance)
      t.equal(response.status, 200)
      t.match(response.body, /^first \*{24} then \*{32} last$/)
      t.equal(response.headers['content-encoding'], undefined)
      t.equal(response.headers['content-length'], undefined)
      t.equal(response.headers['transfer-encoding'], 'chunked')
      t.equal(response.headers.etag, 'W/"x"')
      t.match(await lastOutcome(), { status: 200, masked: 2 })
    })

    t.test(`${entrance}, ${coder.name}: a large body ends at an echo, before it`, async (t) => {
      const noise = randomBytes(200_000).toString('base64')
      answering(coder, coder.encode(Buffer.from(noise + SECRET + noise)))
      const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
      const response = await client.response()
      // What was read at once may hold the echo before anything went on.
      if (response.status === 502) {
        t.equal(JSON.parse(response.body).code, 'upstream_echoed_secret')
        client.socket.destroy()
        return
      }
      t.equal(response.whole, false)
      const got = response.body === '' ? '' : coder.decode(bodyOf(response)).toString('latin1')
      t.ok(noise.startsWith(got), 'only what came before')
      await client.gone()
      t.match(await lastOutcome(), { status: 200, code: 'upstream_echoed_secret' })
    })
  }

  t.test(`${entrance}: what cannot be unpacked is the upstream's fault, and none of it comes`, async (t) => {
    const packed = gzipSync(`not to be seen ${SECRET.slice(0, 12)}`)
    for (const [header, body] of [
      ['gzip', packed.subarray(0, packed.length - 1)],
      ['gzip', Buffer.from('plain text')],
      ['gzip', Buffer.concat([packed, Buffer.from('more')])],
      ['br', packed],
      ['compress', packed],
      ['aes128gcm', packed],
      ['identity, x-unknown', packed],
      ['identity\r\nContent-Encoding: dcb', packed],
      ['gzip, gzip, gzip, gzip', gzipSync(gzipSync(gzipSync(packed)))],
    ] as const) {
      answering({ header }, body)
      const response = await ask(entrance)
      t.equal(response.status, 502, header)
      t.equal(JSON.parse(response.body).code, 'upstream_invalid')
      t.notMatch(response.body, 'seen')
    }
  })

  t.test(`${entrance}: an answer without a body says what codings it likes`, async (t) => {
    for (const [method, status, more] of [
      ['HEAD', '200 OK', 'Content-Length: 4711\r\n'],
      ['GET', '204 No Content', ''],
      ['GET', '304 Not Modified', 'ETag: "x"\r\n'],
      ['GET', '200 OK', 'Content-Length: 0\r\n'],
    ]) {
      serve = (_, say) => say(`HTTP/1.1 ${status}\r\nContent-Encoding: anything\r\n${more}\r\n`)
      const response = await ask(entrance, [], method)
      t.equal(response.status, Number(status?.slice(0, 3)))
      t.equal(response.headers['content-encoding'], 'anything')
    }
    serve = (_, say) =>
      say('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
    t.equal((await ask(entrance)).body, '', 'gzip of nothing at all')
  })

  t.test(`${entrance}: packed events come one by one, and end at an echo`, async (t) => {
    const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
    const packed = (text: string) =>
      new Promise<Buffer>((resolve) => gzip.write(text, () => resolve(gzip.read() as Buffer)))
    let say: (part: Buffer) => void = () => {}
    serve = (_, write) => {
      write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
      say = (part) =>
        write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]))
    }
    const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
    await client.until((received) => received.includes('\r\n\r\n'))
    client.received = ''
    const seen = () => {
      const parts: Buffer[] = []
      for (const [, part] of client.received.matchAll(/[0-9a-f]+\r\n([\s\S]*?)\r\n(?=[0-9a-f]+\r\n|$)/g))
        parts.push(Buffer.from(part as string, 'latin1'))
      return parts.length === 0
        ? ''
        : gunzipSync(Buffer.concat(parts), { finishFlush: zlib.Z_SYNC_FLUSH }).toString()
    }
    let all = ''
    for (const event of ['data: one\n\n', ': ping\n\n', 'data: two\n\n']) {
      say(await packed(event))
      all += event
      await client.until(() => seen() === all)
      t.notOk(client.ended)
    }
    say(await packed(`data: ${SECRET}\n\n`))
    await client.gone()
    t.equal(seen(), all)
    t.match(await lastOutcome(), { code: 'upstream_echoed_secret' })
  })

  t.test(`${entrance}: trailers behind a packed body are masked too`, async (t) => {
    for (const text of ['nothing', `an echo of ${SECRET}`]) {
      const body = gzipSync(text)
      serve = (_, say) =>
        say(
          Buffer.concat([
            Buffer.from(
              `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`,
            ),
            body,
            Buffer.from(`\r\n0\r\nX-Echo: ${SECRET}\r\nRepr-Digest: x\r\n\r\n`),
          ]),
        )
      const { trailers, body: got } = await ask(entrance)
      t.equal(trailers['x-echo'], STARS)
      t.equal(trailers['repr-digest'], text === 'nothing' ? 'x' : undefined)
      if (text !== 'nothing') t.equal(got, `an echo of ${STARS}`)
    }
  })

  t.test(`${entrance}: what a client accepts goes on, as far as it can be searched`, async (t) => {
    for (const [asked, sent] of [
      [[], undefined],
      [['Accept-Encoding: gzip, deflate, br, zstd'], 'gzip, deflate, br, zstd'],
      [['Accept-Encoding: gzip, dcb, br;q=0.5, *;q=0.1'], 'gzip, br;q=0.5'],
      [['Accept-Encoding: dcz'], 'identity'],
      [['Accept-Encoding: *'], 'identity'],
      [['Accept-Encoding: gzip', 'accept-encoding: aes128gcm'], 'gzip'],
      [['Accept-Encoding: gzip', 'Range: bytes=0-99'], 'identity'],
    ] as const) {
      await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: [ASKS, ...asked] })
      t.equal(upstream.requests.at(-1)?.headers['accept-encoding'], sent, asked.join(' '))
      await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: asked })
      const raw = asked.filter((line) => /^accept/i.test(line)).map((line) => line.slice(17))
      t.equal(
        upstream.requests.at(-1)?.headers['accept-encoding'],
        raw.length > 0 ? raw.join(', ') : undefined,
      )
    }
  })

  t.test(
    `${entrance}: a part of something is searched as it is, and noted; of something packed it is refused`,
    async (t) => {
      const before = site.running.room.counts.unsearched
      serve = (_, say) =>
        say(
          `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-25/100\r\nContent-Length: ${SECRET.length + 2}\r\n\r\n<${SECRET}>`,
        )
      const response = await ask(entrance, ['Range: bytes=0-25'])
      t.equal(response.status, 206)
      t.equal(response.body, `<${STARS}>`)
      t.match(await lastOutcome(), { unsearched: 'partial', masked: 1 })
      const body = gzipSync(`what ${SECRET} is`)
      serve = (_, say) =>
        say(
          Buffer.concat([
            Buffer.from(
              `HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Range: bytes 10-99/100\r\nContent-Length: ${body.length - 10}\r\n\r\n`,
            ),
            body.subarray(10),
          ]),
        )
      const refused = await ask(entrance, ['Range: bytes=10-'])
      t.equal(JSON.parse(refused.body).code, 'upstream_invalid')
      t.equal(site.running.room.counts.unsearched, before + 2)
    },
  )

  t.test(`${entrance}: pictures, sound and film are not searched, and noted; drawings are`, async (t) => {
    const body = gzipSync(`an echo of ${SECRET}`)
    for (const [type, searched] of [
      ['image/png', false],
      ['audio/mpeg; x=1', false],
      ['Video/MP4', false],
      ['image/svg+xml', true],
      ['image/svg+xml; charset=utf-8', true],
      ['image/png, text/html', true],
      ['image/png\r\nContent-Type: text/html', true],
    ] as const) {
      serve = (_, say) =>
        say(
          Buffer.concat([
            Buffer.from(
              `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`,
            ),
            body,
          ]),
        )
      const response = await ask(entrance)
      t.equal(bodyOf(response).equals(body), !searched, type)
      t.equal((await lastOutcome())?.unsearched, searched ? undefined : 'media')
    }
  })

  t.test(`${entrance}: a slow client of a large packed body gets every byte`, async (t) => {
    const body = gzipSync(randomBytes(6_000_000))
    answering({ header: 'gzip' }, body)
    const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
    await client.until((received) => received.includes('\r\n\r\n'))
    client.socket.pause()
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
    client.socket.resume()
    const response = await client.response()
    const digest = (of: Buffer) => createHash('sha256').update(of).digest('hex')
    t.equal(digest(bodyOf(response)), digest(body))
    client.socket.destroy()
  })

  t.test(`${entrance}: whoever goes in the middle of a packed body leaves nothing behind`, async (t) => {
    const body = gzipSync('hello')
    serve = (_, say) =>
      say(
        `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n${body.toString('latin1').slice(0, 10)}`,
      )
    const open = bytes.open
    const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
    await eventually(() => bytes.open > open || site.running.room.live.size > 0, 'it is under way')
    client.reset()
    await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
    serve = (_, say, end) => {
      say(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`)
      end()
    }
    const response = await ask(entrance)
    t.equal(response.status, 502)
    t.equal(JSON.parse(response.body).code, 'upstream_invalid')
  })
}

t.test('every cut of a small body, on sockets', async (t) => {
  const client = await dial(t, site.port)
  const request = `GET http://${goal.authority}/ HTTP/1.1\r\nHost: ${goal.authority}\r\n${keyLine(site, 'forward', 'ada')}${ASKS}\r\n\r\n`
  for (const coder of CODERS.slice(0, 6)) {
    for (const text of ['{"a":"nothing to find"}', `{"a":"${SECRET}"}`]) {
      const body = coder.encode(Buffer.from(text))
      let wrong = 0
      for (let cut = 1; cut < body.length; cut++) {
        serve = (_, say) => {
          say(
            `HTTP/1.1 200 OK\r\nContent-Encoding: ${coder.header}\r\nTransfer-Encoding: chunked\r\n\r\n${cut.toString(16)}\r\n`,
          )
          say(body.subarray(0, cut))
          say(`\r\n${(body.length - cut).toString(16)}\r\n`)
          say(body.subarray(cut))
          say('\r\n0\r\n\r\n')
        }
        const response = await client.send(request).response()
        const expected = text.includes(SECRET) ? text.replace(SECRET, STARS) : body.toString('latin1')
        if (response.body !== expected || !response.whole) wrong++
      }
      t.equal(wrong, 0, `${coder.name}: ${text}`)
    }
  }
  client.socket.destroy()
})
