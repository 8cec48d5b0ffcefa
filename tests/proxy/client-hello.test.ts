import { once } from 'node:events'
import { createServer } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { HelloReader, type ServerName } from '../../proxy/tunnel/client-hello.ts'
import { clientHello, inRecords } from '../kit/client-hello.ts'

function read(...pieces: Buffer[]): { hellos: ServerName[]; over: boolean } {
  const reader = new HelloReader()
  for (const piece of pieces) reader.feed(piece)
  const { hellos, over } = reader
  return { hellos, over }
}

t.test('reads the name that a real client sends, at every cut', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  for (const servername of ['api.example', undefined]) {
    const client = connectTls({ port, host: '127.0.0.1', servername })
    client.on('error', () => {})
    const [socket] = await once(server, 'connection')
    const [hello] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    for (let cut = 1; cut < hello.length; cut++) {
      const reader = new HelloReader()
      reader.feed(hello.subarray(0, cut))
      t.equal(reader.hellos.length, 0)
      reader.feed(hello.subarray(cut))
      t.same(reader.hellos, [{ name: servername }])
      t.notOk(reader.over)
    }
  }
})

t.test('reads a ClientHello over records of any size, byte by byte', async (t) => {
  const hello = clientHello({ names: [['api.example']], extensions: [[0x0a, Buffer.alloc(4000)]] })
  for (const size of [1, 2, 5, 100, 16_384]) {
    const records = inRecords(hello, size)
    t.same(read(records), { hellos: [{ name: 'api.example' }], over: false })
    t.same(read(...Array.from(records, (byte) => Buffer.of(byte))), {
      hellos: [{ name: 'api.example' }],
      over: false,
    })
  }
})

t.test('reads the one that a server asked for as well, behind a change of ciphers', async (t) => {
  const first = inRecords(clientHello({ names: [['a.example']] }))
  const change = Buffer.of(20, 3, 3, 0, 1, 1)
  const second = inRecords(clientHello({ names: [['b.example']] }), 9)
  const both = [{ name: 'a.example' }, { name: 'b.example' }]
  t.same(read(first, change, second), { hellos: both, over: false })
  t.same(read(first, second).hellos, both)
  t.same(
    read(inRecords(Buffer.concat([clientHello({ names: [['a.example']] }), clientHello()]))).hellos.length,
    2,
  )
})

t.test('nothing that a server passes over hides a ClientHello', async (t) => {
  const first = inRecords(clientHello({ names: [['a.example']] }))
  const hello = clientHello({ names: [['b.example']] })
  const warning = Buffer.of(21, 3, 3, 0, 2, 1, 90)
  const change = Buffer.of(20, 3, 3, 0, 1, 1)
  const empty = Buffer.of(22, 3, 3, 0, 0)
  const both = [{ name: 'a.example' }, { name: 'b.example' }]
  for (const between of [warning, empty, ...[warning, change, empty].map((one) => Buffer.alloc(210, one))])
    t.same(read(first, between, inRecords(hello)).hellos, both)
  const early = inRecords(clientHello({ names: [['a.example']], extensions: [[42, Buffer.alloc(0)]] }))
  const data = (size: number) =>
    Buffer.concat([Buffer.of(23, 3, 3, size >> 8, size & 255), Buffer.alloc(size)])
  t.same(read(early, data(100), data(16_640), change, inRecords(hello)).hellos, both, 'early data is skipped')
  t.same(read(first, data(100), inRecords(hello)).hellos.length, 1, 'but only what was offered')
  const cut = inRecords(hello, 50)
  t.ok(read(early, cut.subarray(0, 55), data(100)).over, 'and never within a ClientHello')
  t.same(read(empty, cut.subarray(0, 55), empty, cut.subarray(55)).hellos, [{ name: 'b.example' }])
  for (const [major, minor] of [
    [3, 5],
    [3, 255],
    [127, 3],
  ] as const) {
    const odd = Buffer.from(hello)
    odd.set([major, minor], 4)
    t.same(read(first, inRecords(odd)).hellos, both, 'whatever version it says')
  }
  t.ok(read(Buffer.alloc(1000, empty)).over, 'but not for ever')
})

t.test('stops reading where the rest is encrypted', async (t) => {
  const first = inRecords(clientHello({ names: [['a.example']] }))
  const keyExchange = Buffer.of(22, 3, 3, 0, 7, 16, 0, 0, 3, 1, 2, 3)
  const change = Buffer.of(20, 3, 3, 0, 1, 1)
  const finished = (first: number) => Buffer.from([22, 3, 3, 0, 40, first, ...new Array(39).fill(0xaa)])
  for (const next of [
    keyExchange,
    Buffer.concat([change, finished(0)]),
    Buffer.concat([change, finished(1)]),
    Buffer.of(23, 3, 3, 0, 1, 0),
    Buffer.concat([change, finished(1).fill(0, 6, 8), Buffer.of(23, 3, 3, 0, 1, 0)]),
  ]) {
    t.same(read(first, next), { hellos: [{ name: 'a.example' }], over: true })
  }
})

t.test('what is no TLS is told at its first bytes', async (t) => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'SSH-2.0-x\r\n',
    '\x80\x2e\x01',
    '\x16\x02',
    '\x14\x03\x03\x00\x01\x01',
  ])
    t.same(read(Buffer.from(text, 'latin1')), { hellos: [], over: true }, JSON.stringify(text))
  t.same(read(Buffer.of(22, 3, 1, 0xff, 0xff)), { hellos: [], over: true }, 'a record beyond its bound')
  t.same(
    read(Buffer.of(22, 3, 1, 0, 6, 1, 0xff, 0xff, 0xff, 3, 3)),
    { hellos: [], over: true },
    'and a hello',
  )
})

t.test('what can be read in two ways is no name', async (t) => {
  const good = clientHello({ names: [['a.example']] })
  const cut = (by: number) => {
    const shorter = Buffer.from(good.subarray(0, good.length - by))
    shorter.writeUIntBE(shorter.length - 4, 1, 3)
    return shorter
  }
  const cases: [string, Buffer][] = [
    ['two extensions', clientHello({ names: [['a.example'], ['b.example']] })],
    ['two names', clientHello({ names: [['a.example', 'b.example']] })],
    ['no name', clientHello({ names: [[]] })],
    ['an empty name', clientHello({ names: [['']] })],
    ['an empty extension', clientHello({ extensions: [[0, Buffer.alloc(0)]] })],
    ['bytes behind the list', clientHello({ extensions: [[0, Buffer.of(0, 4, 0, 0, 1, 0x61, 0)]] })],
    ['another type of name', clientHello({ extensions: [[0, Buffer.of(0, 4, 1, 0, 1, 0x61)]] })],
    ['a length too long', clientHello({ extensions: [[0, Buffer.of(0, 9, 0, 0, 1, 0x61)]] })],
    ...[1, 5, 16, 30, 60].map((by): [string, Buffer] => [`cut by ${by}`, cut(by)]),
    [
      'bytes behind the extensions',
      Buffer.concat([Buffer.of(1, 0, 0, good.length - 3), good.subarray(4), Buffer.of(0)]),
    ],
  ]
  for (const [name, hello] of cases) t.same(read(inRecords(hello)).hellos, ['malformed'], name)
  t.same(read(inRecords(clientHello())).hellos, [{ name: undefined }])
})
