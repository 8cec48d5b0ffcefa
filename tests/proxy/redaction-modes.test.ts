import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { listCredentials, setCredential } from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { ASKS, connectionTo, REAL, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes, startUpstream } from '../kit/upstream.ts'
import { openWebSocket } from '../kit/websocket.ts'

/** What the byte-speaking upstream says next. */
let says = ''
const bytes = await startBytes(
  t,
  replying(() => says),
)
const upstream = await startUpstream(t)
const modes = ['mask', 'block', 'off'] as const
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: modes.flatMap((redact) => [
    connectionTo(bytes, { name: redact, redact, allow: { paths: [`/${redact}*`] } }),
    connectionTo(upstream, { name: `node-${redact}`, redact, allow: { paths: [`/${redact}/*`] } }),
  ]),
  credentials: modes.flatMap((redact) =>
    [redact, `node-${redact}`].map((connection) => ({
      connection,
      for: 'shared',
      fields: { apiKey: SECRET },
    })),
  ),
})
type Entrance = (typeof ENTRANCES)[number]
type Mode = (typeof modes)[number]

const ask = (entrance: Entrance, mode: Mode, answer: string, headers: readonly string[] = []) => {
  says = answer
  return askBy(t, site, entrance, { ...bytes, name: mode }, { path: `/${mode}`, headers: [ASKS, ...headers] })
}
const node = (mode: Mode) => ({ ...upstream, name: `node-${mode}` })
const lastOutcome = async () => (await site.audit()).filter(({ event }) => event === 'outcome').at(-1)
const withLength = (body: string, more = '') =>
  `HTTP/1.1 200 OK\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`
const packed = (text: string) => gzipSync(text).toString('latin1')

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: block answers an echo with a refusal where nothing was sent yet`, async (t) => {
    for (const [where, answer] of [
      ['a field', `HTTP/1.1 200 OK\r\nX-Key: ${SECRET}\r\nContent-Length: 2\r\n\r\nok`],
      ['a reason phrase', `HTTP/1.1 200 ${SECRET}\r\nContent-Length: 0\r\n\r\n`],
      ['an interim answer', `HTTP/1.1 103 Early\r\nLink: <${SECRET}>\r\n\r\n${withLength('ok')}`],
      ['the body', withLength(`the key is ${SECRET}.`)],
      ['the body alone', withLength(SECRET)],
      ['its end', withLength(`the key is ${SECRET}`)],
      ['another form', withLength(`the key is ${Buffer.from(`a:${SECRET}`).toString('base64')}`)],
      ['a packed body', withLength(packed(`the key is ${SECRET}`), 'Content-Encoding: gzip\r\n')],
      [
        'trailers without a body',
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Key: ${SECRET}\r\n\r\n`,
      ],
      [
        'trailers behind a packed body',
        `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n${packed('ok').length.toString(16)}\r\n${packed('ok')}\r\n0\r\nX-Key: ${SECRET}\r\n\r\n`,
      ],
    ] as const) {
      const response = await ask(entrance, 'block', answer)
      t.equal(response.status, 502, where)
      t.match(JSON.parse(response.body), { code: 'upstream_echoed_secret' })
      t.match(response.headers['proxy-status'], /details="upstream_echoed_secret"/)
      t.notMatch(JSON.stringify(response), SECRET)
      t.match(await lastOutcome(), { status: 502, code: 'upstream_echoed_secret' })
    }
  })

  t.test(`${entrance}: block breaks off where something was sent already`, async (t) => {
    const filler = 'x'.repeat(5_000)
    for (const [where, answer] of [
      [
        'the body',
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n${filler}\r\n18\r\n${SECRET}\r\n0\r\n\r\n`,
      ],
      [
        'the trailers',
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n${filler}\r\n0\r\nX-Key: ${SECRET}\r\n\r\n`,
      ],
      [
        'the trailers behind a picture',
        `HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n${filler}\r\n0\r\nX-Key: ${SECRET}\r\n\r\n`,
      ],
    ] as const) {
      says = answer
      const client = await sendBy(
        t,
        site,
        entrance,
        { ...bytes, name: 'block' },
        { path: '/block', headers: [ASKS] },
      )
      const response = await client.response()
      t.equal(response.status, 200, where)
      t.equal(response.body, filler)
      t.equal(response.whole, false)
      await client.gone()
      t.match(await lastOutcome(), { status: 200, code: 'upstream_echoed_secret' })
    }
  })

  t.test(`${entrance}: block lets through what holds no echo, byte by byte`, async (t) => {
    for (const body of ['', 'x', 'sk_live_', 'y'.repeat(200_000), SECRET.slice(0, -1)]) {
      const response = await ask(entrance, 'block', withLength(body, 'ETag: "x"\r\n'))
      t.equal(response.status, 200)
      t.equal(response.body, body)
      t.equal(response.headers.etag, '"x"')
    }
    const coded = await ask(entrance, 'block', withLength(packed('fine'), 'Content-Encoding: gzip\r\n'))
    t.equal(gunzipSync(Buffer.from(coded.body, 'latin1')).toString(), 'fine')
    const head = await askBy(
      t,
      site,
      entrance,
      { ...bytes, name: 'block' },
      { method: 'HEAD', path: '/block', headers: [ASKS] },
    )
    t.equal(head.status, 200)
  })

  t.test(`${entrance}: an upstream that fails behind a head that waits is a refusal`, async (t) => {
    const cut = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n'
    const response = await ask(entrance, 'block', cut)
    t.equal(response.status, 502)
    t.equal(JSON.parse(response.body).code, 'upstream_invalid')
  })

  t.test(`${entrance}: block ends a WebSocket at an echo`, async (t) => {
    const { ws, next, closed } = await openWebSocket(t, site, entrance, node('block'), { path: '/block/ws' })
    t.equal(await next(), 'hello ')
    ws.send('one')
    t.equal(await next(), 'one')
    ws.close()
    await closed
    const { messages, closed: ended } = await openWebSocket(t, site, entrance, node('block'), {
      path: '/block/ws',
      headers: [ASKS],
    })
    await ended
    t.same(messages, [], 'what it says first holds the secret')
    t.match(await lastOutcome(), { status: 101, code: 'upstream_echoed_secret' })
  })

  t.test(`${entrance}: off is off, and noted`, async (t) => {
    const before = site.running.room.counts
    const { unsearched } = before
    const response = await ask(
      entrance,
      'off',
      `HTTP/1.1 200 ${SECRET}\r\nX-Key: ${SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n${SECRET}\r\n0\r\nX-T: ${SECRET}\r\n\r\n`,
    )
    t.equal(response.reason, SECRET)
    t.equal(response.headers['x-key'], SECRET)
    t.equal(response.body, SECRET)
    t.equal(response.trailers['x-t'], SECRET)
    t.match(await lastOutcome(), { status: 200, unsearched: 'off' })
    t.equal(before.unsearched, unsearched + 1)
    const odd = await ask(entrance, 'off', withLength('any', 'Content-Encoding: dcb\r\n'))
    t.equal(odd.body, 'any', 'whatever its coding')
    await askBy(t, site, entrance, node('off'), { path: '/off/', headers: [ASKS, 'Accept-Encoding: dcb, *'] })
    t.equal(upstream.requests.at(-1)?.headers['accept-encoding'], 'dcb, *')
    const { ws, upgrade, next } = await openWebSocket(t, site, entrance, node('off'), {
      path: '/off/ws',
      headers: [ASKS],
    })
    t.equal(await next(), `hello ${REAL}`)
    t.match(upgrade.headers['sec-websocket-extensions'], 'permessage-deflate')
    ws.terminate()
    const without = await askBy(t, site, entrance, node('off'), { path: '/off/' })
    t.equal(without.status, 200)
    t.equal((await lastOutcome())?.unsearched, undefined, 'where no secret is carried, none is missed')
  })

  t.test(`${entrance}: mask is what a connection does that says nothing`, async (t) => {
    const response = await ask(entrance, 'mask', withLength(SECRET))
    t.equal(response.body, '*'.repeat(SECRET.length))
  })
}

t.test(
  "whoever changes a connection does not take a user's own credential out of the search (R28)",
  async (t) => {
    const own = 'the-key-that-ada-entered-herself'
    const shared = 'the-key-that-is-shared-by-everybody'
    const other = await startUpstream(t)
    const config = (redact?: string | false) => ({
      name: 'admin',
      principals: [
        { id: 'ada', kind: 'user' },
        { id: 'bob', kind: 'user' },
      ],
      connections: [
        connectionTo(other, {
          source: 'per-user',
          fallback: ['shared'],
          headers: { Authorization: 'Bearer {{$Auth.API_Key}}' },
          ...(redact !== undefined && { redact }),
        }),
      ],
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: shared } }],
    })
    const site = await startSite(t, config())
    const enter = () =>
      site.run(setCredential, { connection: 'echo', for: 'user:ada', fields: { apiKey: own } })
    await enter()
    const echoFor = async (as: string) => {
      const response = await askBy(t, site, 'forward', { ...other, name: 'echo' }, { as })
      return response.headers['x-echo']
    }
    const weaken = async (redact?: string | false) => {
      await site.apply(config(redact))
      await site.settle()
    }
    t.match(await echoFor('ada'), /^Bearer \*+$/)
    await weaken('off')
    const explained = async (as: string) =>
      (await site.run(explainRequest, { method: 'GET', url: `${other.origin}/`, as })).credential?.redact
    t.equal(await explained('ada'), 'mask')
    t.equal(await explained('bob'), 'off')
    t.match(await echoFor('ada'), /^Bearer \*+$/, 'entered when answers were searched, it stays so')
    t.equal(await echoFor('bob'), `Bearer ${shared}`, 'what the site owns is the administrator’s to decide')
    await enter()
    await site.settle()
    t.equal(await echoFor('ada'), `Bearer ${own}`, 'entered again, knowing')
    const [view] = (await site.run(listCredentials, {})).filter(({ owner }) => owner === 'user:ada')
    t.match(view?.audience, [other.origin, 'redact: off'])
    t.equal(view?.state, 'ready')
    await weaken()
    t.match(await echoFor('ada'), /^Bearer \*+$/)
    await weaken('block')
    const blocked = await askBy(t, site, 'forward', { ...other, name: 'echo' })
    t.equal(JSON.parse(blocked.body).code, 'upstream_echoed_secret', 'more needs nobody’s approval')
    await weaken(false)
    t.equal(
      await echoFor('ada'),
      `Bearer ${own}`,
      'false is how YAML 1.1 reads off; what was approved is still',
    )
  },
)

t.test('a second run of a file that says redact changes nothing', async (t) => {
  for (const redact of ['mask', 'block', 'off', false]) {
    const config = {
      name: 'again',
      principals: [{ id: 'ada' }],
      connections: [connectionTo(upstream, { name: 'again', source: 'per-user', redact })],
      credentials: [{ connection: 'again', for: 'user:ada', fields: { apiKey: SECRET } }],
    }
    const site = await startSite(t, config)
    const before = (await site.audit()).filter(({ event }) => event === 'rows').length
    await site.apply(config)
    t.equal((await site.audit()).filter(({ event }) => event === 'rows').length, before, String(redact))
    await site.close()
  }
})
