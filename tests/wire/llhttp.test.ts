import { Duplex } from 'node:stream'
import t from 'tap'
import { serveH1 } from '../../proxy/wire/h1/server.ts'
import type { BodySink, ServerExchange, WireError } from '../../proxy/wire/message.ts'
import { vectors } from '../kit/vectors.ts'
import { answer } from './kit.ts'

interface Case {
  file: string
  title: string
  meta: string
  raw_b64: string
  error: { code: number; reason: string } | null
}

/** llhttp stops at an upgrade to let its caller go on: no error. */
const PAUSED_UPGRADE = 22

/** What llhttp takes and we refuse, each with its reason. */
const STRICTER: Record<string, string> = {
  'method: CONNECT with body':
    'a tunnel has no request body (RFC 9110 §9.3.6): those bytes would be the tunnel’s or nobody’s',
  'method: SOURCE request with ICE': 'ICE is not HTTP',
  'method: OPTIONS request with RTSP': 'RTSP is not HTTP',
  'method: ANNOUNCE request with RTSP': 'RTSP is not HTTP',
  'sample: No HTTP version': 'HTTP/0.9 has no head that could be judged',
  'transfer-encoding: POST with `chunked` as last transfer-encoding':
    'one `chunked` alone is framing that everybody reads alike',
  'transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)': 'likewise',
  'uri: Quotes in URI': 'a backslash is a slash to some (RFC 3986 §3 has none)',
  'uri: Fragment in URI': 'a fragment is never sent (RFC 9110 §4.2.5); what is behind it is routed by nobody',
}

/** What llhttp refuses and we take, each with its reason. */
const LOOSER: Record<string, string> = {
  'connection: No restart when keep-alive is off (1.0)':
    'the first request is answered, and what comes behind it is read away unseen (RFC 9112 §9.6)',
  'invalid: Invalid method': 'a method is any token (RFC 9110 §16.1); it is refused for want of a Host',
}

/** Serves the bytes; how many requests were whole, and what was refused. */
async function serve(raw: string, more: string): Promise<{ whole: number; fault: WireError | undefined }> {
  const seen: { whole: number; fault: WireError | undefined } = { whole: 0, fault: undefined }
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  const request = (exchange: ServerExchange<null>): void => {
    const sink: BodySink = {
      ondrain: undefined,
      write: () => true,
      end: () => {
        seen.whole++
        exchange.sendWhole(answer(exchange.head.method === 'CONNECT' ? 403 : 200), '')
      },
      abort: (fault) => {
        seen.fault ??= fault
        exchange.breakOff()
      },
    }
    exchange.body.start(sink)
  }
  const malformed = (fault: WireError) => {
    seen.fault ??= fault
    return { head: answer(400), body: '' }
  }
  const handle = serveH1(socket, null, { request, malformed })
  for (const text of [raw, more]) {
    if (!socket.destroyed && seen.whole === 0) socket.push(Buffer.from(text, 'latin1'))
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const result = { ...seen }
  handle.destroy()
  return result
}

const published = vectors('llhttp/cases.json')

t.test(
  'refuses every strict request that llhttp refuses, and says why where it refuses more',
  published.options,
  async (t) => {
    const cases = (JSON.parse(published.read()) as Case[]).filter(
      (one) => JSON.parse(one.meta).type === 'request',
    )
    t.ok(cases.length > 100, `${cases.length} cases`)
    for (const one of cases) {
      const name = `${one.file.replace(/^request\/|\.md$/g, '')}: ${one.title}`
      const raw = Buffer.from(one.raw_b64, 'base64').toString('latin1')
      // The blank line behind a head that ends a case was lost when the case was written down.
      const bare = raw.includes('\r\n\r\n') ? raw : `${raw}\r\n`
      const hosted = /^host:/im.test(bare)
        ? bare
        : bare.replace(/^([A-Z-]+ [^\r\n]*\r\n)/gm, '$1Host: example.com\r\n')
      const refused = one.error !== null && one.error.code !== PAUSED_UPGRADE
      // Some are cut short where llhttp has seen enough: a second line end makes them whole.
      const more = refused ? '\r\n' : ''
      const { fault, whole } = await serve(hosted, more)
      if (!refused) t.equal(fault?.detail === undefined, STRICTER[name] === undefined, `takes ${name}`)
      else {
        t.equal(fault !== undefined, LOOSER[name] === undefined, `refuses ${name}`)
        t.ok(whole <= 1)
        if (whole === 0) t.ok((await serve(bare, more)).fault, `refuses ${name} as it came`)
      }
    }
  },
)
