import t from 'tap'
import { setCredential } from '../../operations/credentials.ts'
import { importType } from '../../operations/types.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const PASSWORD = 'the-password-of-nobody'
const schema = {
  type: 'object',
  properties: {
    baseUrl: { type: 'string', format: 'uri' },
    username: { type: 'string' },
    password: { type: 'string', writeOnly: true },
  },
  required: ['baseUrl', 'password'],
}

t.test(
  'a type’s URL is the base, joined by one slash, and its plain fields come back as they are',
  async (t) => {
    const upstream = await startUpstream(t)
    const connection = connectionTo(upstream, {
      name: 'crm',
      auth: { method: 'raw', type: 'crm' },
      base: '{{$Auth.baseUrl}}',
      headers: { 'X-Login': '{{$Auth.username}}:{{$Auth.password}}' },
    })
    const config = { principals: [{ id: 'ada', kind: 'user' }] }
    const site = await startSite(t, config)
    await site.run(importType, { name: 'crm', schema })
    await site.apply({ ...config, connections: [connection] })
    const goal = { ...upstream, name: 'crm' }
    for (const [baseUrl, url] of [
      [`${upstream.origin}/echo`, '/echo/items'],
      [`${upstream.origin}/echo/`, '/echo/items'],
      [`${upstream.origin}/`, '/items'],
      [upstream.origin, '/items'],
    ] as const) {
      const fields = { baseUrl, username: 'ada.lovelace', password: PASSWORD }
      await site.run(setCredential, { connection: 'crm', for: 'shared', fields })
      await site.settle()
      await askBy(t, site, 'gateway', goal, { path: '/items' })
      t.equal(upstream.requests.at(-1)?.url, url, baseUrl)
      t.equal(upstream.requests.at(-1)?.headers['x-login'], `ada.lovelace:${PASSWORD}`)
    }
    const fields = { baseUrl: `${upstream.origin}/`, username: 'ada.lovelace', password: PASSWORD }
    await site.run(setCredential, { connection: 'crm', for: 'shared', fields })
    await site.settle()
    const { body } = await askBy(t, site, 'gateway', goal, { path: '/echo' })
    t.match(
      JSON.parse(body).headers['x-login'],
      /^ada\.lovelace:\*+$/,
      'a user name is no secret, a password is',
    )
    const elsewhere = { ...fields, baseUrl: 'https://elsewhere.example/' }
    await site.run(setCredential, { connection: 'crm', for: 'shared', fields: elsewhere })
    await site.settle()
    const refused = await askBy(t, site, 'gateway', goal, { path: '/echo' })
    t.match(JSON.parse(refused.body), { code: 'connection_not_found' }, 'inside the audience')
  },
)
