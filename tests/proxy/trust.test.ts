import { writeSync } from 'node:fs'
import t, { type Test } from 'tap'
import { LocumError } from '../../core/errors.ts'
import type { Store } from '../../core/store.ts'
import { ASKS, connectionTo, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, openTunnel, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { signatureOf, startTokenEndpoint, tokenMethod } from '../kit/token-method.ts'
import { startUpstream } from '../kit/upstream.ts'

t.test(
  'when the store does not answer, what is known serves for 30 seconds, and then nothing does',
  async (t) => {
    let skew = 0
    const { site, upstream, goal } = await startEchoSite(t, {
      options: { clock: { now: () => Date.now() + skew }, faults: 'expected' },
    })
    const ask = async (entrance: (typeof ENTRANCES)[number]) =>
      (await askBy(t, site, entrance, goal, { headers: [ASKS] })).status
    for (const entrance of ENTRANCES) t.equal(await ask(entrance), 200)
    const tunnel = await openTunnel(t, site, goal.authority)

    const store = site.context.store as { -readonly [K in keyof Store]: Store[K] }
    const { head } = store
    store.head = async () => {
      throw new LocumError('store_unavailable', 'The store is away.')
    }
    await site.settle()
    skew = 25_000
    await site.settle()
    for (const entrance of ENTRANCES) t.equal(await ask(entrance), 200, `${entrance}: 25 s later`)

    skew = 31_000
    const seen = upstream.bytes.length
    for (const entrance of ['forward', 'gateway'] as const)
      t.equal(await ask(entrance), 503, `${entrance}: 31 s later`)
    await t.rejects(openTunnel(t, site, goal.authority), /503 .*store_unavailable/)
    tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${goal.authority}\r\n${ASKS}\r\n\r\n`)
    const response = await tunnel.response()
    t.equal(response.status, 503, 'in an open tunnel too')
    t.equal(JSON.parse(response.body).code, 'store_unavailable')
    t.equal(response.headers['retry-after'], '1')
    t.equal(upstream.bytes.length, seen)

    store.head = head
    await site.settle()
    for (const entrance of ENTRANCES) t.equal(await ask(entrance), 200, `${entrance}: once it answers again`)
  },
)

t.test('a use that cannot be recorded does not happen', async (t) => {
  let full = false
  const { site, upstream, goal } = await startEchoSite(t, {
    options: {
      faults: 'expected',
      audit: {
        write: (fd, bytes) => {
          if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
          return writeSync(fd, bytes)
        },
      },
    },
  })
  for (const entrance of ENTRANCES)
    t.equal((await askBy(t, site, entrance, goal, { headers: [ASKS] })).status, 200)
  full = true
  const seen = upstream.bytes.length
  for (const entrance of ENTRANCES) {
    const response = await askBy(t, site, entrance, goal, { headers: [ASKS] })
    t.equal(response.status, 500, entrance)
    t.equal(JSON.parse(response.body).code, 'internal')
    const ws = await sendBy(t, site, entrance, goal, {
      headers: [
        ASKS,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ],
    })
    t.equal((await ws.response()).status, 500, `${entrance}: an upgrade`)
  }
  t.equal(upstream.bytes.length, seen, 'the upstream saw not one byte')
  t.ok(site.log.length > 0, 'the operator is told')
  full = false
  t.equal((await askBy(t, site, 'forward', goal, { headers: [ASKS] })).status, 200)
  t.strictSame(await site.verify(), [])
})

/** A site whose connection uses tokens, and an upstream that takes the one that `takes` says. */
async function startTokenSite(t: Test, takes: (tokens: readonly string[]) => string | undefined) {
  const endpoint = await startTokenEndpoint(t)
  let now = Date.now()
  const upstream = await startUpstream(t, {
    serve: (request, response) => {
      const { authorization, host } = request.headers
      const token = takes(endpoint.tokens)
      const head = { method: request.method as string, host, target: request.url as string }
      const signed = request.headers['x-signature'] === signatureOf(String(token), head)
      request.resume()
      request.on('end', () => {
        response.writeHead(authorization === `Bearer ${token}` && signed ? 200 : 401, {
          'X-Echo': authorization,
        })
        response.end()
      })
    },
  })
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada' }],
      connections: [connectionTo(upstream, { auth: { method: 'token', url: endpoint.url } })],
      credentials: [
        {
          connection: 'echo',
          for: 'shared',
          fields: { clientId: 'locum', clientSecret: 'secret-of-the-client' },
        },
      ],
    },
    { methods: [tokenMethod], clock: { now: () => now } },
  )
  /** When what failed is asked for again. */
  const later = async (ms: number) => {
    now += ms
    await site.settle()
  }
  return { endpoint, upstream, site, later, goal: { ...upstream, name: 'echo' } }
}

t.test('a 401 to a credential that can be renewed renews it once and repeats the request once', async (t) => {
  /** Which of the tokens is in force, from 1. */
  let valid = 1
  const { endpoint, upstream, site, goal } = await startTokenSite(t, (tokens) => tokens[valid - 1])
  for (const entrance of ENTRANCES) {
    const before = upstream.requests.length
    const first = await askBy(t, site, entrance, goal, { path: '/x?y=1' })
    t.equal(first.status, 200, `${entrance}: what is signed is the final head`)
    t.match(first.headers['x-echo'], /^Bearer \*+$/)
    t.equal(upstream.requests.length, before + 1)
    valid++
    const second = await askBy(t, site, entrance, goal)
    t.equal(second.status, 200, `${entrance}: renewed`)
    t.equal(upstream.requests.length, before + 3, 'asked twice')
    t.equal(endpoint.asked.length, valid)
    t.match(second.headers['x-echo'], /^Bearer \*+$/, 'the new one is masked')
  }
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.equal(uses.length, upstream.requests.length, 'each of the two is in the audit')

  valid++
  const all = await Promise.all(Array.from({ length: 10 }, () => askBy(t, site, 'forward', goal)))
  t.ok(all.every(({ status }) => status === 200))
  t.equal(endpoint.asked.length, valid, 'once however many ask')

  valid++
  const post = await askBy(t, site, 'forward', goal, { method: 'POST', body: 'b' })
  t.equal(post.status, 401, 'a body that is gone cannot be sent again')

  valid = 1000
  const before = upstream.requests.length
  const response = await askBy(t, site, 'gateway', goal)
  t.equal(response.status, 401, 'the second refusal is passed on')
  t.equal(upstream.requests.length, before + 2)
})

t.test('what cannot be acquired is told as such, and is tried again', async (t) => {
  const { endpoint, upstream, site, goal, later } = await startTokenSite(t, (tokens) => tokens.at(-1))
  for (const [status, code, told] of [
    [500, 'refresh_failed', 502],
    [400, 'reauthorization_required', 424],
  ] as const) {
    endpoint.status = status
    for (const entrance of ENTRANCES) {
      await later(60_000)
      const response = await askBy(t, site, entrance, goal)
      t.equal(response.status, told, entrance)
      t.equal(JSON.parse(response.body).code, code)
      t.notMatch(response.body, 'secret-of-the-client')
    }
  }
  t.equal(upstream.bytes.length, 0)
  endpoint.status = 200
  await later(60_000)
  t.equal((await askBy(t, site, 'forward', goal)).status, 200)
})
