import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { interleave, type Lookup, systemAddresses } from '../../proxy/upstreams/addresses.ts'
import { answer, makeUpstreams, noLookup, send, serveRaw, specOf, until } from './kit.ts'

/** Gives one answer after the other, and counts. */
function answers(...lists: string[][]): Lookup & { asked: string[] } {
  const asked: string[] = []
  const lookup = async (name: string) => {
    asked.push(name)
    const list = lists[Math.min(asked.length, lists.length) - 1] as string[]
    return list.map((address) => ({ address }))
  }
  return Object.assign(lookup, { asked })
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('looks a name up once and dials that answer, whatever the next one would be', async (t) => {
  const good = await serveRaw(t, (_, socket) => answer(socket, 'good'))
  const evil = await serveRaw(t, (_, socket) => answer(socket, 'evil'), '127.0.0.2', undefined, good.port)
  const lookup = answers(['127.0.0.1'], ['127.0.0.2'])
  const upstreams = makeUpstreams(t, {}, { lookup })
  const outcome = await send(upstreams, specOf(`http://rebind.test:${good.port}`)).outcome
  t.equal(outcome.body, 'good')
  t.same(lookup.asked, ['rebind.test'])
  t.equal(evil.sockets.length, 0)
})

t.test('judges the answer of every dial anew', async (t) => {
  const victim = await serveRaw(t, (_, socket) => answer(socket, 'inside'))
  const lookup = answers(['127.0.0.1'])
  const upstreams = makeUpstreams(t, {}, { lookup })
  const spec = specOf(`http://rebind.test:${victim.port}`, { allowPrivateNetwork: false })
  for (let i = 1; i <= 2; i++) {
    const { error } = await send(upstreams, spec).outcome
    t.equal(error?.code, 'destination_forbidden')
    t.match(error?.hint, /allowPrivateNetwork/)
    t.notMatch(error?.detail, '127.0.0.1')
    t.equal(lookup.asked.length, i)
  }
  t.equal(victim.sockets.length, 0)
  t.match(upstreams.counts, { keys: 0, dialled: 0, sockets: 0 })
})

t.test('refuses a name where one of its addresses is refused', async (t) => {
  const inside = await serveRaw(t, (_, socket) => answer(socket, 'inside'))
  for (const list of [
    ['1.1.1.1', '127.0.0.1'],
    ['127.0.0.1', '1.1.1.1'],
    ['2606:4700:4700::1111', '1.1.1.1', 'fd00::1'],
    ['1.1.1.1', '::ffff:1.0.0.1'],
    ['1.1.1.1', 'fe80::1%eth0'],
    ['1.1.1.1', ''],
  ]) {
    const upstreams = makeUpstreams(t, {}, { lookup: answers(list) })
    const spec = specOf(`http://mixed.test:${inside.port}`, { allowPrivateNetwork: false })
    t.equal((await send(upstreams, spec).outcome).code, 'destination_forbidden', list.join())
    t.equal(upstreams.counts.sockets, 0)
  }
  t.equal(inside.sockets.length, 0)
})

t.test('refuses addresses that are not public, by name and as they stand', async (t) => {
  for (const ip of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '100.64.0.1',
    '192.168.0.1',
    '::1',
    'fd00::1',
  ]) {
    const host = ip.includes(':') ? `[${ip}]` : ip
    const upstreams = makeUpstreams(t, {}, { lookup: answers([ip]) })
    for (const text of [`http://${host}`, 'https://name.test'])
      t.equal(
        (await send(upstreams, specOf(text, { allowPrivateNetwork: false })).outcome).code,
        'destination_forbidden',
        `${text} ${ip}`,
      )
  }
})

t.test(
  'never dials multicast, broadcast or unspecified addresses, even where private ones are allowed',
  async (t) => {
    for (const ip of [
      '224.0.0.1',
      '255.255.255.255',
      '0.0.0.0',
      '0.0.0.1',
      '::',
      'ff02::1',
      '::ffff:0.0.0.0',
    ]) {
      const upstreams = makeUpstreams(t, {}, { lookup: answers([ip]) })
      const { error } = await send(upstreams, specOf('http://name.test')).outcome
      t.equal(error?.code, 'destination_forbidden', ip)
      t.equal(error?.hint, undefined, 'there is nothing to allow')
    }
  },
)

t.test('takes localhost and names under it for loopback without asking', async (t) => {
  const { port } = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
  const upstreams = makeUpstreams(t, {}, { lookup: noLookup })
  t.equal((await send(upstreams, specOf(`http://localhost:${port}`)).outcome).body, '1')
  t.equal((await send(upstreams, specOf(`http://app.localhost:${port}`)).outcome).body, '2')
  const strict = specOf(`http://a.b.localhost:${port}`, { allowPrivateNetwork: false })
  t.equal((await send(upstreams, strict).outcome).code, 'destination_forbidden')
})

t.test('a name that has no address, or cannot be looked up, is unreachable', async (t) => {
  const failing = (code: string): Lookup => {
    return async () => {
      throw Object.assign(new Error('a resolver says so'), { code })
    }
  }
  const cases: [string, Lookup][] = [
    ['not found', failing('ENOTFOUND')],
    ['try again', failing('EAI_AGAIN')],
    ['something else', failing('EWHATEVER')],
    [
      'not even a promise',
      () => {
        throw new Error('broken')
      },
    ],
    ['no answers', async () => []],
  ]
  for (const [name, lookup] of cases) {
    const upstreams = makeUpstreams(t, {}, { lookup })
    t.equal((await send(upstreams, specOf('http://name.test')).outcome).code, 'upstream_unreachable', name)
    t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0 })
  }
})

t.test('gives a look-up and a connection a time limit together', async (t) => {
  const lookup: Lookup = () => new Promise(() => {})
  const upstreams = makeUpstreams(t, { connectMs: 30 }, { lookup })
  const { error } = await send(upstreams, specOf('http://slow.test')).outcome
  t.equal(error?.code, 'upstream_unreachable')
  t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0 })
})

t.test('an answer that comes after the client went dials nothing', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket) => answer(socket, 'ok'))
  const { promise, resolve } = Promise.withResolvers<{ address: string }[]>()
  const upstreams = makeUpstreams(t, {}, { lookup: () => promise })
  const sent = send(upstreams, specOf(`http://slow.test:${port}`))
  sent.sending.abort()
  resolve([{ address: '127.0.0.1' }])
  await promise
  await new Promise((done) => setImmediate(done))
  t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0, sockets: 0 })
  t.equal(sockets.length, 0)
  t.equal(sent.calls, 0)
})

t.test('tries the next address where one does not take the connection', async (t) => {
  const { port } = await serveRaw(t, (_, socket) => answer(socket, 'second'), '127.0.0.2')
  const upstreams = makeUpstreams(t, {}, { lookup: answers(['127.0.0.3', '127.0.0.2']) })
  t.equal((await send(upstreams, specOf(`http://two.test:${port}`)).outcome).body, 'second')
  await until(() => upstreams.counts.sockets === 1)
})

t.test('closes the connections that lost a race', async (t) => {
  const first = await serveRaw(t, (_, socket) => answer(socket, 'one of them'))
  const second = await serveRaw(
    t,
    (_, socket) => answer(socket, 'one of them'),
    '127.0.0.2',
    undefined,
    first.port,
  )
  const upstreams = makeUpstreams(t, { nextAddressMs: 0 }, { lookup: answers(['127.0.0.1', '127.0.0.2']) })
  t.equal((await send(upstreams, specOf(`http://two.test:${first.port}`)).outcome).body, 'one of them')
  await until(() => upstreams.counts.sockets === 1)
  t.match(upstreams.counts, { connections: 1, idle: 1, dialled: 1 })
  t.ok(first.sockets.length + second.sockets.length >= 1)
})

t.test('an upstream that nobody listens for is unreachable, and its requests do not wait', async (t) => {
  const upstreams = makeUpstreams(t, { connectionsPerKey: 2 })
  const spec = specOf(`http://127.0.0.1:${await deadPort()}`)
  const all = await Promise.all([1, 2, 3, 4, 5].map(() => send(upstreams, spec).outcome))
  for (const outcome of all) t.equal(outcome.code, 'upstream_unreachable')
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, dialling: 0, waiting: 0 })
})

t.test('refuses a listener of Locum itself, even where private addresses are allowed', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket) => answer(socket, 'round and round'))
  const local = ['192.0.2.77', 'fd00::77']
  const cases: [listener: string, text: string, answer?: string][] = [
    ['127.0.0.1', `http://127.0.0.1:${port}`],
    ['127.0.0.1', `http://localhost:${port}`],
    ['127.0.0.1', `http://name.test:${port}`, '127.0.0.1'],
    ['127.0.0.1', `http://[::ffff:127.0.0.1]:${port}`],
    ['::ffff:127.0.0.1', `http://127.0.0.1:${port}`],
    ['0.0.0.0', `http://127.0.0.1:${port}`],
    ['0.0.0.0', `http://127.0.0.9:${port}`],
    ['0.0.0.0', `http://192.0.2.77:${port}`],
    ['::', `http://127.0.0.1:${port}`],
    ['::', `http://[::1]:${port}`],
    ['::', `http://[fd00::77]:${port}`],
    ['::', `https://name.test:${port}`, '192.0.2.77'],
  ]
  for (const [listener, text, address] of cases) {
    const upstreams = makeUpstreams(
      t,
      {},
      {
        lookup: address === undefined ? noLookup : answers([address]),
        ownListeners: () => [{ address: listener, port }],
        localAddresses: () => local,
      },
    )
    t.equal(
      (await send(upstreams, specOf(text)).outcome).code,
      'destination_forbidden',
      `${listener} ${text}`,
    )
  }
  t.equal(sockets.length, 0)
  for (const listener of [
    { address: '127.0.0.1', port: port === 1 ? 2 : port - 1 },
    { address: '0.0.0.0', port: port === 1 ? 2 : port - 1 },
    { address: '127.0.0.2', port },
    { address: '::1', port },
  ]) {
    const upstreams = makeUpstreams(t, {}, { ownListeners: () => [listener], localAddresses: () => local })
    const outcome = await send(upstreams, specOf(`http://127.0.0.1:${port}`)).outcome
    t.equal(outcome.body, 'round and round', `${listener.address} ${listener.port}`)
  }
})

t.test('a wildcard is never dialled', async (t) => {
  const upstreams = makeUpstreams(t)
  t.equal((await send(upstreams, specOf('https://*.crm.example')).outcome).code, 'internal')
})

t.test('alternates the families, and keeps the order within each', async (t) => {
  t.same(interleave(['::1', '::2', '::3', '1.1.1.1', '1.1.1.2']), ['::1', '1.1.1.1', '::2', '1.1.1.2', '::3'])
  t.same(interleave(['1.1.1.1', '1.1.1.2', '::1']), ['1.1.1.1', '::1', '1.1.1.2'])
  t.same(interleave(['1.1.1.1']), ['1.1.1.1'])
})

t.test('knows the addresses of this host, without zones', async (t) => {
  t.ok(systemAddresses().includes('127.0.0.1'))
  t.notOk(systemAddresses().some((address) => address.includes('%')))
})
