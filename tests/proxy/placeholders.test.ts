import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { type Asked, askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const basic = await startUpstream(t)
const sets = await startUpstream(t)
const none = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada', email: 'ada@example.com' }],
  connections: [
    connectionTo(upstream),
    connectionTo(basic, { name: 'basic', auth: { method: 'basic' }, source: 'shared' }),
    connectionTo(sets, { name: 'sets', headers: { 'X-Custom': 'from {{$User.Id}} with {{$Auth.API_Key}}' } }),
    connectionTo(none, { name: 'none', auth: { method: 'none' } }),
  ],
  credentials: [
    { connection: 'echo', for: 'shared', fields: { apiKey: SECRET } },
    { connection: 'sets', for: 'shared', fields: { apiKey: SECRET } },
    { connection: 'basic', for: 'shared', fields: { username: 'Aladdin', password: 'open sesame' } },
  ],
})
const goal = { ...upstream, name: 'echo' }

const P = '<<$Auth.API_Key>>'
const C = '{{$Auth.API_Key}}'

/** Where no placeholder may stand, and the code that says so. */
const REFUSED: readonly (readonly [what: string, asked: Asked, code: string])[] = [
  ...[
    `/x/${P}`,
    `/x/${C}`,
    `/echo?key=${P}`,
    `/echo?key=${encodeURIComponent(P)}`,
    `/x/${encodeURIComponent(C)}`,
    `/echo?${encodeURIComponent(C).toLowerCase()}`,
    '/echo?a=%3C%3c$Auth.API_Key%3E>',
    '/echo?a={{$User.Id}}',
    '/echo?a=<<$Api.Session_Id>>',
    '/echo?a=<<%24Auth.API_Key>>',
  ].map((path) => [`in the target ${path}`, { path }, 'placeholder_not_allowed'] as const),
  ...[
    'User-Agent',
    'Cookie',
    'X-Custom',
    'Referer',
    'X-Api_Key',
    'Sec-WebSocket-Protocol',
    'Via',
    'Content-Type',
  ].map((name) => [`in ${name}`, { headers: [`${name}: a ${P} b`] }, 'placeholder_not_allowed'] as const),
  ['of the caller, outside a slot', { headers: ['X-Custom: {{$User.Email}}'] }, 'placeholder_not_allowed'],
  ['beside one in a slot', { headers: [ASKS, `X-Custom: ${C}`] }, 'placeholder_not_allowed'],
  [
    'in an upgrade, outside a slot',
    { headers: ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Key: ${P}`] },
    'placeholder_not_allowed',
  ],
  ['that is none', { headers: ['Authorization: Bearer <<$Auth.Nope>>'] }, 'placeholder_unknown'],
  [
    'that is spelled otherwise',
    { headers: ['Authorization: Bearer {{$auth.API_Key}}'] },
    'placeholder_unknown',
  ],
  ['that is not closed', { headers: ['Authorization: Bearer <<$Auth.API_Key'] }, 'placeholder_unknown'],
  ['that calls something', { headers: ['Authorization: {{$Auth.API_Key.size()}}'] }, 'placeholder_unknown'],
  [
    'that the caller has no value for',
    { headers: ['Authorization: {{$User.Profile}}'] },
    'placeholder_unknown',
  ],
  ['under a prototype’s name', { headers: ['Authorization: {{$Auth.__proto__}}'] }, 'placeholder_unknown'],
  [
    'under a prototype’s name, deeper',
    { headers: ['Authorization: {{$Auth.API_Key.constructor}}'] },
    'placeholder_unknown',
  ],
]

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a placeholder that may not be replaced never leaves`, async (t) => {
    const before = upstream.bytes.length
    for (const [what, asked, code] of REFUSED) {
      // What is a browser's does not leave the gateway anyhow.
      if (entrance === 'gateway' && /^in (?:Cookie|Referer)$/.test(what)) continue
      const response = await askBy(t, site, entrance, goal, asked)
      t.equal(response.status, 400, `a placeholder ${what}`)
      t.equal(JSON.parse(response.body).code, code, `a placeholder ${what}`)
      t.notOk(response.body.includes(SECRET))
    }
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
  })

  t.test(
    `${entrance}: a placeholder in a slot is replaced, in both spellings, together with what stands around it`,
    async (t) => {
      for (const [line, header, value] of [
        [`Authorization: Bearer ${P}`, 'authorization', `Bearer ${SECRET}`],
        [`authorization:${C}`, 'authorization', SECRET],
        [`X-API-Key: ${P}`, 'x-api-key', SECRET],
        [`Private-Token: a${P}b{{ $Auth.API_Key }}c`, 'private-token', `a${SECRET}b${SECRET}c`],
        ['X-Auth-Token: {{$User.Id}}/{{$User.Email}}', 'x-auth-token', 'ada/ada@example.com'],
      ] as const) {
        const { status } = await askBy(t, site, entrance, goal, { headers: [line] })
        t.equal(status, 200, line)
        t.equal(upstream.requests.at(-1)?.headers[header], value, line)
      }
    },
  )

  t.test(
    `${entrance}: what is put in is not expanded again, and bodies and other braces pass untouched`,
    async (t) => {
      const body = `{"a":"${C}","b":"${P}","c":"{{mustache}}"}`
      const response = await askBy(t, site, entrance, goal, {
        method: 'POST',
        headers: [ASKS, 'X-Template: {{name}} <<other>>', 'Content-Type: application/json'],
        body,
      })
      t.equal(response.status, 200)
      t.equal(upstream.requests.at(-1)?.body, body)
      t.equal(upstream.requests.at(-1)?.headers['x-template'], '{{name}} <<other>>')
      await askBy(t, site, entrance, goal, { path: '/echo?q=<b>{c}&d={{name}}' })
      t.equal(
        upstream.requests.at(-1)?.url,
        '/echo?q=%3Cb%3E%7Bc%7D&d=%7B%7Bname%7D%7D',
        'braces leave percent-encoded',
      )
    },
  )

  t.test(`${entrance}: Basic is decoded, replaced and encoded again`, async (t) => {
    const text = Buffer.from('<<$Auth.Username>>:<<$Auth.Password>>').toString('base64')
    const to = { ...basic, name: 'basic' }
    const { body } = await askBy(t, site, entrance, to, { headers: [`Authorization: Basic ${text}`] })
    t.equal(basic.requests.at(-1)?.headers.authorization, 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
    t.equal(JSON.parse(body).headers.authorization, `Basic ${'*'.repeat(28)}`, 'the echo is masked')
    const latin1 = (name: string) => Buffer.from(`${name}:<<$Auth.Password>>`, 'latin1').toString('base64')
    await askBy(t, site, entrance, to, { headers: [`X-Auth-Token: Basic ${latin1('\xfcml')}`] })
    t.equal(
      basic.requests.at(-1)?.headers['x-auth-token'],
      `Basic ${Buffer.from('\xfcml:open sesame', 'latin1').toString('base64')}`,
      'whatever the client’s bytes are, they stay',
    )
    await askBy(t, site, entrance, to)
    t.equal(
      basic.requests.at(-1)?.headers.authorization,
      'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
      'and set where none was asked for',
    )
    const only = Buffer.from('me:<<$Auth.Password>>').toString('base64')
    await askBy(t, site, entrance, { ...basic, name: 'basic' }, { headers: [`X-Api-Key: Basic ${only}`] })
    const replaced = `Basic ${Buffer.from('me:open sesame').toString('base64')}`
    t.equal(basic.requests.at(-1)?.headers['x-api-key'], replaced, 'in every slot')
  })

  t.test(
    `${entrance}: common headers replace the client's own, whose placeholders are errors all the same`,
    async (t) => {
      const to = { ...sets, name: 'sets' }
      const { status } = await askBy(t, site, entrance, to, {
        headers: ['x-custom: mine', 'X-Custom: again'],
      })
      t.equal(status, 200)
      const seen = sets.requests.at(-1)
      t.equal(seen?.headers['x-custom'], `from ada with ${SECRET}`)
      t.equal(seen?.rawHeaders.filter((name) => /^x-custom$/i.test(name)).length, 1)
      const before = sets.bytes.length
      const refused = await askBy(t, site, entrance, to, { headers: [`X-Custom: ${P}`] })
      t.equal(JSON.parse(refused.body).code, 'placeholder_not_allowed')
      t.equal(sets.bytes.length, before)
    },
  )

  t.test(`${entrance}: $Auth on a connection without authentication is unknown`, async (t) => {
    const response = await askBy(t, site, entrance, { ...none, name: 'none' }, { headers: [ASKS] })
    t.equal(response.status, 400)
    t.equal(JSON.parse(response.body).code, 'placeholder_unknown')
    t.equal(none.bytes.length, 0)
  })

  t.test(
    `${entrance}: a request without a placeholder goes on without a credential, and is counted`,
    async (t) => {
      const before = site.running.room.counts.uncredentialed
      const { status } = await askBy(t, site, entrance, goal, { headers: ['Accept-Encoding: gzip'] })
      t.equal(status, 200)
      t.equal(upstream.requests.at(-1)?.headers.authorization, undefined)
      t.equal(
        upstream.requests.at(-1)?.headers['accept-encoding'],
        'gzip',
        'what is not searched may be compressed',
      )
      t.equal(site.running.room.counts.uncredentialed, before + 1)
      const use = (await site.audit()).filter(({ event }) => event === 'use').at(-1)
      t.equal(use?.credential, undefined)
    },
  )
}
