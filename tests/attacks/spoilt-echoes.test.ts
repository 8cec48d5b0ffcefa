import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { type Asked, askBy, ENTRANCES, type Goal } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

/** Keys that are hex are common, and each two characters of one could end a percent-code. */
const KEY = '7f3a9c51e0b24d86aa55cc33'
const P = '{{$Auth.API_Key}}'
const STAND_IN = 'sk_test_standin123'

const upstream = await startUpstream(t)
const setting = await startUpstream(t)
const blank = await startUpstream(t)
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
    connectionTo(setting, { name: 'always', query: { key: P } }),
    connectionTo(blank, { name: 'blank' }),
  ],
  credentials: [
    { connection: 'echo', for: 'shared', fields: { apiKey: KEY } },
    { connection: 'always', for: 'shared', fields: { apiKey: KEY } },
    { connection: 'blank', for: 'shared', fields: { apiKey: ` ${KEY} ` } },
  ],
})
const goal = { ...upstream, name: 'echo' }
const always = { ...setting, name: 'always' }
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

  t.test(`${entrance}: no client chooses an encoding that hides what is put in`, async (t) => {
    const before = upstream.bytes.length
    const refused = async (to: Goal, asked: Asked) => {
      const { status, body } = await askBy(t, site, entrance, to, asked)
      t.equal(status, 400, JSON.stringify(asked))
      t.equal(JSON.parse(body).code, 'bad_request', JSON.stringify(asked))
      t.match(JSON.parse(body).hint, /UTF-8/)
    }
    for (const parameter of [
      'charset=utf-16le',
      'CHARSET="cp037"',
      'charset=utf-8; charset=utf-16',
      'charset=utf-16; charset=utf-8',
      "charset*=utf-8''utf-16",
      'charset*0=utf-;charset*1=16',
      'charset =gbk',
      'charset="utf-16',
      'x="; charset=utf-8;y="; charset=ibm1047',
    ]) {
      const type = (essence: string) => [`Content-Type: ${essence}; ${parameter}`]
      await refused(goal, { path: `/x?key=${P}`, headers: type('text/plain') })
      await refused(goal, { path: `/x/${P}`, headers: type('a/b') })
      await refused(always, { headers: type('text/plain') })
      const body = { method: 'POST', body: `token=${P}` }
      await refused(goal, { ...body, headers: type('application/x-www-form-urlencoded') })
      await refused(goal, { ...body, body: `{"key":"${P}"}`, headers: type('application/json') })
      const parts = `--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n${P}\r\n--b--`
      await refused(goal, { ...body, body: parts, headers: type('multipart/form-data; boundary=b') })
    }
    for (const name of ['_charset_', '%5fcharset_']) {
      await refused(goal, { path: `/x?${name}=utf-16&key=${P}` })
      await refused(goal, { path: `/x?key=${P}&${name}=cp%30%337` })
      await refused(always, { path: `/x?${name}=utf-16` })
      const body = `token=${P}&${name}=utf-16`
      await refused(goal, { method: 'POST', headers: [FORM_TYPE], body })
    }
    const part = (name: string, value: string, more = '') =>
      `--b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
    const type = 'Content-Type: multipart/form-data; boundary=b'
    const parts = `${part('token', P)}${part('_charset_', 'utf-16')}--b--`
    await refused(goal, { method: 'POST', headers: [type], body: parts })
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
    t.equal(setting.bytes, '')

    const odd = `${part('token', P, '\r\nContent-Type: text/plain; charset=utf-16le')}--b--`
    await askBy(t, site, entrance, goal, { method: 'POST', headers: [type], body: odd })
    t.equal(upstream.requests.at(-1)?.body, odd, 'a part in such an encoding is no slot')
    for (const charset of ['utf-8', '"UTF-8"', 'ISO-8859-1', 'windows-1252 ', 'us-ascii ; a=b']) {
      const headers = [`${FORM_TYPE}; charset=${charset}`]
      const body = `_charset_=UTF-8&token=${P}`
      await askBy(t, site, entrance, goal, { method: 'POST', headers, body })
      t.equal(upstream.requests.at(-1)?.body, `_charset_=UTF-8&token=${KEY}`, charset)
    }
    const { status } = await askBy(t, site, entrance, goal, {
      method: 'POST',
      headers: ['Content-Type: text/xml; charset=utf-16', `Authorization: Bearer ${P}`],
      body: '<a/>',
    })
    t.equal(status, 200, 'a header is read as it always is')
  })

  t.test(`${entrance}: a key that was entered with blanks at its ends is found without them`, async (t) => {
    const headers = [`X-Api-Key: ${P}`]
    const { status, body } = await askBy(t, site, entrance, { ...blank, name: 'blank' }, { headers })
    t.equal(status, 200)
    t.equal(blank.requests.at(-1)?.headers['x-api-key'], KEY)
    t.notMatch(body, KEY)
  })
}
