import t, { type Test } from 'tap'
import { ASKS, connectionTo, REAL, SECRET } from '../kit/echo-site.ts'
import { dial, keyLine, openTunnel, type RawResponse } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const a = await startUpstream(t, { host: 'a.localhost' })
const b = await startUpstream(t, { host: 'b.localhost' })
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(a, { name: 'a' }), connectionTo(b, { name: 'b' })],
  credentials: ['a', 'b'].map((connection) => ({ connection, for: 'shared', fields: { apiKey: SECRET } })),
})

/** Names that could stand where `a.localhost:PORT` belongs and mean another destination. */
const OTHERS = [b.authority, `a.localhost:${b.port}`, `b.localhost:${a.port}`]

/** Bytes that reached the two upstreams, and uses of a credential, since the call. */
async function watch(): Promise<() => Promise<{ bytes: number; uses: number }>> {
  const uses = async () => (await site.audit()).filter(({ event }) => event === 'use').length
  const bytes = () => a.bytes.length + b.bytes.length
  const before = { bytes: bytes(), uses: await uses() }
  return async () => ({ bytes: bytes() - before.bytes, uses: (await uses()) - before.uses })
}

async function forward(target: string, host: string): Promise<RawResponse> {
  const client = await dial(t, site.port)
  client.send(
    `GET http://${target}/echo HTTP/1.1\r\nHost: ${host}\r\n${keyLine(site, 'forward', 'ada')}${ASKS}\r\n\r\n`,
  )
  const response = await client.response()
  client.socket.destroy()
  return response
}

function isMismatch(t: Test, response: RawResponse, label: string): void {
  t.equal(response.status, 421, label)
  t.equal(JSON.parse(response.body).code, 'authority_mismatch', label)
}

t.test('forward: target and Host are the same, or nothing leaves', async (t) => {
  const since = await watch()
  for (const other of OTHERS) {
    isMismatch(t, await forward(a.authority, other), `${other} in Host`)
    isMismatch(t, await forward(other, a.authority), `${other} in the target`)
  }
  isMismatch(t, await forward(a.authority, 'a.localhost'), 'Host without the port')
  isMismatch(t, await forward(a.authority, ''), 'an empty Host')
  t.strictSame(await since(), { bytes: 0, uses: 0 })
  for (const host of [a.authority, a.authority.toUpperCase(), `a.localhost.:${a.port}`])
    t.equal((await forward(a.authority, host)).status, 200, `${host} is the same`)
  t.equal(a.requests.at(-1)?.headers.authorization, REAL)
  t.equal(a.requests.at(-1)?.headers.host, a.authority, 'Host is made from what was judged')
})

t.test(
  'connect: CONNECT target, its Host, SNI, inner target and inner Host are the same, or nothing leaves',
  async (t) => {
    const names = [a.authority, b.authority]
    for (let bits = 0; bits < 64; bits++) {
      const pick = (bit: number) => names[(bits >> bit) & 1] as string
      const [target, connectHost, sni, inner, host] = [pick(0), pick(1), pick(2), pick(3), pick(4)]
      // The sixth bit: the inner target is a path. Then its name does not count.
      const path = bits >= 32
      if (path && inner !== a.authority) continue
      const label = `${target} ${connectHost} ${sni} ${path ? '/' : inner} ${host}`.replaceAll(
        '.localhost',
        '',
      )
      const since = await watch()
      const [right, wrong] = target === a.authority ? [a, b] : [b, a]
      const before = wrong.bytes.length
      const opened = await tunnelTo(target, connectHost, sni)
      if (target !== connectHost) {
        t.match(opened, /^HTTP\/1\.1 421 .*authority_mismatch/, `${label}: no tunnel`)
      } else {
        if (typeof opened === 'string') throw new Error(opened)
        opened.send(`GET ${path ? '' : `https://${inner}`}/echo HTTP/1.1\r\nHost: ${host}\r\n${ASKS}\r\n\r\n`)
        const response = await opened.response()
        opened.socket.destroy()
        if (sni === target && host === target && (path || inner === target)) {
          t.equal(response.status, 200, label)
          t.equal(right.requests.at(-1)?.headers.authorization, REAL, label)
          t.equal((await since()).uses, 1, label)
          t.equal(wrong.bytes.length, before, `${label}: nothing at the other host`)
          continue
        }
        isMismatch(t, response, label)
      }
      t.strictSame(await since(), { bytes: 0, uses: 0 }, `${label}: nothing left`)
    }
  },
)

/** A tunnel, or the status line of its refusal. */
async function tunnelTo(target: string, host: string, sni: string) {
  if (target === host) return openTunnel(t, site, target, { servername: sni.split(':')[0] as string })
  const client = await dial(t, site.port)
  client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${host}\r\n${keyLine(site, 'connect', 'ada')}\r\n`)
  const { status, reason } = await client.response()
  return `HTTP/1.1 ${status} ${reason}`
}

t.test('connect: what stands behind plain HTTP in a tunnel is held to the same names', async (t) => {
  const since = await watch()
  for (const other of OTHERS) {
    for (const head of [
      `GET /echo HTTP/1.1\r\nHost: ${other}`,
      `GET http://${other}/echo HTTP/1.1\r\nHost: ${other}`,
      `GET http://${other}/echo HTTP/1.1\r\nHost: ${a.authority}`,
      `GET http://${a.authority}/echo HTTP/1.1\r\nHost: ${other}`,
    ]) {
      const tunnel = await openTunnel(t, site, a.authority, { plain: true })
      isMismatch(t, await tunnel.send(`${head}\r\n${ASKS}\r\n\r\n`).response(), head)
      tunnel.socket.destroy()
    }
  }
  t.strictSame(await since(), { bytes: 0, uses: 0 })
})

t.test('connect: a client that sends no server name is held to the tunnel', async (t) => {
  const tunnel = await openTunnel(t, site, a.authority, { servername: false })
  t.equal((await tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${a.authority}\r\n\r\n`).response()).status, 200)
  isMismatch(
    t,
    await tunnel.send(`GET /echo HTTP/1.1\r\nHost: ${b.authority}\r\n\r\n`).response(),
    'another Host',
  )
})

t.test('connect: a tunnel holds no other tunnel', async (t) => {
  const tunnel = await openTunnel(t, site, a.authority)
  tunnel.send(`CONNECT ${b.authority} HTTP/1.1\r\nHost: ${b.authority}\r\n\r\n`)
  const response = await tunnel.response()
  t.equal(response.status, 400)
})

t.test('gateway: Host chooses nothing, and an absolute target is no way past the connection', async (t) => {
  const client = await dial(t, site.port)
  client.send(
    `GET /c/a/echo HTTP/1.1\r\nHost: ${b.authority}\r\n${keyLine(site, 'gateway', 'ada')}${ASKS}\r\n\r\n`,
  )
  const before = b.bytes.length
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(a.requests.at(-1)?.headers.host, a.authority)
  for (const path of [
    '//b.localhost/x',
    `/http://${b.authority}/x`,
    `/@${b.authority}/`,
    '/..%2fb/echo',
    '/../b/echo',
    '/%2e%2e/b/echo',
  ]) {
    client.send(
      `GET /c/a${path} HTTP/1.1\r\nHost: locum\r\n${keyLine(site, 'gateway', 'ada')}${ASKS}\r\n\r\n`,
    )
    const { status } = await client.response()
    t.ok(status === 200 || status === 400, path)
  }
  t.equal(b.bytes.length, before, 'nothing at the other host')
})

t.test('a redirect to another host is passed back and not followed', async (t) => {
  const before = b.bytes.length
  const client = await dial(t, site.port)
  const to = `${b.origin}/elsewhere`
  client.send(
    `GET http://${a.authority}/redirect?to=${encodeURIComponent(to)} HTTP/1.1\r\nHost: ${a.authority}\r\n${keyLine(site, 'forward', 'ada')}${ASKS}\r\n\r\n`,
  )
  const response = await client.response()
  t.equal(response.status, 302)
  t.equal(response.headers.location, to)
  t.equal(b.bytes.length, before)
})
