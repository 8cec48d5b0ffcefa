import t from 'tap'
import { absent, runCurl } from '../clients/running.ts'
import { ASKS, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { CLAIMS, makeClock, startCallers } from './kit.ts'
import { startProvider } from './provider.ts'

const provider = await startProvider(t)
// The provider's clock is the machine's; this one is a little ahead when it is moved.
const clock = makeClock(Date.now())
const { site, upstream, goal, seen } = await startCallers(t, {
  issuers: [
    {
      issuer: provider.issuer,
      audience: 'locum',
      claims: CLAIMS,
      ca: provider.ca,
      allowPrivateNetwork: true,
    },
  ],
  connection: { source: 'per-profile', allow: { projects: ['north'] } },
  more: { credentials: [{ connection: 'echo', for: 'profile:sales', fields: { apiKey: SECRET } }] },
  options: { clock },
})

t.test(
  'tokens of a certified provider let in, by every entrance and with every key it rotates to',
  async (t) => {
    const old = await provider.token()
    for (const entrance of ENTRANCES)
      t.equal((await askBy(t, site, entrance, goal, { as: old, headers: [ASKS] })).status, 200, entrance)
    await provider.rotate()
    clock.time += 61_000
    await site.settle()
    const as = await provider.token()
    for (const entrance of ENTRANCES)
      t.equal((await askBy(t, site, entrance, goal, { as, headers: [ASKS] })).status, 200, entrance)
    const { status, body } = await askBy(t, site, 'forward', goal, { as: old })
    t.equal(status, 407)
    t.match(JSON.parse(body).detail, /key id/)
  },
)

t.test('a token of it for another audience lets nobody in', async (t) => {
  const { status, body } = await askBy(t, site, 'forward', goal, { as: await provider.token('billing') })
  t.equal(status, 407)
  t.match(JSON.parse(body).detail, /audience/)
})

t.test(
  'curl calls with a token by all three entrances',
  { skip: absent('curl', ['--version'], 'curl') },
  async (t) => {
    const token = await provider.token()
    const { port } = site
    const proxy = ['--proxy', `http://127.0.0.1:${port}`, '--header', ASKS]
    const forward = `http://${upstream.authority}/echo`
    const connect = ['--cacert', site.caFile, `https://${upstream.authority}/echo`]
    for (const [what, args] of [
      ['forward, Basic without an id', [...proxy, '--proxy-user', `:${token}`, forward]],
      ['forward, Basic', [...proxy, '--proxy-user', `jwt:${token}`, forward]],
      ['forward, Bearer', [...proxy, '--proxy-header', `Proxy-Authorization: Bearer ${token}`, forward]],
      ['connect, Basic', [...proxy, '--proxy-user', `jwt:${token}`, ...connect]],
      ['connect, Bearer', [...proxy, '--proxy-header', `Proxy-Authorization: Bearer ${token}`, ...connect]],
      [
        'gateway',
        [
          '--header',
          ASKS,
          '--header',
          `Locum-Authorization: Bearer ${token}`,
          `http://127.0.0.1:${port}/c/echo/echo`,
        ],
      ],
    ] as const) {
      const { code, out, errors } = await runCurl(['--fail', ...args])
      t.equal(code, 0, `${what}: ${errors}`)
      t.match(out, '"method":"GET"')
      t.equal(seen().authorization, `Bearer ${SECRET}`, what)
      t.notOk(out.includes(token))
    }
    const { code } = await runCurl(['--fail', ...proxy, '--proxy-user', `ada:${token}`, forward])
    t.not(code, 0, 'nobody else’s id stands beside it')
  },
)
