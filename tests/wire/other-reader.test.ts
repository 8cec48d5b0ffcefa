import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { Repetition, readRequestHead } from '../../proxy/wire/h1/head-reader.ts'
import { writeRequestHead } from '../../proxy/wire/h1/head-writer.ts'
import { LIMITS } from '../../proxy/wire/limits.ts'
import { type RequestHead, WireError } from '../../proxy/wire/message.ts'
import { RawPeer } from './kit.ts'

/** Methods that Node's parser knows: it refuses any other token. */
const KNOWN = new Set(http.METHODS)

/** Heads that are nearly right: a reader that takes one must have understood it as Node's does. */
const line = fc.oneof(
  fc.constantFrom(
    'Content-Length: 3',
    'Content-Length: 03',
    'Content-Length:3',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: Chunked',
    'Transfer-Encoding: identity',
    'Connection: x-a',
    'Connection: close',
    'Connection: content-length, host',
    'Expect: 100-continue',
    'Upgrade: websocket',
    'Host: b',
    'X-A: 1',
    'X-A : 1',
    'Cookie: a=b',
    'X-B: \tc\t',
    ' folded',
  ),
  fc
    .tuple(
      fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/),
      fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/),
    )
    .map(([name, value]) => `${name}:${value}`),
  fc.string({ maxLength: 12, unit: 'binary' }),
)
const head = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'REPORT'),
  target: fc.oneof(
    fc.constantFrom('/', '*', 'http://a/', '/a?b={c}&<d>'),
    fc.stringMatching(/^\/[\x21-\x7e]{0,12}$/),
  ),
  version: fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.1 '),
  lines: fc.array(line, { maxLength: 6 }),
})

t.test('whatever head is accepted, Node’s parser reads as the same one request', async (t) => {
  let seen: (http.IncomingMessage & { whole?: string })[] = []
  let refused = 0
  const server = http.createServer((request, response) => {
    seen.push(request)
    let body = ''
    request.setEncoding('latin1').on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      Object.assign(request, { whole: body })
      response.end()
    })
  })
  server.on('checkContinue', (request, response) => server.emit('request', request, response))
  server.on('upgrade', (request, socket) => {
    seen.push(Object.assign(request, { whole: '' }))
    socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
  })
  server.on('clientError', (_, socket) => {
    refused++
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })

  let accepted = 0
  await fc.assert(
    fc.asyncProperty(head, async ({ method, target, version, lines }) => {
      const text = `${method} ${target} ${version}\r\nHost: a\r\n${lines.map((one) => `${one}\r\n`).join('')}\r\n`
      let read: RequestHead
      try {
        const end = text.indexOf('\r\n\r\n') + 4
        read = readRequestHead(text.slice(0, end), 0, LIMITS, new Repetition()).head
      } catch (fault) {
        if (fault instanceof WireError) return
        throw fault
      }
      if (!KNOWN.has(read.method)) return
      accepted++
      seen = []
      refused = 0
      const body = 'abc'.slice(0, read.contentLength ?? 3)
      const framed = read.chunked
        ? `3\r\nabc\r\n0\r\n\r\n`
        : read.contentLength
          ? body.padEnd(read.contentLength, 'x')
          : ''
      const socket = net.connect(port, '127.0.0.1')
      const peer = new RawPeer(socket)
      peer.send(writeRequestHead(read) + framed).socket.end()
      await peer.gone()
      if (refused > 0) throw new Error('refused')
      if (seen.length !== 1) throw new Error(`${seen.length} requests`)
      const [request] = seen as [http.IncomingMessage & { whole: string }]
      const got = [request.method, request.url, request.headers.host, request.whole]
      const expected = [read.method, read.target, read.host, read.chunked ? 'abc' : framed]
      if (read.upgrade !== undefined) expected[3] = got[3] as string
      if (JSON.stringify(got) !== JSON.stringify(expected)) throw new Error(JSON.stringify([got, expected]))
      const raw: string[] = []
      for (let i = 0; i < request.rawHeaders.length; i += 2)
        raw.push(`${request.rawHeaders[i]}=${request.rawHeaders[i + 1]}`)
      const own = raw.filter(
        (one) => !/^(host|content-length|transfer-encoding|expect|connection|upgrade)=/i.test(one),
      )
      const fields = read.fields.spelled.map((name, i) => `${name}=${read.fields.values[i]}`)
      if (JSON.stringify(own) !== JSON.stringify(fields)) throw new Error(JSON.stringify([own, fields]))
    }),
    { numRuns: 400, seed: 20261125 },
  )
  t.ok(accepted > 50, `${accepted} heads were accepted`)
})
