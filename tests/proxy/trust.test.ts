import { writeSync } from 'node:fs'
import t from 'tap'
import type { AuthMethod } from '../../core/auth-method.ts'
import { LocumError } from '../../core/errors.ts'
import type { Store } from '../../core/store.ts'
import { ASKS, connectionTo, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, openTunnel, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
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

/** Acquires `token-1`, `token-2`…, each for as long as the upstream takes it, and signs what it sends. */
function tokenMethod(): AuthMethod & { acquired: number } {
  const method: AuthMethod & { acquired: number } = {
    id: 'test-token',
    title: 'Tokens of the test',
    fields: { seed: { title: 'Seed', secret: true, required: true } },
    variables: ['Token'],
    configKeys: [],
    acquired: 0,
    values: ({ grant }) => ({ values: { Token: grant?.values.token ?? null }, plain: [] }),
    inject: () => [['Authorization', 'Bearer {{$Auth.Token}}']],
    async acquire({ fields }) {
      await new Promise((resolve) => setImmediate(resolve))
      return { values: { token: `${fields.seed}-token-${++method.acquired}` } }
    },
    sign: (_input, head) => ({ set: [['X-Signed', `${head.method} ${head.target} ${head.host}`]] }),
    challenge: (_config, { status }) => (status === 401 ? 'renew' : undefined),
  }
  return method
}

t.test('a 401 to a credential that can be renewed renews it once and repeats the request once', async (t) => {
  let valid = 1
  const upstream = await startUpstream(t, {
    serve: (request, response) => {
      const fine = request.headers.authorization === `Bearer seed-of-it-token-${valid}`
      request.resume()
      request.on('end', () => {
        response.writeHead(fine ? 200 : 401, { 'X-Echo': request.headers.authorization })
        response.end(`signed ${request.headers['x-signed']}`)
      })
    },
  })
  const method = tokenMethod()
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada' }],
      connections: [connectionTo(upstream, { auth: { method: 'test-token' } })],
      credentials: [{ connection: 'echo', for: 'shared', fields: { seed: 'seed-of-it' } }],
    },
    { methods: [method] },
  )
  const goal = { ...upstream, name: 'echo' }
  for (const entrance of ENTRANCES) {
    const before = upstream.requests.length
    const first = await askBy(t, site, entrance, goal, { path: '/x?y=1' })
    t.equal(first.status, 200, entrance)
    t.equal(first.body, `signed GET /x?y=1 ${upstream.authority}`, 'what is signed is the final head')
    t.match(first.headers['x-echo'], /^Bearer \*+$/)
    t.equal(upstream.requests.length, before + 1)
    valid++
    const second = await askBy(t, site, entrance, goal)
    t.equal(second.status, 200, `${entrance}: renewed`)
    t.equal(upstream.requests.length, before + 3, 'asked twice')
    t.equal(method.acquired, valid)
    t.match(second.headers['x-echo'], /^Bearer \*+$/)
  }
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  t.equal(uses.length, upstream.requests.length, 'each of the two is in the audit')

  valid++
  const all = await Promise.all(Array.from({ length: 10 }, () => askBy(t, site, 'forward', goal)))
  t.ok(all.every(({ status }) => status === 200))
  t.equal(method.acquired, valid, 'once however many ask')

  valid++
  const post = await askBy(t, site, 'forward', goal, { method: 'POST', body: 'b' })
  t.equal(post.status, 401, 'a body that is gone cannot be sent again')

  valid = 1000
  const before = upstream.requests.length
  const response = await askBy(t, site, 'gateway', goal)
  t.equal(response.status, 401, 'the second refusal is passed on')
  t.equal(upstream.requests.length, before + 2)
})

t.test('a renewal that fails is told as such, and what comes later is tried again', async (t) => {
  const upstream = await startUpstream(t, {
    serve: (request, response) => {
      response.writeHead(request.headers.authorization?.endsWith('-2') ? 200 : 401).end()
    },
  })
  const method = tokenMethod()
  const { acquire } = method
  let away = false
  method.acquire = (input, io) => {
    if (away) throw new Error(`cannot be had with ${input.fields.seed}`)
    return (acquire as NonNullable<typeof acquire>)(input, io)
  }
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada' }],
      connections: [connectionTo(upstream, { auth: { method: 'test-token' } })],
      credentials: [{ connection: 'echo', for: 'shared', fields: { seed: 'seed-of-it' } }],
    },
    { methods: [method] },
  )
  const goal = { ...upstream, name: 'echo' }
  away = true
  const none = await askBy(t, site, 'forward', goal)
  t.equal(none.status, 502)
  t.equal(JSON.parse(none.body).code, 'refresh_failed')
  t.notMatch(none.body, 'seed-of-it', 'what was thrown stays inside')
  t.equal(upstream.bytes.length, 0)
  away = false
  const response = await askBy(t, site, 'forward', goal)
  t.equal(response.status, 200)
})
