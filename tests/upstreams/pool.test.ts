import { once } from 'node:events'
import t from 'tap'
import { WireError } from '../../proxy/wire/message.ts'
import { answer, bodyOf, headOf, makeUpstreams, send, serveRaw, specOf, until } from './kit.ts'

t.test('gives a request the connection that became idle last', async (t) => {
  const held: { connection: number; go: () => void }[] = []
  const { port } = await serveRaw(t, (_, socket, connection, nth) => {
    if (nth === 1) held.push({ connection, go: () => answer(socket, connection) })
    else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  const first = [1, 2, 3].map(() => send(upstreams, spec).outcome)
  await until(() => held.length === 3)
  const [early, late, middle] = held
  for (const [i, one] of [early, middle, late].entries()) {
    one?.go()
    await until(() => upstreams.counts.idle === i + 1)
  }
  await Promise.all(first)
  for (let i = 0; i < 3; i++) {
    t.equal((await send(upstreams, spec).outcome).body, String(late?.connection))
    await until(() => upstreams.counts.idle === 3)
  }
  t.match(upstreams.counts, { dialled: 3, reused: 3, connections: 3, sockets: 3, keys: 1 })
})

t.test('queues in order where every connection is busy', async (t) => {
  const seen: string[] = []
  const { port, sockets } = await serveRaw(t, (text, socket) => {
    seen.push(text.split(' ')[1] as string)
    setImmediate(answer, socket, 'ok')
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const all = ['/1', '/2', '/3', '/4'].map((target) => send(upstreams, spec, headOf('GET', target)).outcome)
  t.equal(upstreams.counts.waiting, 4)
  for (const outcome of await Promise.all(all)) t.equal(outcome.body, 'ok')
  t.same(seen, ['/1', '/2', '/3', '/4'])
  t.equal(sockets.length, 1)
})

t.test('says overloaded when the queue is full, and serves who was in it', async (t) => {
  const held: (() => void)[] = []
  const { port } = await serveRaw(t, (_, socket) => held.push(() => answer(socket, 'ok')))
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1, queuePerKey: 2 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const busy = send(upstreams, spec)
  await until(() => held.length === 1)
  const waiting = [send(upstreams, spec), send(upstreams, spec)]
  t.equal((await send(upstreams, spec).outcome).code, 'overloaded')
  held[0]?.()
  t.equal((await busy.outcome).body, 'ok')
  for (const [i, one] of waiting.entries()) {
    await until(() => held.length === i + 2)
    held[i + 1]?.()
    t.equal((await one.outcome).body, 'ok')
  }
})

t.test('says overloaded to a request that has waited too long, and goes on', async (t) => {
  const held: (() => void)[] = []
  const { port } = await serveRaw(t, (_, socket) => held.push(() => answer(socket, 'ok')))
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1, queueWaitMs: 500 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const busy = send(upstreams, spec)
  await until(() => held.length === 1)
  const impatient = send(upstreams, spec)
  t.equal((await impatient.outcome).code, 'overloaded')
  held[0]?.()
  t.equal((await busy.outcome).body, 'ok')
  t.equal(upstreams.counts.waiting, 0)
  const next = send(upstreams, spec)
  await until(() => held.length === 2)
  held[1]?.()
  t.equal((await next.outcome).body, 'ok')
})

t.test('gives up the place of a request whose client is gone, and asks nothing for it', async (t) => {
  const held: (() => void)[] = []
  const targets: string[] = []
  const { port } = await serveRaw(t, (text, socket) => {
    targets.push(text.split(' ')[1] as string)
    held.push(() => answer(socket, 'ok'))
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const busy = send(upstreams, spec, headOf('GET', '/busy'))
  await until(() => held.length === 1)
  const gone = send(upstreams, spec, headOf('GET', '/gone'))
  const next = send(upstreams, spec, headOf('GET', '/next'))
  gone.sending.abort()
  gone.sending.abort()
  held[0]?.()
  await busy.outcome
  await until(() => held.length === 2)
  held[1]?.()
  t.equal((await next.outcome).body, 'ok')
  t.same(targets, ['/busy', '/next'])
  t.equal(gone.calls, 0)
})

t.test('destroys the connection of a request whose client is gone, and lets the next one dial', async (t) => {
  const { port, sockets } = await serveRaw(t, (text, socket, connection) => {
    if (text.includes('/fine')) answer(socket, connection)
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const stuck = send(upstreams, spec, headOf('GET', '/stuck'))
  const next = send(upstreams, spec, headOf('GET', '/fine'))
  await until(() => sockets.length === 1)
  await until(() => upstreams.counts.waiting === 1)
  const closed = once(sockets[0] as NonNullable<(typeof sockets)[0]>, 'close')
  stuck.sending.abort()
  t.equal((await next.outcome).body, '2')
  await closed
  t.equal(stuck.calls, 0)
})

t.test('does not wedge under hundreds of aborts at every stage', async (t) => {
  let received = 0
  const { port } = await serveRaw(t, (text, socket) => {
    received++
    if (text.includes('/head')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    if (text.includes('/fine')) answer(socket, 'ok')
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 16 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  for (let round = 0; round < 8; round++) {
    const before = received
    const storm = Array.from({ length: 60 }, (_, i) =>
      send(upstreams, spec, headOf(i % 4 === 0 ? 'POST' : 'GET', i % 2 ? '/head' : '/never')),
    )
    for (const one of storm.splice(0, 15)) one.sending.abort()
    await new Promise((resolve) => setImmediate(resolve))
    for (const one of storm.splice(0, 15)) one.sending.abort()
    await until(() => received - before >= 16)
    const served = send(upstreams, spec, headOf('GET', '/fine'))
    for (const one of storm) one.sending.abort()
    t.equal((await served.outcome).body, 'ok')
  }
  await until(() => upstreams.counts.sockets === upstreams.counts.idle)
  t.match(upstreams.counts, { waiting: 0, dialling: 0 })
  const all = await Promise.all(
    Array.from({ length: 64 }, () => send(upstreams, spec, headOf('GET', '/fine')).outcome),
  )
  t.ok(all.every((outcome) => outcome.body === 'ok'))
  t.ok(upstreams.counts.connections <= 16)
  upstreams.closeIdle()
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, connections: 0, idle: 0 })
})

t.test('an abort after the whole response does not reach who has the connection now', async (t) => {
  const held: (() => void)[] = []
  const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
    if (nth === 1) answer(socket, connection)
    else held.push(() => answer(socket, connection))
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  const first = send(upstreams, spec)
  await first.outcome
  await until(() => upstreams.counts.idle === 1)
  const second = send(upstreams, spec)
  await until(() => held.length === 1)
  first.sending.abort()
  held[0]?.()
  t.equal((await second.outcome).body, '1')
  t.equal(sockets.length, 1)
})

for (const [method, end] of [
  ['GET', 'reset'],
  ['GET', 'closed'],
  ['DELETE', 'reset'],
  ['PUT', 'closed'],
] as const) {
  t.test(`sends ${method} again, once, when an idle connection turns out ${end}`, async (t) => {
    const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
      if (connection === 1 && nth === 2) end === 'reset' ? socket.resetAndDestroy() : socket.end()
      else answer(socket, connection)
    })
    const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
    const spec = specOf(`http://127.0.0.1:${port}`)
    await send(upstreams, spec).outcome
    await until(() => upstreams.counts.idle === 1)
    const again = send(upstreams, spec, headOf(method))
    t.equal((await again.outcome).body, '2')
    t.equal(again.calls, 1)
    t.equal(sockets.length, 2)
    t.match(upstreams.counts, { sentAgain: 1, connections: 1 })
  })
}

t.test('does not send POST or PATCH again', async (t) => {
  for (const method of ['POST', 'PATCH']) {
    const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
      if (nth === 2) socket.resetAndDestroy()
      else answer(socket, connection)
    })
    const upstreams = makeUpstreams(t)
    const spec = specOf(`http://127.0.0.1:${port}`)
    await send(upstreams, spec).outcome
    await until(() => upstreams.counts.idle === 1)
    t.equal((await send(upstreams, spec, headOf(method)).outcome).code, 'upstream_unreachable')
    t.equal(sockets.length, 1)
  }
})

t.test('sends a body again only where nothing of it was taken', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
    if (connection <= 2 && nth === 2) socket.resetAndDestroy()
    else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  const body = bodyOf('abcd')
  const put = send(upstreams, spec, headOf('PUT', '/', { contentLength: 4 }), body)
  t.equal((await put.outcome).code, 'upstream_unreachable')
  t.equal(body.started, 1)
  t.equal(sockets.length, 1)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  // It waits for 100, and the connection breaks before that.
  const head = headOf('PUT', '/', { contentLength: 4, expectContinue: true })
  t.equal((await send(upstreams, spec, head, bodyOf('abcd')).outcome).body, '3')
  t.equal(upstreams.counts.sentAgain, 1)
})

t.test('does not send again what met its fault on a fresh connection, nor a second time', async (t) => {
  const { port, sockets } = await serveRaw(t, (text, socket, connection) => {
    if (text.includes('/break')) socket.resetAndDestroy()
    else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  t.equal((await send(upstreams, spec, headOf('GET', '/break')).outcome).code, 'upstream_unreachable')
  t.equal(sockets.length, 1)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  t.equal((await send(upstreams, spec, headOf('GET', '/break')).outcome).code, 'upstream_unreachable')
  t.equal(sockets.length, 3, 'the idle one, and one more')
  t.equal(upstreams.counts.sentAgain, 1)
})

t.test('sends again once at most, however often a connection says that nothing was touched', async (t) => {
  const { port } = await serveRaw(t, () => {})
  let sent = 0
  const upstreams = makeUpstreams(
    t,
    {},
    {
      connect: (socket) => ({
        send(_head, _body, handler) {
          sent++
          queueMicrotask(() => handler.failed(new WireError('closed', 'as always'), true))
        },
        destroy: () => socket.destroy(),
        onidle: undefined,
        onclose: undefined,
      }),
    },
  )
  const one = send(upstreams, specOf(`http://127.0.0.1:${port}`))
  t.equal((await one.outcome).code, 'upstream_invalid')
  t.equal(sent, 2)
  t.equal(one.calls, 1)
  await until(() => upstreams.counts.sockets === 0)
  t.equal(upstreams.counts.keys, 0)
})

t.test('a connection that cannot send a head at all fails its request and is gone', async (t) => {
  const { port } = await serveRaw(t, () => {})
  const upstreams = makeUpstreams(t)
  const one = send(upstreams, specOf(`http://127.0.0.1:${port}`), headOf('GET', '/with blank'))
  t.equal((await one.outcome).code, 'bad_request')
  t.equal(one.calls, 1)
  await until(() => upstreams.counts.sockets === 0)
  t.equal(upstreams.counts.keys, 0)
})

t.test('does not send again when a byte of the answer came', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
    if (nth === 2) socket.end('HTTP/1.1 2')
    else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  t.equal((await send(upstreams, spec).outcome).code, 'upstream_invalid')
  t.equal(sockets.length, 1)
})

t.test('a client that goes while its request is sent again leaves nothing behind', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket, connection, nth) => {
    if (connection === 1 && nth === 2) socket.resetAndDestroy()
    else if (nth === 1 && connection === 1) answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  const sent = send(upstreams, spec)
  await until(() => upstreams.counts.sentAgain === 1)
  sent.sending.abort()
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, connections: 0, dialling: 0, waiting: 0 })
  t.equal(sent.calls, 0)
  t.ok(sockets.length <= 2)
})

t.test('a connection serves one key only', async (t) => {
  const { port } = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
  const upstreams = makeUpstreams(t)
  const ada = specOf(`http://127.0.0.1:${port}`, { key: 'credential of ada' })
  const bob = specOf(`http://127.0.0.1:${port}`, { key: 'credential of bob' })
  const used: (string | undefined)[] = []
  for (const spec of [ada, bob, ada, bob, ada]) {
    used.push((await send(upstreams, spec).outcome).body)
    await until(() => upstreams.counts.idle === upstreams.counts.connections)
  }
  t.same(used, ['1', '2', '1', '2', '1'])
})

t.test('refuses a key that stands for two upstreams', async (t) => {
  const { port } = await serveRaw(t, (_, socket) => answer(socket, 'right'))
  const other = await serveRaw(t, (_, socket) => answer(socket, 'wrong'))
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`, { key: 'one' })
  t.equal((await send(upstreams, spec).outcome).body, 'right')
  for (const twin of [
    specOf(`http://127.0.0.1:${other.port}`, { key: 'one' }),
    specOf(`https://127.0.0.1:${port}`, { key: 'one' }),
    { ...spec, ca: 'another' },
    { ...spec, allowPrivateNetwork: false },
  ])
    t.equal((await send(upstreams, twin).outcome).code, 'internal')
  t.equal((await send(upstreams, { ...spec }).outcome).body, 'right', 'an equal one is the same')
  t.equal(other.sockets.length, 0)
})

t.test('keeps no more idle connections than it may, of a key and over all', async (t) => {
  const held: (() => void)[] = []
  const { port } = await serveRaw(t, (_, socket, connection) => held.push(() => answer(socket, connection)))
  const upstreams = makeUpstreams(t, { idlePerKey: 2, idleOverAll: 3 })
  const fill = async (key: string, n: number) => {
    const spec = specOf(`http://127.0.0.1:${port}`, { key })
    const sent = Array.from({ length: n }, () => send(upstreams, spec).outcome)
    await until(() => held.length === n)
    for (const go of held.splice(0)) go()
    await Promise.all(sent)
  }
  await fill('a', 4)
  await until(() => upstreams.counts.connections === 2)
  t.equal(upstreams.counts.idle, 2)
  await fill('b', 2)
  await until(() => upstreams.counts.connections === 3)
  await fill('c', 1)
  await until(() => upstreams.counts.connections === 3 && upstreams.counts.idle === 3)
  await until(() => upstreams.counts.sockets === 3)
  t.equal(upstreams.counts.keys, 2, 'the oldest went: nothing of the first key is left')
})

t.test('a connection that the other side closes is not given to anybody', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  await send(upstreams, spec).outcome
  sockets[0]?.end()
  await until(() => upstreams.counts.sockets === 0)
  t.match(upstreams.counts, { keys: 0, idle: 0, connections: 0 })
  t.equal((await send(upstreams, spec, headOf('POST')).outcome).body, '2')
})

t.test('a byte on an idle connection destroys it', async (t) => {
  const { port, sockets } = await serveRaw(t, (_, socket, connection) => answer(socket, connection))
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`)
  await send(upstreams, spec).outcome
  await until(() => upstreams.counts.idle === 1)
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstaged')
  await until(() => upstreams.counts.sockets === 0)
  t.equal((await send(upstreams, spec).outcome).body, '2')
})

t.test('a response that ends with its connection frees its place', async (t) => {
  const { port } = await serveRaw(t, (_, socket, connection) => {
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${connection}`)
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const all = await Promise.all([1, 2, 3].map(() => send(upstreams, spec).outcome))
  t.same(
    all.map((outcome) => outcome.body),
    ['1', '2', '3'],
  )
  await until(() => upstreams.counts.sockets === 0)
  t.equal(upstreams.counts.keys, 0)
})

t.test('forget ends idle connections now and busy ones after their answer', async (t) => {
  const held: (() => void)[] = []
  const { port } = await serveRaw(t, (text, socket, connection) => {
    if (text.includes('/hold')) held.push(() => answer(socket, connection))
    else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t)
  const spec = specOf(`http://127.0.0.1:${port}`, { key: 'ada' })
  const other = specOf(`http://127.0.0.1:${port}`, { key: 'bob' })
  const busy = send(upstreams, spec, headOf('GET', '/hold'))
  await until(() => held.length === 1)
  await send(upstreams, spec).outcome
  await send(upstreams, other).outcome
  await until(() => upstreams.counts.idle === 2)
  upstreams.forget((key) => key === 'ada')
  t.match(upstreams.counts, { idle: 1, connections: 2 })
  held[0]?.()
  t.equal((await busy.outcome).body, '1')
  await until(() => upstreams.counts.sockets === 1)
  t.match(upstreams.counts, { idle: 1, connections: 1, keys: 1 })
  t.equal((await send(upstreams, spec).outcome).body, '4')
})

t.test('takes a 407 of an upstream for an invalid answer', async (t) => {
  const { port } = await serveRaw(t, (_, socket) =>
    answer(socket, 'who?', 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic'),
  )
  const upstreams = makeUpstreams(t)
  t.equal((await send(upstreams, specOf(`http://127.0.0.1:${port}`)).outcome).code, 'upstream_invalid')
  await until(() => upstreams.counts.sockets === 0)
})

t.test('takes bytes that are no response for an invalid answer', async (t) => {
  const texts = [
    'garbage\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    'HTTP/3 200\r\n\r\n',
  ]
  for (const text of texts) {
    const { port } = await serveRaw(t, (_, socket) => socket.write(text))
    const upstreams = makeUpstreams(t)
    const sent = send(upstreams, specOf(`http://127.0.0.1:${port}`))
    t.equal((await sent.outcome).code, 'upstream_invalid')
    t.equal(sent.calls, 1)
    await until(() => upstreams.counts.sockets === 0)
  }
})

t.test('an upgraded connection leaves the pool and frees its place, and goes with its client', async (t) => {
  const { port, sockets } = await serveRaw(t, (text, socket, connection) => {
    if (text.includes('/up')) {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi')
    } else answer(socket, connection)
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 1 })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const up = send(upstreams, spec, headOf('GET', '/up', { upgrade: 'websocket' }))
  const next = send(upstreams, spec)
  const outcome = await up.outcome
  t.equal(outcome.status, 101)
  t.equal((await next.outcome).body, '2')
  await until(() => upstreams.counts.idle === 1)
  t.match(upstreams.counts, { connections: 1, sockets: 2 })
  const closed = once(sockets[0] as NonNullable<(typeof sockets)[0]>, 'close')
  up.sending.abort()
  await closed
  await until(() => upstreams.counts.sockets === 1)
})

t.test('close ends everything, fails what waits, and takes nothing more', async (t) => {
  const { port, sockets } = await serveRaw(t, (text, socket) => {
    if (text.includes('/fine')) answer(socket, 'ok')
  })
  const upstreams = makeUpstreams(t, { connectionsPerKey: 2 }, { lookup: () => new Promise(() => {}) })
  const spec = specOf(`http://127.0.0.1:${port}`)
  const idle = specOf(`http://127.0.0.1:${port}`, { key: 'idle' })
  await send(upstreams, idle, headOf('GET', '/fine')).outcome
  const busy = [1, 2, 3, 4].map(() => send(upstreams, spec))
  await until(() => sockets.length === 3)
  const dialling = send(upstreams, specOf('http://slow.test'))
  t.match(upstreams.counts, { idle: 1, connections: 3, dialling: 1, waiting: 3 })
  await upstreams.close()
  for (const one of [...busy, dialling]) {
    t.equal((await one.outcome).code, 'overloaded')
    t.equal(one.calls, 1)
  }
  t.match(upstreams.counts, { keys: 0, connections: 0, sockets: 0, dialling: 0, waiting: 0, idle: 0 })
  t.equal((await send(upstreams, spec).outcome).code, 'overloaded')
})
