import t from 'tap'
import { ASKS, connectionTo, MASKED, REAL, SECRET, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, eventually, type RawClient, sendBy } from '../kit/raw.ts'
import { replying, startBytes } from '../kit/upstream.ts'
import { openWebSocket } from '../kit/websocket.ts'

const { site, upstream, goal } = await startEchoSite(t)
const { goal: plain } = await secondConnection()

/** An upstream without TLS beside the first, at the same site. */
async function secondConnection() {
  const other = await startEchoSite(t, { upstream: { tls: false } })
  return { ...other, goal: { ...other.goal, site: other.site } }
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: server-sent events come one by one, with the secret masked`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, { path: '/sse', headers: [ASKS] })
    await client.until((received) => received.includes(`data: hello ${MASKED}\n\n`))
    for (let i = 0; i < 3; i++) {
      upstream.event(`event ${i}`)
      await client.until((received) => received.includes(`data: event ${i}\n\n`))
      t.notOk(client.ended)
    }
    upstream.event(`x${SECRET}y`)
    await client.until((received) => received.includes('*y\n\n'))
    t.notOk(client.received.includes(SECRET))
    client.reset()
    await eventually(() => upstream.open === 0, 'the upstream hears that the client went')
  })

  t.test(`${entrance}: a WebSocket passes, with the secret masked in its frames`, async (t) => {
    for (const to of [goal, plain]) {
      const at = to === plain ? plain.site : site
      const { ws, upgrade, next, closed } = await openWebSocket(t, at, entrance, to, { headers: [ASKS] })
      t.equal(await next(), `hello ${MASKED}`)
      t.equal(
        upgrade.headers['sec-websocket-extensions'],
        undefined,
        'frames that cannot be searched are not agreed on',
      )
      ws.send('{{$Auth.API_Key}} is data here')
      t.equal(await next(), '{{$Auth.API_Key}} is data here')
      ws.send(`a${SECRET}b`)
      t.equal(await next(), `a${'*'.repeat(SECRET.length)}b`)
      const big = 'z'.repeat(300_000)
      ws.send(big)
      t.equal(await next(), big)
      ws.close(1000)
      await closed
    }
    t.equal(upstream.requests.at(-1)?.headers.authorization, REAL)
  })

  t.test(`${entrance}: an upgrade that the upstream refuses is an answer like any other`, async (t) => {
    await t.rejects(
      openWebSocket(t, site, entrance, goal, { path: '/other', headers: [ASKS] }),
      /Unexpected server response: 403/,
    )
  })

  t.test(`${entrance}: HEAD has the head alone`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, { method: 'HEAD', headers: [ASKS] })
    const response = await client.response(true)
    t.equal(response.status, 200)
    t.equal(response.headers['x-echo'], MASKED)
    t.ok(Number(response.headers['content-length']) > 0)
    t.equal(client.received, '')
    client.socket.destroy()
  })

  t.test(`${entrance}: a body waits for 100 and then goes on`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [ASKS, 'Expect: 100-continue', 'Content-Length: 4'],
    })
    await client.until((received) => received.includes('HTTP/1.1 100 '))
    t.equal(upstream.requests.at(-1)?.body, '', 'nothing of it went before')
    client.send('body')
    const response = await client.response()
    t.equal(response.status, 200)
    t.equal(JSON.parse(response.body).body, 'body')
    client.socket.destroy()
  })

  t.test(`${entrance}: a final answer instead of 100 comes without the body`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      path: '/refuse-continue',
      headers: [ASKS, 'Expect: 100-continue', 'Content-Length: 4'],
    })
    const response = await client.response()
    t.equal(response.status, 417)
    t.strictSame(response.interims, [])
    await client.gone()
  })

  t.test(`${entrance}: an answer before the whole body is passed on at once`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      path: '/early',
      headers: [ASKS, 'Content-Length: 1000000'],
      raw: 'only the beginning',
    })
    const response = await client.response()
    t.equal(response.status, 403)
    t.equal(response.body, 'no need for the rest')
    client.socket.destroy()
  })

  t.test(`${entrance}: a client that goes in the middle of its body frees the upstream`, async (t) => {
    const before = upstream.requests.length
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [ASKS, 'Content-Length: 1000'],
      raw: 'the beginning',
    })
    await eventually(() => upstream.requests[before]?.body === 'the beginning', 'the beginning came')
    client.reset()
    await eventually(() => upstream.open === 0, 'the upstream hears of it')
    const outcome = (await site.audit()).filter(({ event }) => event === 'outcome').at(-1)
    t.match(outcome, { status: 499 })
  })

  t.test(`${entrance}: a client that goes in the middle of the answer frees the upstream`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, { path: '/slow', headers: [ASKS] })
    await client.until((received) => received.includes('\r\n\r\n'))
    client.reset()
    await eventually(() => upstream.open === 0, 'the upstream hears of it')
    const outcome = (await site.audit()).filter(({ event }) => event === 'outcome').at(-1)
    t.match(outcome, { status: 200 })
  })

  t.test(`${entrance}: chunked bodies and their trailers pass both ways`, async (t) => {
    const sent = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [ASKS, 'Transfer-Encoding: chunked', 'Trailer: X-Sum'],
      raw: '3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n',
    })
    const response = await sent.response()
    t.equal(JSON.parse(response.body).body, 'abcdefg')
    t.strictSame({ ...upstream.requests.at(-1)?.trailers }, { 'x-sum': '7' })
    sent.socket.destroy()
    const got = await askBy(t, site, entrance, goal, { path: '/trailers', headers: [ASKS] })
    t.equal(got.body, 'body')
    t.strictSame(got.trailers, { 'x-echo': MASKED, 'x-sum': '42' }, 'a secret in a trailer is masked')
  })

  t.test(`${entrance}: a placeholder in a trailer ends the request`, async (t) => {
    const requests = upstream.requests.length
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [ASKS, 'Transfer-Encoding: chunked'],
      raw: '3\r\nabc\r\n0\r\nX-Key: <<$Auth.API_Key>>\r\n\r\n',
    })
    const response = await client.response()
    t.equal(response.status, 400)
    t.equal(JSON.parse(response.body).code, 'placeholder_not_allowed')
    await eventually(() => upstream.open === 0, 'the upstream connection is given up')
    t.strictSame(upstream.requests[requests]?.trailers ?? {}, {}, 'the upstream never had the whole of it')
    client.socket.destroy()
  })

  t.test(`${entrance}: what follows on the same connection is answered in turn`, async (t) => {
    const client: RawClient = await sendBy(t, site, entrance, goal, {
      path: '/bytes/100000',
      headers: [ASKS],
    })
    t.equal((await client.response()).body.length, 100_000)
    const target = { forward: `http://${goal.authority}/next`, connect: '/next', gateway: '/c/echo/next' }[
      entrance
    ]
    const key =
      entrance === 'connect'
        ? ''
        : `${entrance === 'gateway' ? 'Locum' : 'Proxy'}-Authorization: Bearer ${site.keys.ada}\r\n`
    const one = `GET ${target} HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}${ASKS}\r\n\r\n`
    client.send(one + one)
    for (let i = 0; i < 2; i++) t.equal(JSON.parse((await client.response()).body).url, '/next')
    client.socket.destroy()
  })
}

t.test(
  'a client that only ended its side gets its answer while that moves, and is given up when it stands',
  async (t) => {
    await Promise.all(
      ENTRANCES.map(async (entrance) => {
        const quick = await sendBy(t, site, entrance, goal, { headers: [ASKS] })
        quick.socket.end()
        t.equal((await quick.response()).status, 200)
        const client = await sendBy(t, site, entrance, goal, { path: '/slow', headers: [ASKS] })
        await client.until((received) => received.includes('\r\n\r\n'))
        client.socket.end()
        await client.gone()
      }),
    )
    await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
  },
)

t.test('a WebSocket server that hides what it sends is cut off', async (t) => {
  const accept = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const hiding = await startBytes(
    t,
    replying(() => `${accept}\x81\x02ok\xc1\x04\x00\x00\x00\x00`),
  )
  await site.apply({
    principals: [{ id: 'ada' }],
    connections: [connectionTo(upstream), connectionTo(hiding, { name: 'hiding' })],
    credentials: ['echo', 'hiding'].map((connection) => ({
      connection,
      for: 'shared',
      fields: { apiKey: SECRET },
    })),
  })
  await site.settle()
  for (const entrance of ENTRANCES) {
    const client = await sendBy(
      t,
      site,
      entrance,
      { ...hiding, name: 'hiding' },
      {
        headers: [ASKS, 'Connection: Upgrade', 'Upgrade: websocket'],
      },
    )
    t.equal((await client.response()).status, 101)
    await client.gone()
    t.notMatch(client.received, '\xc1', entrance)
  }
})

t.test('interim answers pass, with the secret masked', async (t) => {
  const bytes = await startBytes(
    t,
    replying(
      () =>
        `HTTP/1.1 103 Early Hints\r\nLink: </${SECRET}>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
    ),
  )
  await site.apply({
    principals: [{ id: 'ada' }],
    connections: [connectionTo(upstream), connectionTo(bytes, { name: 'hints' })],
    credentials: [
      { connection: 'echo', for: 'shared', fields: { apiKey: SECRET } },
      { connection: 'hints', for: 'shared', fields: { apiKey: SECRET } },
    ],
  })
  await site.settle()
  for (const entrance of ENTRANCES) {
    const response = await askBy(t, site, entrance, { ...bytes, name: 'hints' }, { headers: [ASKS] })
    t.equal(response.body, 'ok')
    t.equal(response.interims.length, 1)
    t.match(response.interims[0], /^103 Link: <(?:http:.+\/c\/hints)?\/\*{24}>/)
  }
})
