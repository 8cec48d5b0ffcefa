import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ENTRANCES, type Entrance } from '../kit/raw.ts'
import type { Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'
import { LIBRARIES } from './libraries.ts'
import type { Library, Step, Took } from './library.ts'
import { filled, type Settings } from './needs.ts'
import { SCOPES, startPeople, WHO, type Who } from './people.ts'
import { startRelay } from './relay.ts'
import { makeTrustStore } from './trust-store.ts'

const SECRETS: Readonly<Record<Who, string>> = {
  ada: 'ada-own-key-4f1c9d27',
  ben: 'sales-profile-key-88a1',
  cleo: 'shared-site-key-0b7e35',
}
const LARGE = 2_000_000
/** Programs at once, on two cores. */
t.jobs = 3

const upstream = await startUpstream(t, { host: 'a.localhost' })
const site = await startPeople(
  t,
  { name: 'echo', destinations: [upstream.origin], ca: upstream.ca, auth: { method: 'api-key' } },
  { ada: { apiKey: SECRETS.ada }, ben: { apiKey: SECRETS.ben }, cleo: { apiKey: SECRETS.cleo } },
)
const store = await makeTrustStore(site)
const content = randomBytes(300_000)
const upload = join(site.data, 'upload.bin')
writeFileSync(upload, content)

/** Where a client is told to go: at the forward entrance it says http, and Locum goes on by https. */
function baseFor(entrance: Entrance, port: number): string {
  if (entrance === 'gateway') return `http://127.0.0.1:${port}/c/echo`
  return `${entrance === 'forward' ? 'http' : 'https'}://${upstream.authority}`
}

/** A client's run for somebody, through a relay that tells its connections. */
async function run(
  t: Teardown,
  { take }: Library,
  who: Who,
  named: Settings,
  steps: (port: number) => readonly Step[],
) {
  const key = site.keys[who] as string
  const relay = await startRelay(t, site.port)
  const settings = filled(named, { id: who, key, port: relay.port, caFile: site.caFile, store })
  const authorization = 'Bearer <<$Auth.API_Key>>'
  const took = await take(steps(relay.port), { settings, authorization, id: who, key })
  return { took: (name: string) => took.get(name) ?? {}, said: JSON.stringify([...took]), relay }
}

function isMaskedEcho({ status, echo, body = '' }: Took, who: Who): boolean {
  const mask = `Bearer ${'*'.repeat(SECRETS[who].length)}`
  return status === 200 && echo === mask && JSON.parse(body).headers.authorization === mask
}

const requestsUnder = (path: string) => upstream.requests.filter(({ url }) => url.startsWith(`${path}/`))
const showKey = (entrance: Entrance, who: Who) => (entrance === 'gateway' ? { key: site.keys[who] } : {})

/** What a client can do by an entrance, as ada. */
async function tryAll(t: Test, library: Library, entrance: Entrance): Promise<void> {
  const { id, needs } = library
  const path = `/${id}/${entrance}/ada`
  // What has to trust nobody is given nothing to trust; a client of the gateway knows of no proxy.
  const named = { forward: needs.proxy, connect: { ...needs.proxy, ...needs.trust }, gateway: {} }
  const { took, said, relay } = await run(t, library, 'ada', named[entrance], (port) => {
    const base = `${baseFor(entrance, port)}${path}`
    const shown = showKey(entrance, 'ada')
    return [
      { name: 'echo', url: `${base}/echo`, ...shown },
      { name: 'again', url: `${base}/again`, ...shown },
      { name: 'large', url: `${base}/bytes/${LARGE}`, ...shown },
      { name: 'redirect', url: `${base}/redirect?to=${path}/moved`, ...shown },
      { name: 'upload', url: `${base}/upload`, ...shown, file: upload },
    ]
  })
  t.ok(isMaskedEcho(took('echo'), 'ada'), `${entrance}: its body comes, and the echo is masked`)
  t.ok(isMaskedEcho(took('again'), 'ada'), `${entrance}: and again`)
  t.match(took('large'), { status: 200, body: `${LARGE} bytes` }, `${entrance}: a large body is whole`)
  if (library.follows)
    t.equal(JSON.parse(took('redirect').body ?? '{}').url, `${path}/moved`, `${entrance}: redirected`)
  else t.equal(took('redirect').status, 302, `${entrance}: a redirect is passed back`)
  t.equal(took('upload').status, 200, `${entrance}: an upload is answered`)
  const leaked = Object.values(SECRETS).filter((secret) => said.includes(secret))
  t.same(leaked, [], `${entrance}: it saw no secret`)

  const seen = requestsUnder(path)
  t.equal(seen.length, library.follows ? 6 : 5, `${entrance}: each request once`)
  for (const { url, headers } of seen) {
    t.equal(headers.authorization, `Bearer ${SECRETS.ada}`, `${url} came with the real value`)
    t.notMatch(Object.keys(headers).join(), /proxy-|locum/, `${url}: nothing that speaks to Locum`)
  }
  const body = seen.find(({ url }) => url === `${path}/upload`)?.body ?? ''
  t.ok(body.includes(content.toString('latin1')), `${entrance}: the upload came whole`)

  const tunnels = entrance === 'connect' || (entrance === 'forward' && library.plain === 'tunnel')
  const first = entrance === 'gateway' ? 'GET /c/echo/' : tunnels ? 'CONNECT ' : 'GET http://'
  t.ok(relay.opened[0]?.startsWith(first), `${entrance}: as it asks`)
  const reused = relay.opened.length < seen.length - 1
  t.equal(reused, library.keepsAlive[entrance], `${entrance}: ${relay.opened.length} connections`)
}

const running: Promise<unknown>[] = []
for (const library of LIBRARIES) {
  const { id, needs, missing } = library
  const options = { skip: missing ?? false, buffered: true }
  const does = t.test(
    `${needs.name} does what it can by every entrance, and sees no secret`,
    options,
    async (t) => {
      for (const entrance of ENTRANCES) await tryAll(t, library, entrance)
    },
  )
  const serves = t.test(`${needs.name} is served with whose credential it is`, options, async (t) => {
    for (const who of ['ben', 'cleo'] as const) {
      const all: Settings = { ...needs.proxy, ...needs.trust }
      for (const [named, entrances] of [
        [all, ['forward', 'connect']],
        [{}, ['gateway']],
      ] as const) {
        const { took } = await run(t, library, who, named, (port) =>
          entrances.map((entrance) => ({
            name: entrance,
            url: `${baseFor(entrance, port)}/${id}/${entrance}/${who}/echo`,
            ...showKey(entrance, who),
          })),
        )
        for (const entrance of entrances) {
          t.ok(isMaskedEcho(took(entrance), who), `${who} by ${entrance}`)
          const seen = requestsUnder(`/${id}/${entrance}/${who}`)
          t.match(seen, [{ headers: { authorization: `Bearer ${SECRETS[who]}` } }], 'the upstream got it')
        }
      }
    }
  })
  running.push(does, serves)
}
await Promise.all(running)

t.test('the audit names the caller of every use, holds no secret, and verifies', async (t) => {
  const records = await site.audit()
  for (const { id, follows, plain, missing } of LIBRARIES) {
    if (missing !== undefined) continue
    for (const who of WHO) {
      for (const entrance of ENTRANCES) {
        const path = `/${id}/${entrance}/${who}/`
        const uses = records.filter((one) => one.event === 'use' && String(one.path).startsWith(path))
        t.equal(uses.length, who === 'ada' ? (follows ? 6 : 5) : 1, `${id}: ${who} by ${entrance}`)
        for (const use of uses) {
          const by = entrance === 'forward' && plain === 'tunnel' ? 'connect' : entrance
          t.match(use, { caller: who, scope: SCOPES[who], connection: 'echo', entrance: by })
          const outcome = records.find((one) => one.event === 'outcome' && one.request === use.request)
          t.ok(outcome && Number(outcome.status) < 400 && outcome.code === undefined)
        }
      }
    }
  }
  const text = JSON.stringify(records)
  for (const secret of [...Object.values(SECRETS), ...Object.values(site.keys)])
    t.notOk(text.includes(secret))
  t.strictSame(await site.verify(), [])
})
