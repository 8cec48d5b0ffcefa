import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { CallOutRules } from '../../core/call-out.ts'
import { parseEgressProxy } from '../../core/egress.ts'
import { callOutBy } from '../../proxy/upstreams/call-out.ts'
import { startParent } from '../kit/parent.ts'
import { upstreamCa, upstreamLeaf } from '../kit/upstream.ts'
import { makeUpstreams } from './kit.ts'

const OPEN: CallOutRules = { allowPrivateNetwork: true, allowPlaintext: true }

interface Heard {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A token endpoint: what it heard, and an answer that can be told. */
async function startEndpoint(
  t: Test,
  answer: (response: ServerResponse) => void = (response) => response.end('{"a":1}'),
  secure = false,
) {
  const heard: Heard[] = []
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const piece of request) body += piece
    const { method, url, headers } = request
    heard.push({ method, url, headers, body })
    answer(response)
  }
  const server = secure ? createTlsServer(await upstreamLeaf(), listener) : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { heard, port, url: `${secure ? 'https' : 'http'}://localhost:${port}/token` }
}

t.test('says what it was told, over TLS with a CA of its own, and hears the answer', async (t) => {
  const { heard, url, port } = await startEndpoint(
    t,
    (response) => {
      response.writeHead(401, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] })
      response.end('{"error":"invalid_client"}')
    },
    true,
  )
  const fetch = callOutBy(makeUpstreams(t))({ allowPrivateNetwork: true, ca: (await upstreamCa()).cert })
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'ä b' })
  const response = await fetch(`${url}?x=%2F`, { method: 'POST', body, headers: { 'X-A': '1' } })
  t.equal(response.status, 401)
  t.same(await response.json(), { error: 'invalid_client' })
  t.same(response.headers.getSetCookie(), ['a=1', 'b=2'])
  t.match(heard, [
    {
      method: 'POST',
      url: '/token?x=%2F',
      body: 'grant_type=client_credentials&scope=%C3%A4+b',
      headers: {
        host: `localhost:${port}`,
        'x-a': '1',
        'content-type': /^application\/x-www-form-urlencoded/,
        'content-length': '44',
        'accept-encoding': 'identity',
      },
    },
  ])
})

t.test('goes nowhere that the rules do not let it go', async (t) => {
  const { heard, url } = await startEndpoint(t)
  const callOut = callOutBy(makeUpstreams(t))
  const forbidden = { code: 'destination_forbidden' }
  await t.rejects(callOut({ allowPlaintext: true })(url), forbidden)
  await t.rejects(callOut({ allowPrivateNetwork: true })(url), { ...forbidden, hint: /allowPlaintext/ })
  await t.rejects(callOut(OPEN)('file:///etc/passwd'), { code: 'bad_request' })
  await t.rejects(callOut(OPEN)(url.replace('localhost', 'user:pass@localhost')), TypeError)
  await t.rejects(callOut(OPEN)('https://*.example.com/'), { code: 'bad_request' })
  t.same(heard, [])
})

t.test('a redirect is an answer, and nothing follows it', async (t) => {
  const { heard, url } = await startEndpoint(t, (response) => {
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  const response = await callOutBy(makeUpstreams(t))(OPEN)(url, { method: 'POST', body: 'secret' })
  t.equal(response.status, 307)
  t.equal(heard.length, 1)
})

t.test(
  'what is no whole, plain, bounded answer is refresh_failed, and the next request is served',
  async (t) => {
    let answer: (response: ServerResponse) => void = () => {}
    const { url } = await startEndpoint(t, (response) => answer(response))
    const fetch = callOutBy(makeUpstreams(t))(OPEN)
    for (const [says, one] of [
      [/larger than 1 MiB/, (response) => response.end(Buffer.alloc(1024 * 1024 + 1))],
      [
        /broke off/,
        (response) =>
          response.writeHead(200, { 'content-length': 10 }).write('123', () => response.destroy()),
      ],
      [/encoded its answer/, (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
      [
        /Nothing could be had from http:\/\/localhost:\d+\./,
        (response) => response.socket?.end('no HTTP\r\n\r\n'),
      ],
    ] as [RegExp, (response: ServerResponse) => void][]) {
      answer = one
      await t.rejects(fetch(url, { method: 'POST' }), { code: 'refresh_failed', detail: says })
    }
    answer = (response) => response.end(Buffer.alloc(1024 * 1024))
    t.equal((await (await fetch(url)).arrayBuffer()).byteLength, 1024 * 1024, 'the largest')
    answer = (response) => response.writeHead(204).end()
    t.equal((await fetch(url)).status, 204)
  },
)

t.test('who gives up is let go at once', async (t) => {
  const { url, heard } = await startEndpoint(t, () => {})
  const upstreams = makeUpstreams(t)
  const giving = new AbortController()
  const asked = callOutBy(upstreams)(OPEN)(url, { signal: giving.signal })
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve))
  giving.abort(new Error('enough'))
  await t.rejects(asked, /enough/)
  t.equal(upstreams.counts.connections, 0)
  await t.rejects(callOutBy(upstreams)(OPEN)(url, { signal: giving.signal }), /enough/)
  t.equal(heard.length, 1)
})

t.test('leaves by the egress proxy like everything else', async (t) => {
  const parent = await startParent(t)
  const { url, port } = await startEndpoint(t)
  const egress = { ...parseEgressProxy(parent.url), direct: [] }
  const response = await callOutBy(makeUpstreams(t, {}, { egress }))(OPEN)(url)
  t.equal(await response.text(), '{"a":1}')
  t.same(parent.asked, [`127.0.0.1:${port}`])
})
