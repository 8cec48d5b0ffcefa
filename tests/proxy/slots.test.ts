import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { type Asked, askBy, ENTRANCES, sendBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** Not a character of it stands for itself everywhere: it shows how it was encoded. */
const SECRET = 'sk/live 7f3a&9c51="e0b2\\4d86+ü'
const PERCENT = 'sk%2Flive%207f3a%269c51%3D%22e0b2%5C4d86%2B%C3%BC'
const STAND_IN = 'sk_test_standin123'
const P = '<<$Auth.API_Key>>'
const C = '{{$Auth.API_Key}}'

const all = await startUpstream(t)
const usual = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada', email: 'ada@example.com' }],
  connections: [
    connectionTo(all, {
      name: 'all',
      slots: {
        headers: ['x-key'],
        path: true,
        query: ['key', 'a b', 'schlüssel'],
        json: ['/auth/token', '/keys/*/value', '/a~1b'],
        form: ['token', 'a b'],
      },
      placeholders: { [STAND_IN]: '$Auth.API_Key', sk_user_standin1: '$User.Id' },
    }),
    connectionTo(usual, { name: 'usual', placeholders: { [STAND_IN]: '$Auth.API_Key' } }),
  ],
  credentials: [
    { connection: 'all', for: 'shared', fields: { apiKey: SECRET } },
    { connection: 'usual', for: 'shared', fields: { apiKey: SECRET } },
  ],
})
const goal = { ...all, name: 'all' }
const JSON_TYPE = 'Content-Type: application/json'
const FORM_TYPE = 'Content-Type: application/x-www-form-urlencoded'
const escaped = JSON.stringify(SECRET).slice(1, -1)
const latin1 = (text: string) => Buffer.from(text).toString('latin1')

const TARGETS: readonly (readonly [path: string, seen: string, slots: readonly string[]])[] = [
  [`/v1/${P}/x`, `/v1/${PERCENT}/x`, ['path']],
  [`/v1/bot${C}/x`, `/v1/bot${PERCENT}/x`, ['path']],
  ['/%3C%3c%24Auth.API_Key%3E>', `/${PERCENT}`, ['path']],
  [`/a%2Fb/${P}?q={x}`, `/a%2Fb/${PERCENT}?q=%7Bx%7D`, ['path']],
  [`/x?key=${P}`, `/x?key=${PERCENT}`, ['query:key']],
  [`/x?a=1&key=a${C}b&key=${P}&b`, `/x?a=1&key=a${PERCENT}b&key=${PERCENT}&b`, ['query:key']],
  ['/x?k%65y=%7B%7b+%24Auth.API_Key%20}}', `/x?k%65y=${PERCENT}`, ['query:key']],
  [`/x?a+b=${P}&a%20b=${P}`, `/x?a+b=${PERCENT}&a%20b=${PERCENT}`, ['query:a b']],
  [`/x?schl%C3%BCssel=${P}`, `/x?schl%C3%BCssel=${PERCENT}`, ['query:schlüssel']],
  [`/${C}?key={{$User.Id}}&x={{y}}`, `/${PERCENT}?key=ada&x=%7B%7By%7D%7D`, ['path', 'query:key']],
  [`/${STAND_IN}/x?key=sk_user_standin1`, `/${PERCENT}/x?key=ada`, ['path', 'query:key']],
  [`/x?key=sk%5Ftest_standin12%33`, `/x?key=${PERCENT}`, ['query:key']],
]

const BODIES: readonly (readonly [type: string, body: string, seen: string, slots: readonly string[]])[] = [
  [
    JSON_TYPE,
    ` { "n" : 1.0e+02, "auth":{"token" :"Bearer ${P}!"},\n"u":"\\u00e9" }\r\n`,
    ` { "n" : 1.0e+02, "auth":{"token" :"Bearer ${escaped}!"},\n"u":"\\u00e9" }\r\n`,
    ['json:/auth/token'],
  ],
  [
    'content-type: Application/Vnd.X+JSON; charset=utf-8',
    `{"keys":[{"value":"${C}"},{"value":7},{"value":"\\u003c\\u003c$Auth.API_Key\\u003e>"}],"a\\/b":"${STAND_IN}"}`,
    `{"keys":[{"value":"${escaped}"},{"value":7},{"value":"${escaped}"}],"a\\/b":"${escaped}"}`,
    ['json:/keys/*/value', 'json:/a~1b'],
  ],
  [
    FORM_TYPE,
    `x=${P}&token=a+${P}+b&a+b=%3C%3C%24Auth.API_Key%3E%3E&token={{+$Auth.API_Key+}}`,
    `x=${P}&token=a+${PERCENT}+b&a+b=${PERCENT}&token=${PERCENT}`,
    ['form:token', 'form:a b'],
  ],
]

/** Bodies in which nothing is put, whatever stands in them. */
const DATA: readonly (readonly [type: string, body: string])[] = [
  [JSON_TYPE, `{"other":"${P}","auth":{"token":7,"tokens":"${STAND_IN}"},"text":"{{mustache}}"}`],
  [JSON_TYPE, `["${P}"]`],
  [FORM_TYPE, `other=${P}&${P}=token`],
  ['Content-Type: text/plain', `token=${P}`],
  ['Content-Type: application/x-ndjson', `{"auth":{"token":"${P}"}}`],
  ['X-None: 1', `{"auth":{"token":"${P}"}}`],
]

const chunked = (body: string): Pick<Asked, 'raw'> => {
  const pieces = [...body].map((char) => {
    const bytes = latin1(char)
    return `${bytes.length.toString(16)}\r\n${bytes}\r\n`
  })
  return { raw: `${pieces.join('')}0\r\n\r\n` }
}

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: an upgrade is filled like any request`, async (t) => {
    const client = await sendBy(t, site, entrance, goal, {
      path: `/ws?key=${P}`,
      headers: [
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ],
    })
    t.equal((await client.response()).status, 101)
    t.equal(all.requests.at(-1)?.url, `/ws?key=${PERCENT}`)
    client.socket.destroy()
  })

  t.test(`${entrance}: path and query are filled where they are slots, and recorded`, async (t) => {
    for (const [path, seen, slots] of TARGETS) {
      const { status, body } = await askBy(t, site, entrance, goal, { path })
      t.equal(status, 200, path)
      t.equal(all.requests.at(-1)?.url, seen, path)
      const use = (await site.audit()).filter(({ event }) => event === 'use').at(-1)
      t.strictSame(use?.slots, slots, path)
      t.notMatch(JSON.stringify(use), /7f3a9c51e0/, 'the audit has the path as it was written')
      t.notMatch(body, /7f3a9c51e0/, 'the echo is masked')
    }
  })

  t.test(
    `${entrance}: bodies are filled where they are slots, in every framing, and nothing else changes`,
    async (t) => {
      for (const [type, body, seen, slots] of BODIES) {
        for (const [framing, asked] of [
          ['with a length', { headers: [type], body }],
          ['in chunks', { headers: [type, 'Transfer-Encoding: chunked'], ...chunked(body) }],
        ] as const) {
          const { status, body: answer } = await askBy(t, site, entrance, goal, { method: 'POST', ...asked })
          t.equal(status, 200, `${type} ${framing}`)
          const { body: got, headers } = all.requests.at(-1) as (typeof all.requests)[number]
          t.equal(got, latin1(seen), `${type} ${framing}`)
          t.equal(headers['content-length'], String(Buffer.byteLength(seen)))
          t.equal(headers['transfer-encoding'], undefined)
          const use = (await site.audit()).filter(({ event }) => event === 'use').at(-1)
          t.strictSame(use?.slots, slots)
          t.notMatch(answer, /7f3a9c51e0/, 'the echo is masked')
        }
      }
    },
  )

  t.test(`${entrance}: what stands in a body outside a slot is data, and passes as it is`, async (t) => {
    for (const [type, body] of DATA) {
      const { status } = await askBy(t, site, entrance, goal, { method: 'POST', headers: [type], body })
      t.equal(status, 200, body)
      t.equal(all.requests.at(-1)?.body, body)
    }
  })

  t.test(`${entrance}: a client waits for 100 as it is used to`, async (t) => {
    const body = `{"auth":{"token":"${P}"}}`
    const client = await sendBy(t, site, entrance, goal, {
      method: 'POST',
      headers: [JSON_TYPE, 'Expect: 100-continue', `Content-Length: ${body.length}`],
    })
    await client.until((received) => received.includes('100 Continue'))
    client.send(body)
    t.equal((await client.response()).status, 200)
    t.equal(all.requests.at(-1)?.body, latin1(body.replace(P, escaped)))
    t.equal(all.requests.at(-1)?.headers.expect, undefined)
  })

  t.test(
    `${entrance}: a stand-in is replaced in header slots, Basic included, and stands nowhere else`,
    async (t) => {
      const basic = Buffer.from(`${STAND_IN}:`).toString('base64')
      await askBy(t, site, entrance, goal, { headers: [`X-Key: Basic ${basic}`] })
      t.equal(all.requests.at(-1)?.headers['x-key'], `Basic ${Buffer.from(`${SECRET}:`).toString('base64')}`)
      await askBy(
        t,
        site,
        entrance,
        { ...usual, name: 'usual' },
        { headers: [`Authorization: Bearer ${STAND_IN}`] },
      )
      t.equal(usual.requests.at(-1)?.headers.authorization, latin1(`Bearer ${SECRET}`))
      const before = usual.requests.length
      for (const asked of [
        { headers: [`X-Other: a${STAND_IN}`] },
        { headers: [`X-Other: Basic ${basic}`] },
        { path: `/x/${STAND_IN}` },
        { path: `/x?a=${STAND_IN}` },
        { path: '/x?a=sk_test_standin12%33' },
        { path: `/x?${STAND_IN}=a` },
        { headers: ['Connection: Upgrade', `Upgrade: websocket, ${STAND_IN}`] },
      ]) {
        const { status, body } = await askBy(t, site, entrance, { ...usual, name: 'usual' }, asked)
        t.equal(status, 400)
        t.equal(JSON.parse(body).code, 'placeholder_not_allowed', JSON.stringify(asked))
      }
      const trailing = await askBy(
        t,
        site,
        entrance,
        { ...usual, name: 'usual' },
        {
          method: 'POST',
          headers: ['Transfer-Encoding: chunked'],
          raw: `1\r\na\r\n0\r\nX-Sum: ${STAND_IN}\r\n\r\n`,
        },
      )
      t.equal(JSON.parse(trailing.body).code, 'placeholder_not_allowed')
      t.notOk(
        usual.requests.slice(before).some(({ trailers }) => JSON.stringify(trailers).includes(STAND_IN)),
      )
    },
  )
}

t.test("fetch's own forms are filled: URLSearchParams, and FormData but for its files", async (t) => {
  const send = async (body: URLSearchParams | FormData) => {
    const { status } = await fetch(`http://127.0.0.1:${site.port}/c/all/x`, {
      method: 'POST',
      headers: { 'Locum-Authorization': `Bearer ${site.keys.ada}` },
      body,
    })
    t.equal(status, 200)
    return all.requests.at(-1) as (typeof all.requests)[number]
  }
  const pairs = { x: P, token: `a ${P}`, 'a b': STAND_IN }
  const urlencoded = await send(new URLSearchParams(pairs))
  t.same(
    [...new URLSearchParams(urlencoded.body)],
    Object.entries({ x: P, token: `a ${SECRET}`, 'a b': SECRET }),
  )
  const form = new FormData()
  for (const [name, value] of Object.entries(pairs)) form.append(name, value)
  form.append('token', new Blob([P], { type: 'text/plain' }), 'token')
  const multipart = await send(form)
  const type = multipart.headers['content-type'] as string
  const read = await new Response(Buffer.from(multipart.body, 'latin1'), {
    headers: { 'Content-Type': type },
  }).formData()
  t.equal(read.get('x'), P)
  const [token, file] = read.getAll('token') as [string, File]
  t.equal(token, `a ${SECRET}`)
  t.equal(await file.text(), P)
  t.equal(read.get('a b'), SECRET)
})
