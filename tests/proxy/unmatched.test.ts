import t, { type Test } from 'tap'
import { issue } from '../kit/certificates.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { startParent } from '../kit/parent.ts'
import { openPassing, untouchedTo } from '../kit/passing.ts'
import { dial, eventually, keyLine, openTunnel } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { replying, startBytes, upstreamCa } from '../kit/upstream.ts'

/** A public address; the parent proxy of these tests leads it to a host of the test. */
const PUBLIC = '93.184.216.34'
const NAMES = ['public.test', 'other.test', PUBLIC]

/**
 * A site with `unmatched: tunnel`, whose parent proxy leads whatever it is asked for to one TLS server. Names
 * resolve to a public address, and those under `.inside` to a private one.
 */
async function startOpenSite(
  t: Test,
  connections: readonly object[] = [],
  more: Readonly<Record<string, unknown>> = { unmatched: 'tunnel' },
) {
  const upstream = await startBytes(
    t,
    replying(() => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'),
    { leaf: await issue(await upstreamCa(), NAMES) },
  )
  const parent = await startParent(t, { to: () => upstream.port })
  const site = await startSite(
    t,
    {
      ...more,
      egress: { proxy: parent.url },
      principals: [{ id: 'ada', profile: 'sales' }, { id: 'ben' }],
      connections,
    },
    { lookup: async (name) => [{ address: name.endsWith('.inside') ? '10.1.2.3' : PUBLIC }] },
  )
  return { site, parent, upstream }
}

t.test('CONNECT to another public host passes untouched, counted and recorded', async (t) => {
  const { site, parent } = await startOpenSite(t)
  for (const host of ['public.test', PUBLIC]) {
    const tunnel = await openPassing(t, site, `${host}:443`)
    tunnel.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nX-Api-Key: <<$Auth.API_Key>>\r\n\r\n`)
    t.equal((await tunnel.response()).body, 'hi', host)
    tunnel.socket.destroy()
    await eventually(() => site.running.room.live.size === 0, 'it has ended')
  }
  t.same(parent.asked, [`${PUBLIC}:443`, `${PUBLIC}:443`])
  t.equal(site.running.room.counts.unmatched, 2)
  t.match(
    (await site.audit()).filter(({ event }) => event === 'use' || event === 'outcome'),
    [
      { event: 'use', caller: 'ada', connection: '', destination: 'public.test:443', passes: 'unmatched' },
      { event: 'outcome', status: 200 },
      { event: 'use', destination: `${PUBLIC}:443` },
      { event: 'outcome', status: 200 },
    ],
  )
})

t.test('it is refused unless the site says so', async (t) => {
  for (const more of [{}, { unmatched: 'deny' }]) {
    const { site, parent } = await startOpenSite(t, [], more)
    await t.rejects(openTunnel(t, site, 'public.test:443'), /403 .*connection_not_found/)
    t.same(parent.asked, [])
    t.equal(site.running.room.counts.unmatched, 0)
  }
})

t.test('only port 443 of public addresses, and only for a known caller', async (t) => {
  const { site, parent } = await startOpenSite(t)
  for (const [authority, refusal] of [
    ['public.test:80', /403 .*connection_not_found/],
    ['public.test:22', /403 .*connection_not_found/],
    ['public.test:8443', /403 .*connection_not_found/],
    ['db.inside:443', /403 .*destination_forbidden/],
    ['169.254.169.254:443', /403 .*destination_forbidden/],
    ['[fd00:ec2::254]:443', /403 .*destination_forbidden/],
    ['[::ffff:10.0.0.1]:443', /403 .*destination_forbidden/],
    ['127.0.0.1:443', /403 .*destination_forbidden/],
    ['localhost:443', /403 .*destination_forbidden/],
    ['2130706433:443', /400 .*bad_request/],
    [`127.0.0.1:${site.port}`, /403 .*connection_not_found/],
  ] as const)
    await t.rejects(openTunnel(t, site, authority), refusal, authority)
  await t.rejects(openTunnel(t, site, 'public.test:443', { as: 'nobody' }), /407/)
  await t.rejects(openTunnel(t, site, 'public.test:443', { as: '' }), /407/)
  t.same(parent.asked, [])
  t.equal(site.running.room.counts.unmatched, 0)
})

t.test('a host that a connection names never passes as unmatched', async (t) => {
  const to = (origin: string, more: object = {}) =>
    connectionTo({ origin, ca: undefined }, { auth: { method: 'none' }, allowPrivateNetwork: false, ...more })
  const { site, parent } = await startOpenSite(t, [
    to('https://api.test:8443', { name: 'port' }),
    to('http://plain.test', { name: 'plain' }),
    to('https://*.crm.test:9443', { name: 'wild', ownedWildcard: true }),
    to('https://sales.test', { name: 'sales', allow: { profiles: ['sales'] } }),
  ])
  for (const [authority, refusal] of [
    ['api.test:443', /403 .*connection_not_found/],
    ['API.test.:443', /403 .*connection_not_found/],
    ['plain.test:443', /403 .*connection_not_found/],
    ['a.crm.test:443', /403 .*connection_not_found/],
    ['sales.test:443', /403 .*not_allowed/],
  ] as const)
    await t.rejects(openTunnel(t, site, authority, { as: 'ben' }), refusal, authority)
  t.same(parent.asked, [])
  for (const authority of ['crm.test:443', 'a.b.crm.test:443', 'api.test.evil.test:443'])
    await openTunnel(t, site, authority, { as: 'ben', plain: true })
  t.equal(parent.asked.length, 3, 'and no other is taken for one')
})

t.test('who names a connection passes by no other way', async (t) => {
  const { site, parent } = await startOpenSite(t, [
    untouchedTo({ origin: 'https://lab.test', ca: undefined }),
  ])
  const client = await dial(t, site.port)
  client.send(
    `CONNECT public.test:443 HTTP/1.1\r\nHost: public.test:443\r\nLocum-Connection: lab\r\n${keyLine(site, 'connect', 'ada')}\r\n`,
  )
  t.match(await client.whole(), /^HTTP\/1.1 403 .*connection_not_found/)
  t.same(parent.asked, [])
})

t.test('a connection that comes ends what passed to its host, and nothing else', async (t) => {
  const { site, parent } = await startOpenSite(t)
  const [ends, goesOn] = await Promise.all([
    openPassing(t, site, 'public.test:443'),
    openPassing(t, site, 'other.test:443'),
  ])
  await site.apply({
    egress: { proxy: parent.url },
    principals: [{ id: 'ada', profile: 'sales' }, { id: 'ben' }],
    connections: [untouchedTo({ origin: 'https://public.test', ca: undefined })],
  })
  await site.settle()
  await ends.gone()
  goesOn.send('GET / HTTP/1.1\r\nHost: other.test\r\n\r\n')
  t.equal((await goesOn.response()).body, 'hi')
  const outcomes = (await site.audit()).filter(({ event }) => event === 'outcome')
  t.match(outcomes, [{ code: 'not_allowed' }])
})
