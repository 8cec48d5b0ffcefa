import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { dialTls, listenerFiles } from '../kit/listener.ts'
import { askBy, dial, type RawResponse } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes } from '../kit/upstream.ts'

/** The lines in which the next answer links. */
let lines = ''
const upstream = await startBytes(
  t,
  replying(() => `HTTP/1.1 200 OK\r\n${lines}Content-Length: 0\r\n\r\n`),
)
const content = {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream, { base: `${upstream.origin}/v1/` })],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
}
const site = await startSite(t, content)
const goal = { ...upstream, name: 'echo' }
const base = `http://127.0.0.1:${site.port}/c/echo`

/** What a client is told that asks for `/c/echo/a/b`. */
async function told(...values: string[]): Promise<{ link: string | undefined; aside: string | undefined }> {
  lines = values.map((value) => `Link: ${value}\r\n`).join('')
  return linksOf(await askBy(t, site, 'gateway', goal, { path: '/a/b', headers: [ASKS] }))
}

function linksOf({ headers }: RawResponse): { link: string | undefined; aside: string | undefined } {
  return { link: headers.link, aside: headers['locum-link'] }
}

/** As octokit, requests, Go's and PHP's readers find the next page, the first two in so many words. */
const READERS: readonly ((header: string) => string | undefined)[] = [
  (header) => /(?<=<)([^<>]*)(?=>;\s*rel="next")/i.exec(header)?.[0],
  (header) => {
    for (const value of header.replace(/^[ '"]+|[ '"]+$/g, '').split(/, *</)) {
      const [url = '', ...parameters] = value.split(';')
      if (parameters.some((one) => /^[ '"]*rel[ '"]*=[ '"]*next[ '"]*$/.test(one)))
        return url.replace(/^[<> '"]+|[<> '"]+$/g, '')
    }
    return undefined
  },
  (header) => header.match(/<[^>]*>[^<]*\bnext\b/g)?.map((one) => one.slice(1, one.indexOf('>')))[0],
  (header) => header.match(/https?:\/\/[^>]*/g)?.at(-1),
]

t.test('the next page stays within the connection, in full', async (t) => {
  const { origin } = upstream
  for (const [given, expected] of [
    [`<${origin}/v1/x?page=2>; rel="next"`, `<${base}/x?page=2>; rel="next"`],
    ['</v1/x?a=1,2&page=2>;rel=next', `<${base}/x?a=1,2&page=2>;rel=next`],
    ['<?page=2>; rel="next"', `<${base}/a/b?page=2>; rel="next"`],
    ['<../x;y>; rel="next"', `<${base}/x;y>; rel="next"`],
    [
      `</v1/x?2>; rel="next"; title="a, b > c; \\"d\\"" ,,<${origin}/v1/x?9>; rel="last"`,
      `<${base}/x?2>; rel="next"; title="a, b > c; \\"d\\"" , <${base}/x?9>; rel="last"`,
    ],
    ['</v1/caf\xc3\xa9>; rel="next"', `<${base}/caf%C3%A9>; rel="next"`],
  ] as const)
    t.strictSame(await told(given), { link: expected, aside: undefined }, given)
})

t.test('a link that leads elsewhere is told aside, and none to the gateway itself', async (t) => {
  const { origin, port } = upstream
  t.strictSame(
    await told('<https://evil.example/x>; rel="next", </v1/y>; rel="prev"', '<//evil.example/z>; rel=next'),
    {
      link: `<${base}/y>; rel="prev"`,
      aside: '<https://evil.example/z>; rel=next, <https://evil.example/x>; rel="next"',
    },
  )
  for (const target of [`${origin}/v10/x`, `//localhost:${port}/v1/../c/other/x`, '/v1/../c/other/x']) {
    const { link, aside } = await told(`<${target}>; rel="next"`)
    t.equal(link, undefined)
    t.notMatch(aside ?? '', `:${site.port}/c/other`)
  }
  for (const target of [`http://127.0.0.1:${site.port}/c/other/x`, `https://localhost:${site.port}/c/other`])
    t.strictSame(await told(`<${target}>; rel="next"`), { link: undefined, aside: undefined })
})

t.test('no reader of links is led out of the connection by an upstream', async (t) => {
  const evil = 'https://evil.example/x'
  for (const values of [
    [`<${evil}>; rel="next"`],
    [`</v1/y>; title="<${evil}>; rel=\\"next\\""`],
    [`</v1/y>; title=", <${evil}>; rel=next"`],
    [`</v1/y>; title="\\<${evil}>; rel=next"`],
    [`</v1/y>; title='<${evil}>; rel="next"'`],
    [`</v1/y>; title="unended, <${evil}>; rel="next"`],
    ['</v1/y>; title="unended', `<${evil}>; rel="next"`],
    ['</v1/y>; title="', `"; rel=next, <${evil}>; rel="next"`],
    [`</v1/<${evil}>; rel="next"`],
    [`</v1/y <${evil}>; rel="next"`],
    [`x, <${evil}>; rel="next"`],
    [`<>, <${evil}>; rel="next"`],
    [`"</v1/y>", <${evil}>; rel="next"`],
    [`</v1/y>;;;=,;"\\",<${evil}>; rel="next"`],
    [`${'</v1/y>, '.repeat(200)}<${evil}>; rel="next"`],
    [`\t<\\\\evil.example\\x>; rel="next"`],
    ['<https:/\\evil.example>; rel="next"'],
    [`<${evil}\\>; rel="next"`],
  ]) {
    const { link = '' } = await told(...values)
    for (const read of READERS) {
      const next = read(link)
      t.ok(next === undefined || next.startsWith(`${base}/`), `${values} → ${next}`)
    }
    t.notMatch(link, 'evil.example', String(values))
  }
})

t.test('hints of what is to come are links like any other', async (t) => {
  const hints = 'Link: </v1/y>; rel=preload, <https://evil.example>; rel=preload\r\n'
  const interim = `HTTP/1.1 103 Early Hints\r\n${hints}\r\n`
  const hinting = await startBytes(
    t,
    replying(() => `${interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`),
  )
  const other = await startSite(t, {
    ...content,
    connections: [connectionTo(hinting, { base: `${hinting.origin}/v1/` })],
  })
  const asking = await dial(t, other.port)
  asking.send(
    `GET /c/echo/ HTTP/1.1\r\nHost: 127.0.0.1:${other.port}\r\nLocum-Authorization: Bearer ${other.keys.ada}\r\n\r\n`,
  )
  await asking.until((received) => received.includes(' 200 '))
  t.match(asking.received, `Link: <http://127.0.0.1:${other.port}/c/echo/y>; rel=preload\r\n`)
  t.match(asking.received, 'Locum-Link: <https://evil.example>; rel=preload\r\n')
  asking.socket.destroy()
})

t.test('without certainty how a client reaches the gateway, a link is one without a host', async (t) => {
  const head = (host: string, key: string | undefined) =>
    `GET /c/echo/a HTTP/1.1\r\nHost: ${host}\r\nLocum-Authorization: Bearer ${key}\r\n\r\n`
  lines = 'Link: </v1/x>; rel="next"\r\n'
  const plain = await dial(t, site.port)
  for (const [host, expected] of [
    ['locum.example.com', '</c/echo/x>; rel="next"'],
    ['10.0.0.1:8080', '</c/echo/x>; rel="next"'],
    ['127.0.0.1.evil.example', '</c/echo/x>; rel="next"'],
    ['localhost:9090', '<http://localhost:9090/c/echo/x>; rel="next"'],
    ['[::1]:9090', '<http://[::1]:9090/c/echo/x>; rel="next"'],
  ] as const)
    t.equal(linksOf(await plain.send(head(host, site.keys.ada)).response()).link, expected, host)
  plain.socket.destroy()

  const files = await listenerFiles(t)
  const secured = await startSite(t, { ...content, listen: { proxy: files.listener } })
  const client = await dialTls(t, secured.port, { ca: files.ca.cert })
  const { link } = linksOf(await client.send(head('locum.example.com:8443', secured.keys.ada)).response())
  t.equal(link, '<https://locum.example.com:8443/c/echo/x>; rel="next"')
  client.socket.destroy()
})
