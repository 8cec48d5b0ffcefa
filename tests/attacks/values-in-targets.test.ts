import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const VALUES = {
  slash: 'marked/admin',
  up: 'marked/../admin',
  dots: '..',
  dot: '.',
  query: 'marked?role=admin#x',
  and: 'marked&role=admin',
  lines: 'marked\r\nX-Evil: 1\r\n\r\nGET /admin HTTP/1.1',
  nul: 'marked\0',
  quote: 'marked"\'><',
  surrogate: 'marked\ud83d',
  back: 'marked\\..\\admin',
  encoded: 'marked%2e%2e%2fadmin',
  admin: 'admin',
  other: 'open',
  placeholder: 'marked{{$Auth.admin}}',
}

const upstream = await startUpstream(t)
const raw = { auth: { method: 'raw' }, slots: { path: true, query: ['key'] } }
const site = await startSite(t, {
  principals: [
    { id: 'ada', kind: 'user' },
    { id: 'root', kind: 'user', projects: ['ops'] },
  ],
  connections: [
    connectionTo(upstream, {
      ...raw,
      name: 'api',
      base: `${upstream.origin}/v1`,
      allow: { paths: ['/v1/*', '/open*'] },
    }),
    connectionTo(upstream, { ...raw, name: 'admin', allow: { paths: ['/v1/admin/*'] } }),
    connectionTo(upstream, { ...raw, name: 'ops', allow: { paths: ['/v1/open/*'], projects: ['ops'] } }),
    connectionTo(upstream, {
      ...raw,
      name: 'narrow',
      base: `${upstream.origin}/n/`,
      allow: { paths: ['/n/%7B%7B*', '/n/open'] },
    }),
  ],
  credentials: ['api', 'admin', 'ops', 'narrow'].map((connection) => ({
    connection,
    for: 'shared',
    fields: VALUES,
  })),
})
const goal = { ...upstream, name: 'api' }

for (const entrance of ENTRANCES) {
  const prefix = entrance === 'gateway' ? '' : '/v1'
  const ask = (path: string, as = 'ada') => askBy(t, site, entrance, goal, { path: prefix + path, as })

  t.test(`${entrance}: a value is data of one segment, or the request does not leave`, async (t) => {
    for (const [name, seen] of [
      ['slash', 'marked%2Fadmin'],
      ['query', 'marked%3Frole%3Dadmin%23x'],
      ['and', 'marked%26role%3Dadmin'],
      ['quote', 'marked%22%27%3E%3C'],
      ['surrogate', 'marked%EF%BF%BD'],
      ['encoded', 'marked%252e%252e%252fadmin'],
      ['placeholder', 'marked%7B%7B%24Auth.admin%7D%7D'],
    ] as const) {
      t.equal((await ask(`/x/{{$Auth.${name}}}/y`)).status, 200, name)
      t.equal(upstream.requests.at(-1)?.url, `/v1/x/${seen}/y`, name)
    }
    const before = upstream.bytes.length
    for (const name of ['up', 'dots', 'dot', 'lines', 'nul', 'back']) {
      const { status, body } = await ask(`/x/<<$Auth.${name}>>/y`)
      t.equal(status, 400, name)
      t.equal(JSON.parse(body).code, 'placeholder_not_allowed', name)
      t.notMatch(body, /marked|Evil/)
    }
    t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
  })

  t.test(`${entrance}: a value in a query is one parameter's`, async (t) => {
    for (const name of ['slash', 'up', 'dots', 'query', 'and', 'quote', 'back', 'encoded'] as const) {
      t.equal((await ask(`/x?a=1&key={{$Auth.${name}}}&b=2`)).status, 200)
      const { searchParams, pathname } = new URL(upstream.requests.at(-1)?.url as string, 'http://a')
      t.equal(pathname, '/v1/x')
      t.same(
        [...searchParams],
        [
          ['a', '1'],
          ['key', VALUES[name]],
          ['b', '2'],
        ],
        name,
      )
    }
    const before = upstream.bytes.length
    for (const name of ['lines', 'nul']) {
      const { body } = await ask(`/x?key={{$Auth.${name}}}`)
      t.equal(JSON.parse(body).code, 'placeholder_not_allowed', name)
    }
    t.equal(upstream.bytes.length, before)
  })

  t.test(
    `${entrance}: a value leads to nothing that another connection serves, or this one does not allow`,
    async (t) => {
      const before = upstream.bytes.length
      const paths = entrance === 'gateway' ? [] : ['/{{$Auth.admin}}/users']
      for (const path of paths) {
        const { status, body } = await ask(path)
        t.equal(status, 403, path)
        t.equal(JSON.parse(body).code, 'not_allowed', path)
        t.notMatch(JSON.parse(body).detail, 'admin')
      }
      const narrow = await askBy(
        t,
        site,
        'gateway',
        { ...upstream, name: 'narrow' },
        { path: '/{{$Auth.admin}}' },
      )
      t.equal(JSON.parse(narrow.body).code, 'not_allowed', 'as it was written it fits, filled in it does not')
      t.equal(upstream.bytes.length, before, 'the upstream saw not one byte')
      t.equal(
        (await askBy(t, site, 'gateway', { ...upstream, name: 'narrow' }, { path: '/{{$Auth.other}}' }))
          .status,
        200,
      )
      t.equal(upstream.requests.at(-1)?.url, '/n/open')
    },
  )

  if (entrance === 'gateway') continue
  t.test(`${entrance}: whose connection a filled path would be depends on who calls`, async (t) => {
    t.equal((await ask('/{{$Auth.other}}/x')).status, 200, 'nobody else may serve Ada there')
    const { body } = await ask('/{{$Auth.other}}/x', 'root')
    t.equal(JSON.parse(body).code, 'not_allowed', 'another connection would serve root there')
  })
}
