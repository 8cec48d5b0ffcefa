import t from 'tap'
import { ASKS, connectionTo, MASKED, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, type RawResponse } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes, startUpstream } from '../kit/upstream.ts'

/** What the byte-speaking upstream says next. */
let says = ''
const upstream = await startUpstream(t)
const bytes = await startBytes(
  t,
  replying(() => says),
)
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream), connectionTo(bytes, { name: 'bytes' })],
  credentials: ['echo', 'bytes'].map((connection) => ({
    connection,
    for: 'shared',
    fields: { apiKey: SECRET },
  })),
})
const goal = { ...upstream, name: 'echo' }
const stars = '*'.repeat(SECRET.length)

async function reply(entrance: (typeof ENTRANCES)[number], text: string): Promise<RawResponse> {
  says = text
  return askBy(t, site, entrance, { ...bytes, name: 'bytes' }, { headers: [ASKS] })
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: an echo is masked wherever it stands in a head`, async (t) => {
    const response = await reply(
      entrance,
      `HTTP/1.1 203 It was ${SECRET}\r\nX-A: a ${SECRET} b ${SECRET}\r\nX-${SECRET}: 1\r\nX-B64: ${Buffer.from(`:${SECRET}`).toString('base64')}\r\nWWW-Authenticate: Bearer error="${SECRET}"\r\nContent-Length: 0\r\n\r\n`,
    )
    t.equal(response.status, 203)
    t.equal(response.reason, `It was ${stars}`)
    t.equal(response.headers['x-a'], `a ${stars} b ${stars}`)
    t.notMatch(JSON.stringify(response), SECRET)
    t.match(response.headers['x-b64'], /^.{0,2}\*{20,}.{0,4}$/)
    t.match(response.headers['www-authenticate'], stars)
    t.equal(response.headers[`x-${stars}`], '1', 'in a name too')
  })

  t.test(`${entrance}: an echo is masked across every cut of a chunked body`, async (t) => {
    for (const size of [1, 2, 5, 7, 13, 31, 64]) {
      const { status, body } = await askBy(t, site, entrance, goal, {
        path: `/chunks/${size}`,
        headers: [ASKS],
      })
      t.equal(status, 200)
      t.equal(body, MASKED.repeat(50), `in pieces of ${size}`)
    }
    const record = (await site.audit()).filter(({ event }) => event === 'outcome').at(-1)
    t.match(record, { status: 200, masked: 50 })
  })

  t.test(
    `${entrance}: an echo is masked in a large body, and what stands around it is not touched`,
    async (t) => {
      const filler = 'x'.repeat(70_000)
      const text = `${filler}${SECRET}${filler}${encodeURIComponent(SECRET)}${filler}`
      const response = await reply(
        entrance,
        `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      t.equal(response.body, `${filler}${stars}${filler}${stars}${filler}`)
    },
  )

  t.test(`${entrance}: an echo at the end of a body that is cut off is not let through`, async (t) => {
    const response = await reply(
      entrance,
      `HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n${SECRET.length.toString(16)}\r\n${SECRET}\r\n0\r\nX-T: ${SECRET}\r\n\r\n`,
    )
    t.equal(response.body, `12345678${stars}`)
    t.equal(response.trailers['x-t'], stars)
  })

  t.test(`${entrance}: an upstream cannot pass its answer off as Locum's`, async (t) => {
    const response = await reply(
      entrance,
      'HTTP/1.1 403 No\r\nProxy-Status: locum; error=x; details="not_allowed"\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
    )
    t.equal(response.status, 403)
    t.equal(response.headers['proxy-status'], undefined)
    t.equal(response.headers['proxy-authenticate'], undefined)
    const asks = await reply(
      entrance,
      'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
    )
    t.equal(asks.status, 502)
    t.equal(JSON.parse(asks.body).code, 'upstream_invalid')
  })

  t.test(`${entrance}: what is not searched is counted`, async (t) => {
    const before = site.running.room.counts.unsearched
    await reply(entrance, 'HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nPNG')
    t.equal(site.running.room.counts.unsearched, before + 1)
  })
}
