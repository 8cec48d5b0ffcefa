import { gzipSync } from 'node:zlib'
import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { ENTRANCES, type RawResponse, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startBytes } from '../kit/upstream.ts'

/** What the upstream writes, piece by piece, each in a turn of its own. */
let says: (string | Buffer)[] = []
let ends = false
const upstream = await startBytes(t, (socket) => {
  const say = ([piece, ...more]: (string | Buffer)[]): void => {
    if (piece === undefined) {
      if (ends) socket.end()
      return
    }
    socket.write(piece)
    setImmediate(() => say(more))
  }
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('\r\n\r\n')) say(says)
  })
})
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})

const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n'
const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

for (const entrance of ENTRANCES) {
  const ask = async (): Promise<{ response: RawResponse; received: string }> => {
    const client = await sendBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: [ASKS] })
    const response = await client.response()
    client.socket.destroy()
    return { response, received: client.received }
  }

  t.test(`${entrance}: an echo on either side of what is held is found, stored as it stands`, async (t) => {
    for (const before of [65_400, 65_480, 65_495, 65_500, 65_510, 65_520, 65_536, 70_000]) {
      const text = Buffer.from(`${'abcdefg'.repeat(10_000).slice(0, before)}${SECRET}`)
      const body = gzipSync(text, { level: 0 })
      for (const cut of [10, 65_535, 65_536, body.length - 10, body.length - 9]) {
        says = [
          `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n${CHUNKED}`,
          chunk(body.subarray(0, cut)),
          ...(cut < body.length ? [chunk(body.subarray(cut))] : []),
          '0\r\n\r\n',
        ]
        const { response, received } = await ask()
        t.notOk(received.includes(SECRET), `${before}, ${cut}`)
        const unpacked = response.status === 200 && response.headers['content-encoding'] === undefined
        t.ok(response.status === 502 || !response.whole || unpacked, `${before}, ${cut}: ${response.status}`)
      }
    }
  })

  t.test(`${entrance}: what ends with its connection and is cut passes for no whole`, async (t) => {
    const body = gzipSync('nothing to see here')
    says = ['HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n', body.subarray(0, body.length - 3)]
    ends = true
    const { response } = await ask()
    ends = false
    t.equal(response.status, 502)
    t.equal(JSON.parse(response.body).code, 'upstream_invalid')
  })

  t.test(`${entrance}: a coding of the transfer, and one that trailers tell of, hide nothing`, async (t) => {
    says = [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
      chunk(gzipSync(SECRET)),
      '0\r\n\r\n',
    ]
    t.equal((await ask()).response.status, 502)
    says = [
      `HTTP/1.1 200 OK\r\n${CHUNKED}`,
      '2\r\nok\r\n0\r\nContent-Encoding: gzip\r\nContent-Type: text/plain; charset=cp037\r\n\r\n',
    ]
    const { response } = await ask()
    t.equal(response.body, 'ok')
    t.strictSame(Object.keys(response.trailers), [])
  })
}
