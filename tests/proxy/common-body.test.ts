import t from 'tap'
import type { AuthMethod } from '../../core/auth-method.ts'
import { connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, type Goal } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startTokenEndpoint, tokenMethod } from '../kit/token-method.ts'
import { startUpstream } from '../kit/upstream.ts'

const names = ['json', 'form', 'text', 'open'] as const
const upstreams = await Promise.all(names.map(() => startUpstream(t)))
const [json, form, text, open] = upstreams as [
  (typeof upstreams)[0],
  (typeof upstreams)[0],
  (typeof upstreams)[0],
  (typeof upstreams)[0],
]
const tokens = await startTokenEndpoint(t)
/** Tokens that are not taken any more. */
const stale = new Set<string>()
const renewing = await startUpstream(t, {
  serve(request, response) {
    const seen = renewing.requests.at(-1) as (typeof renewing.requests)[number]
    request.setEncoding('latin1').on('data', (chunk: string) => {
      seen.body += chunk
    })
    request.on('end', () => {
      const token = String(request.headers.authorization).slice('Bearer '.length)
      response.writeHead(stale.has(token) ? 401 : 200).end('said')
    })
  },
})
/** As `tokenMethod`, and says what it was told of the body. */
const bodyMethod: AuthMethod = {
  ...tokenMethod,
  sign: (_input, _head, body) => ({
    set: [['X-Body', body ? Buffer.from(body).toString('base64') : 'streamed']],
  }),
}
const site = await startSite(
  t,
  {
    principals: [{ id: 'ada', kind: 'user' }],
    connections: [
      connectionTo(json, {
        name: 'json',
        query: { version: '2', 'api key': '{{$Auth.API_Key}}' },
        body: { json: { tenant: 'acme', who: { id: '{{$User.Id}}' }, key: '{{$Auth.API_Key}}' } },
      }),
      connectionTo(form, { name: 'form', body: { form: { tenant: 'acme', key: '{{$Auth.API_Key}}' } } }),
      connectionTo(text, { name: 'text', body: { text: 'key {{$Auth.API_Key}}' } }),
      connectionTo(open, {
        name: 'open',
        auth: { method: 'none' },
        query: { version: '2' },
        body: { json: { who: '{{$User.Id}}' } },
      }),
      connectionTo(renewing, {
        name: 'renewing',
        auth: { method: 'token', url: tokens.url },
        slots: { json: ['/token'], form: ['token'], query: ['token'] },
      }),
    ],
    credentials: [
      ...['json', 'form', 'text'].map((connection) => ({
        connection,
        for: 'shared',
        fields: { apiKey: SECRET },
      })),
      {
        connection: 'renewing',
        for: 'shared',
        fields: { clientId: 'c', clientSecret: 'the-secret-of-the-client' },
      },
    ],
  },
  { methods: [bodyMethod] },
)
const to = (upstream: Goal | (typeof upstreams)[0], name: string): Goal => ({ ...upstream, name })
const masked = '*'.repeat(SECRET.length)

for (const entrance of ENTRANCES) {
  t.test(
    `${entrance}: the connection's own body and query are there, whatever the client says`,
    async (t) => {
      const own = `{"tenant":"acme","who":{"id":"ada"},"key":"${SECRET}"}`
      for (const [method, headers, body, seen] of [
        ['POST', [], undefined, own],
        ['PUT', ['Content-Type: text/xml'], '', own],
        ['PATCH', ['Transfer-Encoding: chunked', 'Content-Type: application/json'], undefined, own],
        [
          'POST',
          ['Content-Type: application/json'],
          '{"a": 1.0,"tenant":"evil"}',
          `{"a": 1.0,"tenant":"acme","who":{"id":"ada"},"key":"${SECRET}"}`,
        ],
        ['DELETE', ['Content-Type: application/json'], '{}', own],
        ['POST', ['Content-Type: text/xml'], '<a/>', '<a/>'],
        ['GET', [], undefined, ''],
        ['GET', ['Content-Type: application/json'], '{"a":1}', '{"a":1}'],
        ['DELETE', [], undefined, ''],
      ] as const) {
        const chunked = headers.some((line) => line.startsWith('Transfer'))
        const response = await askBy(t, site, entrance, to(json, 'json'), {
          method,
          headers,
          path: '/echo?version=1&a=<b>&api+key=mine',
          ...(chunked ? { raw: '0\r\n\r\n' } : body !== undefined && { body }),
        })
        const what = `${method} ${headers} ${body}`
        t.equal(response.status, 200, what)
        const got = json.requests.at(-1)
        t.equal(got?.body, seen, what)
        t.equal(got?.headers['content-length'], seen === '' ? undefined : String(seen.length), what)
        t.equal(got?.url, `/echo?version=2&a=%3Cb%3E&api%20key=${SECRET}`, what)
        if (seen === own) t.equal(got?.headers['content-type'], 'application/json', what)
        t.notMatch(response.body, SECRET, 'the echo is masked')
        t.match(JSON.parse(response.body).url, masked)
        const use = (await site.audit()).filter(({ event }) => event === 'use').at(-1)
        const slots = ['query:version', 'query:api key']
        t.strictSame(
          use?.slots,
          seen.includes(SECRET) ? [...slots, 'json:/tenant', 'json:/who', 'json:/key'] : slots,
        )
      }
    },
  )

  t.test(`${entrance}: a form and a text likewise`, async (t) => {
    const ask = async (upstream: typeof form, name: string, headers: string[], body?: string) => {
      const { status } = await askBy(t, site, entrance, to(upstream, name), { method: 'POST', headers, body })
      t.equal(status, 200)
      return upstream.requests.at(-1)
    }
    const type = 'Content-Type: application/x-www-form-urlencoded'
    t.match(await ask(form, 'form', []), {
      body: `tenant=acme&key=${SECRET}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    t.equal(
      (await ask(form, 'form', [type], 'a=1&tenant=evil&tenant=2'))?.body,
      `a=1&tenant=acme&key=${SECRET}`,
    )
    t.match(await ask(text, 'text', []), {
      body: `key ${SECRET}`,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    })
    t.match(await ask(text, 'text', ['Content-Type: text/plain'], 'mine'), {
      body: `key ${SECRET}`,
      headers: { 'content-type': 'text/plain' },
    })
    t.equal((await ask(text, 'text', ['Content-Type: application/json'], '{}'))?.body, '{}')
  })

  t.test(`${entrance}: what draws on no credential needs none`, async (t) => {
    await askBy(t, site, entrance, to(open, 'open'), {
      method: 'POST',
      headers: ['Content-Type: application/json'],
      body: '{"a":1}',
    })
    t.equal(open.requests.at(-1)?.body, '{"a":1,"who":"ada"}')
    t.equal(open.requests.at(-1)?.url, '/echo?version=2')
  })

  t.test(
    `${entrance}: a request whose body was read is repeated with the renewed credential, a streamed one is not`,
    async (t) => {
      const goal = { ...renewing, name: 'renewing' }
      const P = '{{$Auth.Access_Token}}'
      const ask = async (type: string) => {
        const from = renewing.requests.length
        const { status } = await askBy(t, site, entrance, goal, {
          method: 'POST',
          path: `/x?token=${P}`,
          // One that is dropped moves those behind it.
          headers: ['X_Api_Key: mine', `X-Api-Key: ${P}`, 'X-Behind: 1', `Content-Type: ${type}`],
          body: `{"n": 1.0, "token":"${P}"}`,
        })
        return { status, seen: renewing.requests.slice(from) }
      }
      await ask('application/json')
      const old = tokens.tokens.at(-1) as string
      stale.add(old)
      const streamed = await ask('application/x-ndjson')
      t.equal(streamed.status, 401)
      t.equal(streamed.seen.length, 1)
      t.equal(streamed.seen[0]?.headers['x-body'], 'streamed')
      const { status, seen } = await ask('application/json')
      t.equal(status, 200)
      const fresh = tokens.tokens.at(-1) as string
      t.not(fresh, old)
      t.equal(seen.length, 2)
      for (const [i, token] of [old, fresh].entries()) {
        const body = `{"n": 1.0, "token":"${token}"}`
        const { headers } = seen[i] as (typeof seen)[number]
        t.match(seen[i], { body, url: `/x?token=${token}` })
        t.match(headers, { 'x-api-key': token, 'x-behind': '1' })
        t.equal(headers['content-length'], String(body.length))
        t.equal(headers['x-body'], Buffer.from(body).toString('base64'), 'signed as it goes out')
      }
    },
  )
}
