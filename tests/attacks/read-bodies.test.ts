import t from 'tap'
import { findInTarget } from '../../core/target-slots.ts'
import { made } from '../core/bodies.ts'
import { refusal, slotsOf } from '../core/kit.ts'
import { connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, dial, ENTRANCES, eventually, keyLine, type RawClient, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const FILE = (more: object = {}) => ({
  principals: [
    { id: 'ada', kind: 'user' },
    { id: 'bob', kind: 'user' },
  ],
  connections: [
    connectionTo(upstream, {
      slots: { json: ['/a/b'], form: ['token'] },
      placeholders: { sk_test_standin123: '$Auth.API_Key' },
      ...more,
    }),
  ],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})
const site = await startSite(t, FILE())
const goal = { ...upstream, name: 'echo' }
const JSON_TYPE = 'Content-Type: application/json'
const P = '{{$Auth.API_Key}}'
const LIMIT = 1024 * 1024

const refused = async (
  entrance: (typeof ENTRANCES)[number],
  headers: string[],
  body: string,
  code: string,
) => {
  const lines = [...headers, `Content-Length: ${body.length}`]
  const response = await askBy(t, site, entrance, goal, { method: 'POST', headers: lines, raw: body })
  return { response, is: response.body.startsWith('{') && JSON.parse(response.body).code === code }
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a body that readers could take in two ways does not leave`, async (t) => {
    const before = upstream.bytes.length
    for (const [type, body] of [
      ['application/json', `{"a":{"b":"${P}","b":"x"}}`],
      ['application/json', `{"a":{"b":"${P}"},"a":1}`],
      ['application/json', `{"a":{"b":"${P}"`],
      ['application/json', `{"a":{"b":"${P}"}}{`],
      ['application/json', '{"a":{"b":"\xff"}}'],
      ['application/json', '{"a":{"b":"\xc0\xaf"}}'],
      [
        'multipart/form-data; boundary=b',
        '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\n--b--',
      ],
      ['multipart/form-data; boundary=b; boundary=c', '--b--'],
      ['multipart/form-data', '--b--'],
    ] as const) {
      const { response, is } = await refused(entrance, [`Content-Type: ${type}`], body, 'bad_request')
      t.ok(is, `${type} ${JSON.stringify(body)} ${response.status}`)
    }
    for (const headers of [
      [JSON_TYPE, 'Content-Encoding: gzip'],
      [JSON_TYPE, 'Content-Encoding: identity, br'],
      [JSON_TYPE, 'Content-Type: text/plain'],
      ['Content-Type: text/plain', JSON_TYPE],
    ]) {
      const { is } = await refused(entrance, headers, `{"a":{"b":"${P}"}}`, 'bad_request')
      t.ok(is, headers.join())
    }
    for (const [text, code] of [
      ['{{$Auth.Nope}}', 'placeholder_unknown'],
      ['{{$Auth.API_Key', 'placeholder_unknown'],
      ['{{$Auth.__proto__}}', 'placeholder_unknown'],
      ['\\u007b\\u007b$auth.x}}', 'placeholder_unknown'],
    ] as const) {
      const { is } = await refused(entrance, [JSON_TYPE], `{"a":{"b":"${text}"}}`, code)
      t.ok(is, text)
    }
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
  })

  t.test(
    `${entrance}: a slot at the end of the largest body is filled, a larger one is too large`,
    async (t) => {
      const tail = `","a":{"b":"${P}"}}`
      const body = `{"x":"${'y'.repeat(LIMIT - 6 - tail.length)}${tail}`
      t.equal(body.length, LIMIT)
      const { status } = await askBy(t, site, entrance, goal, {
        method: 'POST',
        path: '/status/204',
        headers: [JSON_TYPE],
        body,
      })
      t.equal(status, 204)
      t.ok(upstream.requests.at(-1)?.body === body.replace(P, SECRET), 'and nothing else changed')
      const before = upstream.requests.length
      const { response, is } = await refused(entrance, [JSON_TYPE], `${body} `, 'too_large')
      t.ok(is)
      t.equal(response.status, 413)
      const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
      const client = await sendBy(t, site, entrance, goal, {
        method: 'POST',
        headers: [JSON_TYPE, 'Transfer-Encoding: chunked'],
      })
      for (let i = 0; i < 17; i++) client.send(chunk)
      t.equal(JSON.parse((await client.response()).body).code, 'too_large')
      client.socket.destroy()
      t.equal(upstream.requests.length, before)
      const other = await askBy(t, site, entrance, goal, {
        method: 'POST',
        path: '/status/204',
        headers: ['Content-Type: text/plain'],
        body: `${body} `,
      })
      t.equal(other.status, 204, 'of another type, a body of any size passes')
    },
  )

  t.test(`${entrance}: a client that waits for 100 is not asked for what is too large`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [JSON_TYPE, 'Expect: 100-continue', `Content-Length: ${LIMIT + 1}`],
    })
    const { status, interims } = await client.response()
    t.equal(status, 413)
    t.strictSame(interims, [])
    client.socket.destroy()
  })

  t.test(`${entrance}: a placeholder in the trailers of a body that is read does not leave`, async (t) => {
    const before = upstream.bytes.length
    for (const value of [P, 'sk_test_standin123', `Basic ${Buffer.from(`${P}:`).toString('base64')}`]) {
      const { body } = await askBy(t, site, entrance, goal, {
        method: 'POST',
        headers: [JSON_TYPE, 'Transfer-Encoding: chunked'],
        raw: `2\r\n{}\r\n0\r\nX-Sum: ${value}\r\n\r\n`,
      })
      t.equal(JSON.parse(body).code, 'placeholder_not_allowed', value)
    }
    t.equal(upstream.bytes.length, before)
    await askBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [JSON_TYPE, 'Transfer-Encoding: chunked'],
      raw: `2\r\n{}\r\n0\r\nX-Sum: 1\r\nLocum-For: x\r\n\r\n`,
    })
    t.strictSame({ ...upstream.requests.at(-1)?.trailers }, { 'x-sum': '1' }, 'others go on')
  })

  t.test(`${entrance}: a request behind one whose body was read is a request of its own`, async (t) => {
    const one = `{"a":{"b":"${P}${P}${P}"}}`
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      path: '/one',
      headers: [JSON_TYPE],
      body: one,
    })
    const key = entrance === 'connect' ? '' : keyLine(site, entrance, 'ada')
    const target =
      entrance === 'forward'
        ? `http://${goal.authority}/two`
        : entrance === 'gateway'
          ? '/c/echo/two'
          : '/two'
    const host = entrance === 'gateway' ? `127.0.0.1:${site.port}` : goal.authority
    client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${key}\r\n`)
    t.equal((await client.response()).status, 200)
    t.equal((await client.response()).status, 200)
    const [first, second] = upstream.requests.slice(-2)
    t.match(first, { url: '/one', body: `{"a":{"b":"${SECRET}${SECRET}${SECRET}"}}` })
    t.match(second, { method: 'GET', url: '/two', body: '' })
    client.socket.destroy()
  })

  t.test(`${entrance}: a client that goes while its body is read leaves nothing behind`, async (t) => {
    const before = upstream.requests.length
    const live = site.running.room.live.size
    const clients: RawClient[] = []
    for (let i = 0; i < 8; i++) {
      clients.push(
        await sendBy(t, site, entrance, goal, {
          method: 'POST',
          headers: [JSON_TYPE, 'Content-Length: 1000'],
          raw: '{"a":',
        }),
      )
    }
    await eventually(() => site.running.room.live.size >= live + 8, 'all of them are under way')
    for (const [i, client] of clients.entries()) {
      if (i % 2) client.reset()
      else client.socket.destroy()
    }
    await eventually(() => site.running.room.live.size <= live, 'all of them are gone')
    t.equal(upstream.requests.length, before)
  })
}

t.test('a few bytes each, placeholders cannot ask for more than memory holds', async (t) => {
  const many = 50_000
  const field = `--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n${P}\r\n`
  const connection = { slots: { json: ['/a/*', '/b'], form: ['token'] } }
  for (const work of [
    () => made(connection, 'application/json', `{"b":"${P.repeat(many)}"}`),
    () => made(connection, 'application/json', `{"a":[${`"${P}",`.repeat(many)}1]}`),
    () => made(connection, 'application/x-www-form-urlencoded', `token=${P}&`.repeat(many)),
    () => made(connection, 'multipart/form-data; boundary=b', `${field.repeat(10_000)}--b--`),
    () => findInTarget(`/x/${P.repeat(1000)}`, slotsOf({ path: true })),
    () => findInTarget(`/x?${`key=${P}&`.repeat(800)}`, slotsOf({ query: ['key'] })),
  ]) {
    const started = process.cpuUsage()
    t.equal(refusal(work).code, 'too_large')
    const { user, system } = process.cpuUsage(started)
    t.ok(user + system < 1_000_000, `${user + system} µs`)
  }
  const busy = process.cpuUsage()
  made(connection, 'application/x-www-form-urlencoded', '&'.repeat(LIMIT))
  const common = { body: { form: [['x', '1'] as const] } }
  made({ ...connection, ...common }, 'application/x-www-form-urlencoded', '%61&'.repeat(LIMIT / 4))
  const { user, system } = process.cpuUsage(busy)
  t.ok(user + system < 2_000_000, `${user + system} µs`)
})

t.test(
  'a key that is revoked while a body is read ends it at once, and a changed connection too',
  async (t) => {
    const open = async (as: string) => {
      const client = await dial(t, site.port)
      client.send(
        `POST http://${goal.authority}/x HTTP/1.1\r\nHost: ${goal.authority}\r\n${keyLine(site, 'forward', as)}${JSON_TYPE}\r\nContent-Length: 900000\r\n\r\n{`,
      )
      return client
    }
    const { live } = site.running.room
    await eventually(() => live.size === 0, 'nothing else is under way')
    const [ada, bob] = [await open('ada'), await open('bob')]
    await eventually(() => live.size === 2, 'both are under way')
    await site.revoke('bob')
    await site.settle()
    const { headers, body } = await bob.response()
    t.equal(JSON.parse(body).code, 'caller_unauthenticated')
    t.equal(headers.connection, 'close', 'nobody waits for the rest')
    t.equal(live.size, 1, 'the other goes on')
    await site.apply(FILE({ allow: { paths: ['/never'] } }))
    await site.settle()
    t.equal(JSON.parse((await ada.response()).body).code, 'not_allowed')
  },
)
