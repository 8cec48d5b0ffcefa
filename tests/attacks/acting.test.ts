import t from 'tap'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, type RawResponse } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const site = await startSite(t, {
  principals: [
    { id: 'billing', kind: 'service', mayActFor: ['user:*'] },
    { id: 'ada' },
    { id: 'root', admin: true },
  ],
  connections: [
    connectionTo(upstream, { auth: { method: 'none' }, headers: { 'X-User': '{{$User.Id}}' } }),
    connectionTo(upstream, { name: 'admins', auth: { method: 'none' }, allow: { profiles: ['nobody'] } }),
  ],
})
const goal = { ...upstream, name: 'echo' }
const code = ({ body }: RawResponse): unknown => JSON.parse(body).code

for (const entrance of ENTRANCES) {
  const ask = (...headers: string[]) => askBy(t, site, entrance, goal, { as: 'billing', headers })

  t.test(
    `${entrance}: no Connection takes away for whom a request is, or by which connection it goes`,
    async (t) => {
      const before = upstream.requests.length
      const asked = await ask('Connection: Locum-For, close', 'Locum-For: user:ada')
      t.equal(asked.status, 200)
      t.equal(upstream.requests.at(-1)?.headers['x-user'], 'ada')
      t.equal(code(await ask('Connection: locum-for', 'Locum-For: user:eve')), 'not_allowed')
      if (entrance !== 'gateway')
        t.equal(code(await ask('Connection: locum-connection', 'Locum-Connection: admins')), 'not_allowed')
      t.equal(upstream.requests.length, before + 1)
      t.notOk(upstream.requests.some(({ rawHeaders }) => rawHeaders.some((name) => /^locum/i.test(name))))
    },
  )

  t.test(`${entrance}: whoever misspells for whom it is, is not served as themselves`, async (t) => {
    const before = upstream.requests.length
    for (const line of ['Locum_For: user:ada', 'LOCUM_FOR: user:ada'])
      t.equal(code(await ask(line)), 'bad_request', line)
    t.equal(code(await ask('Locum-For: user:ada', 'locum_for: user:eve')), 'bad_request')
    t.equal(upstream.requests.length, before)
  })

  t.test(`${entrance}: no other spelling of a user is that user`, async (t) => {
    const before = upstream.requests.length
    for (const id of ['ADA', 'Ada', 'ada.', 'billing', 'admin'])
      t.equal(code(await ask(`Locum-For: user:${id}`)), 'not_allowed', id)
    for (const text of [
      'USER:ada',
      'user:ada, user:root',
      'user:ada;',
      'user:%61da',
      'user:ad\xe4',
      'user: ada',
    ])
      t.equal(code(await ask(`Locum-For: ${text}`)), 'bad_request', text)
    t.equal(upstream.requests.length, before)
  })
}
