import { randomBytes } from 'node:crypto'
import { createGzip, gunzipSync, gzipSync, constants as zlib } from 'node:zlib'
import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startBytes } from '../kit/upstream.ts'

/** Faults that redactors of others were published with, and a decoder's. */

let serve: (say: (bytes: Buffer | string) => void) => void = () => {}
const upstream = await startBytes(t, (socket) => {
  socket.on('data', (head: Buffer) => {
    if (head.toString('latin1').includes('\r\n\r\n')) serve((bytes) => socket.write(bytes))
  })
})
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})
const goal = { ...upstream, name: 'echo' }
const STARS = '*'.repeat(SECRET.length)
const chunk = (bytes: Buffer | string) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')])

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: varlock PR 981, a secret in two writes that come apart`, async (t) => {
    for (let cut = 1; cut < SECRET.length; cut++) {
      let goOn = (): void => {}
      serve = (say) => {
        say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        say(chunk(`before ${SECRET.slice(0, cut)}`))
        goOn = () => say(Buffer.concat([chunk(`${SECRET.slice(cut)} behind`), Buffer.from('0\r\n\r\n')]))
      }
      const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
      const sofar = await client.until((received) => received.includes('before '))
      t.notMatch(sofar, SECRET.slice(0, 3))
      goOn()
      t.equal((await client.response()).body, `before ${STARS} behind`)
      client.socket.destroy()
    }
  })

  t.test(`${entrance}: claudecode_webui#1400, a large stream is neither gathered nor cut`, async (t) => {
    const piece = randomBytes(300_000).toString('base64')
    const text = (piece + SECRET).repeat(5)
    serve = (say) => say(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    const response = await askBy(t, site, entrance, goal, { headers: [ASKS] })
    t.ok(response.body === (piece + STARS).repeat(5))
  })

  t.test(`${entrance}: claudecode_webui#1425, no event waits for the next one`, async (t) => {
    for (const packed of [false, true]) {
      const gzip = createGzip({ flush: zlib.Z_SYNC_FLUSH })
      const pack = (text: string) =>
        packed
          ? new Promise<Buffer>((resolve) => gzip.write(text, () => resolve(gzip.read() as Buffer)))
          : Buffer.from(text)
      let say: (bytes: Buffer | string) => void = () => {}
      serve = (write) => {
        say = write
        say(
          `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${packed ? 'Content-Encoding: gzip\r\n' : ''}Connection: close\r\n\r\n`,
        )
      }
      const client = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
      await client.until((received) => received.includes('\r\n\r\n'))
      let all = ''
      for (const event of ['data: {"delta":"sk"}\n\n', ': keep-alive\n\n', 'data: [DONE]\n\n']) {
        all += event
        client.received = ''
        const bytes = await pack(event)
        say(bytes)
        await client.until((received) => received.includes(bytes.toString('latin1')))
        t.notOk(client.ended, event)
      }
      t.match(all, 'DONE')
      client.reset()
    }
  })

  t.test(`${entrance}: claudecode_webui#1428, packed bytes are not taken for text`, async (t) => {
    // Bytes that are no UTF-8, and would become others if anybody read them so.
    const body = gzipSync(randomBytes(50_000))
    serve = (say) =>
      say(
        Buffer.concat([
          Buffer.from(
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`,
          ),
          body,
        ]),
      )
    const response = await askBy(t, site, entrance, goal, { headers: [ASKS, 'Accept-Encoding: gzip'] })
    t.ok(Buffer.from(response.body, 'latin1').equals(body))
    t.equal(gunzipSync(Buffer.from(response.body, 'latin1')).length, 50_000)
  })

  t.test(
    `${entrance}: undici CVE-2026-22036, a thousand steps of Content-Encoding are not taken`,
    async (t) => {
      for (const [steps, status] of [
        [Array(1_000).fill('gzip').join(', '), 502],
        [Array(10_000).fill('br').join(','), 502],
        [Array(100).fill('gzip').join('\r\nContent-Encoding: '), 502],
        [Array(5_000).fill('identity').join(', '), 200],
        [','.repeat(50_000), 200],
      ] as const) {
        serve = (say) =>
          say(
            `HTTP/1.1 200 OK\r\nContent-Encoding: ${steps}\r\nContent-Length: ${SECRET.length}\r\n\r\n${SECRET}`,
          )
        const started = performance.now()
        const response = await askBy(t, site, entrance, goal, { headers: [ASKS] })
        t.equal(response.status, status, steps.slice(0, 30))
        t.equal(
          status === 200 ? response.body : JSON.parse(response.body).code,
          status === 200 ? STARS : 'upstream_invalid',
        )
        t.ok(performance.now() - started < 2_000)
      }
    },
  )
}
