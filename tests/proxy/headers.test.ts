import t from 'tap'
import { ASKS, connectionTo, REAL, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const upstream = await startUpstream(t)
const sets = await startUpstream(t)
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [
    connectionTo(upstream),
    connectionTo(sets, {
      name: 'sets',
      headers: { Authorization: 'Bearer {{$Auth.API_Key}}', 'X-Tenant-Id': 'acme', org_id: 'acme' },
    }),
  ],
  credentials: ['echo', 'sets'].map((connection) => ({
    connection,
    for: 'shared',
    fields: { apiKey: SECRET },
  })),
})

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: Connection cannot remove what is put in`, async (t) => {
    const { status } = await askBy(
      t,
      site,
      entrance,
      { ...sets, name: 'sets' },
      {
        headers: ['Connection: Authorization, X-Tenant-Id, X-Drop', 'X-Drop: 1', 'Authorization: mine'],
      },
    )
    t.equal(status, 200)
    const { headers } = sets.requests.at(-1) as (typeof sets.requests)[0]
    t.equal(headers.authorization, REAL)
    t.equal(headers['x-tenant-id'], 'acme')
    t.equal(headers['x-drop'], undefined)
  })

  t.test(`${entrance}: nor a field in which a client asks for a secret`, async (t) => {
    for (const asks of [ASKS, `Authorization: Basic ${btoa('<<$Auth.API_Key>>:x')}`]) {
      const headers = ['Connection: Authorization, X-Drop', 'X-Drop: 1', asks]
      const { status } = await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { headers })
      t.equal(status, 200)
      const seen = (upstream.requests.at(-1) as (typeof upstream.requests)[0]).headers
      t.match(seen.authorization, asks.includes('Basic') ? `Basic ${btoa(`${SECRET}:x`)}` : SECRET)
      t.equal(seen['x-drop'], undefined)
    }
  })

  t.test(`${entrance}: what belongs to one hop, and what speaks to Locum, does not go on`, async (t) => {
    const own = entrance === 'gateway' ? ['Proxy-Authorization: Bearer x'] : ['Locum-Authorization: Bearer x']
    const { status } = await askBy(
      t,
      site,
      entrance,
      { ...upstream, name: 'echo' },
      {
        headers: [
          ASKS,
          'Connection: close, X-Hop',
          'X-Hop: 1',
          'Keep-Alive: timeout=5',
          'TE: trailers',
          'Proxy-Connection: keep-alive',
          'Upgrade: foo/1',
          'Locum-Whatever: 1',
          'LOCUM-NOTE: user:x',
          'Locum_Connection: none',
          'HTTP2-Settings: AAA',
          ...own,
        ],
      },
    )
    t.equal(status, 200)
    const names = Object.keys(upstream.requests.at(-1)?.headers ?? {})
    t.strictSame(names.filter((name) => name !== 'connection').sort(), ['authorization', 'host'])
  })

  t.test(
    `${entrance}: spellings of what is put in with other underscores are dropped, others pass`,
    async (t) => {
      const { status } = await askBy(
        t,
        site,
        entrance,
        { ...sets, name: 'sets' },
        {
          headers: [
            'X_Tenant_Id: evil',
            'x-tenant_id: evil',
            'X_Other: fine',
            'X-Tenant-Id: mine',
            'Org-Id: evil',
          ],
        },
      )
      t.equal(status, 200)
      const { headers } = sets.requests.at(-1) as (typeof sets.requests)[0]
      t.equal(headers['x-tenant-id'], 'acme')
      t.equal(headers.x_tenant_id, undefined)
      t.equal(headers['x-tenant_id'], undefined)
      t.equal(headers.x_other, 'fine')
      t.equal(headers.org_id, 'acme')
      t.equal(headers['org-id'], undefined)
    },
  )

  t.test(`${entrance}: clear-text HTTP/2 is not offered to the upstream`, async (t) => {
    const { status } = await askBy(
      t,
      site,
      entrance,
      { ...upstream, name: 'echo' },
      {
        headers: [ASKS, 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
      },
    )
    t.equal(status, 200)
    t.equal(upstream.requests.at(-1)?.headers.upgrade, undefined)
  })

  t.test(`${entrance}: method, path, query and other headers pass as they came`, async (t) => {
    const path = '/a//b;c=1/%7Euser/%20?x=1&y=%2F&z=a+b'
    const { status } = await askBy(
      t,
      site,
      entrance,
      { ...upstream, name: 'echo' },
      {
        method: 'PROPFIND',
        path,
        headers: ['X-MiXeD: Case', 'Accept: a', 'Accept: b', 'X-Empty:', 'X-Latin: \xe9'],
        body: 'body of a PROPFIND',
      },
    )
    t.equal(status, 200)
    const seen = upstream.requests.at(-1)
    t.equal(seen?.method, 'PROPFIND')
    t.equal(seen?.url, path)
    t.equal(seen?.body, 'body of a PROPFIND')
    t.ok(seen?.rawHeaders.includes('X-MiXeD'))
    t.equal(seen?.headers.accept, 'a, b')
    t.equal(seen?.headers['x-empty'], '')
    t.equal(seen?.headers['x-latin'], '\xe9')
  })
}
