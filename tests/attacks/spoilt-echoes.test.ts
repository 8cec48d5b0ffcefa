import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { type Asked, askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** Keys that are hex are common, and each two characters of one could end a percent-code. */
const KEY = '7f3a9c51e0b24d86aa55cc33'
const P = '{{$Auth.API_Key}}'
const STAND_IN = 'sk_test_standin123'

const upstream = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada', kind: 'user' }],
  connections: [
    connectionTo(upstream, {
      slots: {
        headers: ['authorization', 'x-key'],
        path: true,
        query: ['key'],
        json: ['/key'],
        form: ['token'],
      },
      placeholders: { [STAND_IN]: '$Auth.API_Key' },
    }),
  ],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: KEY } }],
})
const goal = { ...upstream, name: 'echo' }
const FORM_TYPE = 'Content-Type: application/x-www-form-urlencoded'
const JSON_TYPE = 'Content-Type: application/json'
const basic = (text: string) => `Authorization: Basic ${Buffer.from(text).toString('base64')}`

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: no client makes a value the end of its own percent-code`, async (t) => {
    const before = upstream.bytes.length
    const refused = async (asked: Asked) => {
      const { status, body } = await askBy(t, site, entrance, goal, asked)
      t.equal(status, 400, JSON.stringify(asked))
      t.equal(JSON.parse(body).code, 'placeholder_not_allowed', JSON.stringify(asked))
    }
    for (const place of [P, STAND_IN]) {
      for (const half of ['%', '%7', 'a%2F%2', '%25', '%%37', '%25%34']) {
        await refused({ path: `/x?key=${half}${place}` })
        await refused({ path: `/x/${half}${place}/y` })
        await refused({ method: 'POST', headers: [FORM_TYPE], body: `token=${half}${place}` })
      }
      for (const half of ['%', '%7', 'a%2F%2']) {
        await refused({ headers: [`X-Key: a=${half}${place}`] })
        await refused({ headers: [basic(`${half}${place}:x`)] })
        await refused({ method: 'POST', headers: [JSON_TYPE], body: `{"key":"${half}${place}"}` })
      }
    }
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
    const { status } = await askBy(t, site, entrance, goal, { path: `/100%25-${P}?key=%41${P}%` })
    t.equal(status, 200, 'a code that is whole may stand before one')
    t.equal(upstream.requests.at(-1)?.url, `/100%25-${KEY}?key=%41${KEY}%`)
  })

  t.test(`${entrance}: no reader finds a value in a parameter that is no slot`, async (t) => {
    const before = upstream.bytes.length
    for (const pair of [
      `key=a;note=${P}`,
      `key=;note=${STAND_IN}`,
      `key=${P};note`,
      `key=%7B%7B$User.Id}};`,
    ]) {
      for (const asked of [
        { path: `/x?${pair}` },
        { method: 'POST', headers: [FORM_TYPE], body: pair.replace('key', 'token') },
      ]) {
        const { status, body } = await askBy(t, site, entrance, goal, asked)
        t.equal(status, 400, JSON.stringify(asked))
        t.equal(JSON.parse(body).code, 'placeholder_not_allowed')
      }
    }
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
    const { status } = await askBy(t, site, entrance, goal, { path: `/x?a;b&key=1%3B${P}` })
    t.equal(status, 200, 'elsewhere, and encoded, one is nobody’s')
    t.equal(upstream.requests.at(-1)?.url, `/x?a;b&key=1%3B${KEY}`)
  })
}
