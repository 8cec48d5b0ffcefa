import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { type Asked, askBy, ENTRANCES, type Entrance } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes } from '../kit/upstream.ts'

/** What the upstream answers to the next request. */
let reply = ''
const upstream = await startBytes(
  t,
  replying(() => reply),
)
const site = await startSite(t, {
  principals: [{ id: 'ada', kind: 'user' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})

function ask(entrance: Entrance, answer: string, asked: Asked = {}) {
  reply = answer
  return askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers: [ASKS], ...asked })
}

const OURS = 'Proxy-Status: locum; error=http_request_denied; details="not_allowed"\r\n'
const UPGRADE = 'Connection: upgrade\r\nUpgrade: websocket\r\n'

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: an upstream cannot pass for Locum's own refusal`, async (t) => {
    const heads = [
      `HTTP/1.1 200 OK\r\nProxy-Status: cache; hit\r\n${OURS}Content-Length: 0\r\n\r\n`,
      `HTTP/1.1 103 Early Hints\r\n${OURS}\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${OURS}\r\n`,
    ]
    for (const head of heads) t.notMatch(JSON.stringify(await ask(entrance, head)), /locum/)
    const upgraded = await ask(entrance, `HTTP/1.1 101 Switching\r\n${UPGRADE}${OURS}\r\n`, {
      headers: [ASKS, 'Connection: upgrade', 'Upgrade: websocket'],
    })
    t.equal(upgraded.status, 101)
    t.notOk(upgraded.headers['proxy-status'])
    t.match((await ask(entrance, heads[0] as string)).headers['proxy-status'], /cache/, "others' pass")
  })

  t.test(`${entrance}: a second content type does not hide an echo`, async (t) => {
    const body = JSON.stringify({ key: SECRET })
    for (const types of [
      'Content-Type: image/png\r\nContent-Type: application/json\r\n',
      'Content-Type: application/json\r\nContent-Type: image/png\r\n',
      'Content-Type: image/png, application/json\r\n',
    ]) {
      const answer = await ask(
        entrance,
        `HTTP/1.1 200 OK\r\n${types}Content-Length: ${body.length}\r\n\r\n${body}`,
      )
      t.equal(answer.status, 200)
      t.notMatch(answer.body, SECRET)
    }
  })
}

t.test('a cookie and orders for a whole origin reach no browser by an interim head', async (t) => {
  const orders = ['Set-Cookie: a=b', 'Clear-Site-Data: "*"', 'Alt-Svc: h3=":1"', 'NEL: {}', 'Report-To: {}']
  const lines = orders.map((line) => `${line}\r\n`).join('')
  const early = await ask(
    'gateway',
    `HTTP/1.1 103 Early Hints\r\n${lines}Link: </x>\r\n\r\nHTTP/1.1 200 OK\r\n${lines}Content-Length: 0\r\n\r\n`,
  )
  t.strictSame(early.interims, [`103 Link: <http://127.0.0.1:${site.port}/c/echo/x>`])
  t.strictSame(
    early.lines.filter((line) => orders.includes(line)),
    [],
  )
  const upgraded = await ask('gateway', `HTTP/1.1 101 Switching\r\n${UPGRADE}${lines}\r\n`, {
    headers: [ASKS, 'Connection: upgrade', 'Upgrade: websocket'],
  })
  t.equal(upgraded.status, 101)
  t.strictSame(upgraded.lines, ['Connection: Upgrade', 'Upgrade: websocket'])
})
