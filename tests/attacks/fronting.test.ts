import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { clientHello, inRecords } from '../kit/client-hello.ts'
import { startParent } from '../kit/parent.ts'
import { openPassing, untouchedTo } from '../kit/passing.ts'
import { dial, eventually, keyLine, openTunnel } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** A tunnel that passes to `host`, and every byte that arrives there. */
async function startFront(t: Test, origin = (port: number) => `https://localhost:${port}`) {
  const pieces: Buffer[] = []
  let ended = 0
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('close', () => ended++)
    socket.on('data', (chunk: Buffer) => pieces.push(chunk))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const site = await startSite(t, {
    principals: [{ id: 'ada' }],
    connections: [untouchedTo({ origin: origin(port), ca: undefined })],
  })
  const authority = new URL(origin(port)).host
  return {
    site,
    authority,
    get arrived() {
      return Buffer.concat(pieces)
    },
    get ended() {
      return ended
    },
  }
}

const OTHER = clientHello({ names: [['victim.example']] })
const OWN = clientHello({ names: [['localhost']] })
const CHANGE = Buffer.of(20, 3, 3, 0, 1, 1)
const WARNING = Buffer.of(21, 3, 3, 0, 2, 1, 90)

t.test('a tunnel to one host never carries TLS for another, not one byte of it', async (t) => {
  const front = await startFront(t)
  const cases: [string, Buffer, alert?: boolean][] = [
    ['another name', inRecords(OTHER), true],
    ['in many records', inRecords(OTHER, 7), true],
    ['a name beneath it', inRecords(clientHello({ names: [['a.localhost']] })), true],
    ['a name that ends like it', inRecords(clientHello({ names: [['evillocalhost']] })), true],
    ['a name that is none', inRecords(clientHello({ names: [['localhost\0.evil']] })), true],
    ['two names', inRecords(clientHello({ names: [['localhost', 'victim.example']] })), true],
    ['two extensions', inRecords(clientHello({ names: [['localhost'], ['victim.example']] })), true],
    ['no name', inRecords(clientHello()), true],
    [
      'the outer name of an encrypted hello',
      inRecords(clientHello({ names: [['ech.example']], extensions: [[0xfe0d, Buffer.alloc(200)]] })),
      true,
    ],
    ['two at once', inRecords(Buffer.concat([OWN, OTHER])), true],
    ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: victim.example\r\n\r\n')],
    ['the hello of SSL 2', Buffer.from('802e0100020015000000100100800700c0', 'hex')],
    ['a hello that never ends', Buffer.from('1603010400010fffff0303', 'hex')],
  ]
  for (const [name, bytes, alert] of cases) {
    const before = front.ended
    const client = await openTunnel(t, front.site, front.authority, { plain: true })
    client.socket.write(bytes)
    const answer = await client.whole()
    if (alert) t.equal(Buffer.from(answer, 'latin1').toString('hex'), '15030100020270', name)
    await eventually(() => front.ended > before, `${name}: the upstream is let go`)
    t.equal(front.arrived.length, 0, name)
  }
  const outcomes = (await front.site.audit()).filter(({ event }) => event === 'outcome')
  t.equal(outcomes.length, cases.length)
  for (const outcome of outcomes) t.match(outcome, { status: 200, code: 'authority_mismatch', sent: 0 })
})

t.test('the name of a second ClientHello counts as well', async (t) => {
  const front = await startFront(t)
  const newer = Buffer.from(OTHER)
  newer[5] = 5
  for (const second of [
    inRecords(OTHER),
    inRecords(OTHER, 3),
    Buffer.concat([CHANGE, inRecords(OTHER)]),
    // OpenSSL passes over a warning, and goes by no version that it finds there.
    Buffer.concat([WARNING, inRecords(OTHER)]),
    inRecords(newer),
  ]) {
    const client = await openTunnel(t, front.site, front.authority, { plain: true })
    const before = front.arrived.length
    client.socket.write(inRecords(OWN))
    await eventually(() => front.arrived.length === before + inRecords(OWN).length, 'the first passes')
    // In pieces: that the one was fine says nothing of the next.
    client.socket.write(second.subarray(0, 20))
    const passed = before + inRecords(OWN).length + 20
    await eventually(() => front.arrived.length === passed, 'a piece is nobody’s name')
    client.socket.write(second.subarray(20))
    await client.gone()
    t.equal(front.arrived.length, passed)
    t.notMatch(front.arrived.toString('latin1'), 'victim.example')
  }
})

t.test('nor does early data hide it, which a server that asks for another skips', async (t) => {
  const front = await startFront(t)
  const offer = inRecords(clientHello({ names: [['localhost']], extensions: [[42, Buffer.alloc(0)]] }))
  const data = Buffer.concat([Buffer.of(23, 3, 3, 0, 100), Buffer.alloc(100, 7)])
  const client = await openTunnel(t, front.site, front.authority, { plain: true })
  const passes = Buffer.concat([offer, data, data])
  client.socket.write(passes)
  await eventually(() => front.arrived.length === passes.length, 'it arrives')
  client.socket.write(inRecords(OTHER))
  await client.gone()
  t.equal(front.arrived.length, passes.length)
})

t.test('what comes with the CONNECT, before it is answered, is looked at too', async (t) => {
  const front = await startFront(t)
  for (const hello of [OTHER, OWN]) {
    const client = await dial(t, front.site.port)
    const head = `CONNECT ${front.authority} HTTP/1.1\r\nHost: ${front.authority}\r\n${keyLine(front.site, 'connect', 'ada')}\r\n`
    client.socket.write(Buffer.concat([Buffer.from(head), inRecords(hello)]))
    if (hello === OWN) await eventually(() => front.arrived.equals(inRecords(OWN)), 'it arrives')
    else await client.gone()
  }
})

t.test('what a client may send in its own name passes', async (t) => {
  const front = await startFront(t)
  const grease: [number, Buffer] = [0xfe0d, Buffer.alloc(200, 0x5a)]
  const early = Buffer.of(23, 3, 3, 0, 4, 1, 2, 3, 4)
  let sent = 0
  for (const bytes of [
    inRecords(OWN),
    inRecords(OWN, 1),
    inRecords(clientHello({ names: [['LOCALHOST.']] })),
    inRecords(clientHello({ names: [['localhost']], extensions: [grease] })),
    Buffer.concat([inRecords(OWN), early, Buffer.alloc(1000, 7)]),
    Buffer.concat([inRecords(OWN), CHANGE, inRecords(OWN), CHANGE, early]),
  ]) {
    const client = await openTunnel(t, front.site, front.authority, { plain: true })
    client.socket.write(bytes)
    sent += bytes.length
    await eventually(() => front.arrived.length === sent, 'it arrives')
    client.socket.destroy()
  }
})

t.test('an address has no name, and what is no TLS has none to look at', async (t) => {
  const address = await startFront(t, (port) => `https://127.0.0.1:${port}`)
  const fronting = await openTunnel(t, address.site, address.authority, { plain: true })
  fronting.socket.write(inRecords(OTHER))
  await fronting.gone()
  t.equal(address.arrived.length, 0)
  const honest = await openTunnel(t, address.site, address.authority, { plain: true })
  honest.socket.write(inRecords(clientHello()))
  await eventually(() => address.arrived.length > 0, 'without a name it passes')

  const plain = await startFront(t, (port) => `http://localhost:${port}`)
  for (const hidden of [inRecords(OTHER), Buffer.concat([Buffer.of(22, 3, 1, 0, 0), inRecords(OTHER)])]) {
    const tls = await openTunnel(t, plain.site, plain.authority, { plain: true })
    tls.socket.write(hidden)
    await tls.gone()
  }
  t.equal(plain.arrived.length, 0, 'TLS for another host does not pass there either')
  for (const bytes of [Buffer.from('SSH-2.0-x\r\n'), inRecords(clientHello()), inRecords(OWN)]) {
    const before = plain.arrived.length
    const client = await openTunnel(t, plain.site, plain.authority, { plain: true })
    client.socket.write(bytes)
    await eventually(() => plain.arrived.length === before + bytes.length, 'it arrives')
  }
  const half = await openTunnel(t, plain.site, plain.authority, { plain: true })
  const before = plain.arrived.length
  half.socket.end(Buffer.of(22))
  await eventually(() => plain.arrived.length === before + 1, 'what only begins like TLS arrives too')
})

t.test('a name of one’s own that leads to a declared host carries no TLS for that host', async (t) => {
  const declared = await startUpstream(t)
  const parent = await startParent(t, { to: () => declared.port })
  const site = await startSite(
    t,
    {
      unmatched: 'tunnel',
      egress: { proxy: parent.url },
      principals: [{ id: 'ada' }],
      connections: [
        untouchedTo({ origin: 'https://localhost:443', ca: undefined }, { allow: { profiles: ['others'] } }),
      ],
    },
    { lookup: async () => [{ address: '93.184.216.34' }] },
  )
  await t.rejects(openPassing(t, site, 'localhost:443'), /not_allowed/)
  await t.rejects(openPassing(t, site, 'evil.test:443', { servername: 'localhost' }), /unrecognized name/)
  t.equal(parent.asked.length, 1)
  t.equal(parent.carried, '', 'and not one byte')
  t.equal(declared.bytes, '')
})

t.test('resets at any moment of a tunnel that passes do not end the process', async (t) => {
  const upstream = await startUpstream(t)
  const site = await startSite(t, {
    principals: [{ id: 'ada' }],
    connections: [untouchedTo(upstream)],
  })
  for (let i = 0; i < 3; i++) {
    const asked = await openTunnel(t, site, upstream.authority, { plain: true })
    asked.reset()
    const begun = await openTunnel(t, site, upstream.authority, { plain: true })
    begun.send('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03').reset()
    const open = await openPassing(t, site, upstream.authority)
    open.send('GET /sse HTTP/1.1\r\nHost: x\r\n\r\n')
    await open.until((received) => received.includes('data:'))
    if (i === 1) upstream.reset()
    else open.reset()
    await open.gone()
  }
  await eventually(() => site.running.room.live.size === 0, 'nothing is under way')
  await eventually(() => site.running.room.upstreams.counts.sockets === 0, 'no socket is left')
  await openPassing(t, site, upstream.authority)
})
