import t from 'tap'
import { vectors } from '../kit/vectors.ts'
import { dial, eventually, type RawPeer, startRaw, startRelay } from './kit.ts'

/** Field lines that were seen, or can be thought, to frame a message for one reader and not for another. */
const OF_OUR_OWN = [
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\r\n chunked',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;x=1',
  'Transfer_Encoding: chunked',
  'X: X\x01Transfer-Encoding: chunked',
  'X: X\nTransfer-Encoding: chunked',
  'X: X\rTransfer-Encoding: chunked',
  'T: test\0\r\nTransfer-Encoding: chunked',
  '\x80Transfer-Encoding: chunked',
  'Content-Length: 7',
  'content-length: 44',
  'Content_Length: 7',
  'Connection: Content-Length',
  'Connection: Transfer-Encoding',
]

/** What hides in the body: a request of its own for whoever frames the outer one by the other field. */
const BODY = '0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'

/** Bytes that arrived upstream, by connection. */
async function startUpstream(t: Parameters<typeof startRaw>[0]) {
  const peers: RawPeer[] = []
  const port = await startRaw(t, async (peer) => {
    peers.push(peer)
    peer.socket.on('data', () => {
      const head = peer.received.indexOf('\r\n\r\n')
      if (head >= 0 && peer.received.length >= head + 4 + lengthOf(peer.received))
        peer.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    })
  })
  return { port, peers }
}

function lengthOf(text: string): number {
  return Number(/^content-length: *(\d+)\r$/im.exec(text)?.[1] ?? 0)
}

/** Sends the gadget in a POST with a Content-Length and says what is odd about what came out; '' where nothing is. */
async function judge(
  t: Parameters<typeof dial>[0],
  relay: number,
  peers: RawPeer[],
  gadget: string,
): Promise<string> {
  peers.length = 0
  const client = await dial(t, relay)
  client.send(
    `POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY.length}\r\n${gadget}\r\nConnection: close\r\n\r\n${BODY}`,
  )
  const answered = await client.whole()
  client.socket.destroy()
  await eventually(() => peers.every((peer) => peer.ended), 'the upstream’s end')
  const got = peers.map((peer) => peer.received)
  if (/^HTTP\/1\.1 400 /.test(answered))
    return got.join('') === '' ? '' : `refused, and yet sent ${got.join('|')}`
  if (!/^HTTP\/1\.1 200 /.test(answered)) return `answered ${answered}`
  if (got.length !== 1) return `${got.length} connections`
  const [head, ...rest] = (got[0] as string).split('\r\n\r\n')
  if (rest.join('\r\n\r\n') !== BODY) return 'a body other than the one that was sent'
  const lines = (head as string).split('\r\n')
  if (lines.some((line) => !/^[\t\x20-\x7e\x80-\xff]*$/.test(line))) return 'a control byte'
  if (lines.filter((line) => /^content-length:/i.test(line)).length !== 1) return 'two lengths'
  if (lines.some((line) => /^transfer-encoding[ \t]*:/i.test(line))) return 'a coding beside a length'
  return ''
}

async function judgeAll(t: Parameters<typeof dial>[0], gadgets: string[]): Promise<string[]> {
  const { port, peers } = await startUpstream(t)
  const relay = await startRelay(t, port)
  const odd: string[] = []
  for (const gadget of gadgets) {
    const what = await judge(t, relay.port, peers, gadget)
    if (what !== '') odd.push(`${JSON.stringify(gadget)}: ${what}`)
  }
  return odd
}

const published = vectors('smuggling/te-gadgets.json')

t.test(
  'sends one request or none, and no stray byte, for each published gadget',
  published.options,
  async (t) => {
    const gadgets = (JSON.parse(published.read()) as string[]).map((one) =>
      Buffer.from(one, 'base64').toString('latin1'),
    )
    t.ok(gadgets.length > 400, `${gadgets.length} gadgets`)
    t.same(await judgeAll(t, gadgets), [])
  },
)

t.test('sends one request or none, and no stray byte, for gadgets of our own', async (t) => {
  t.same(await judgeAll(t, OF_OUR_OWN), [])
})

t.test('sends one request or none for every byte at every seam of Transfer-Encoding', async (t) => {
  const gadgets: string[] = []
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte)
    if (/[0-9A-Za-z]/.test(char)) continue
    gadgets.push(`${char}Transfer-Encoding: chunked`, `Transfer-Encoding${char}: chunked`)
    gadgets.push(
      `Transfer-Encoding:${char}chunked`,
      `Transfer-Encoding: chunked${char}`,
      `X: ${char}\r\nY: 1`,
    )
  }
  t.same(await judgeAll(t, gadgets), [])
})
