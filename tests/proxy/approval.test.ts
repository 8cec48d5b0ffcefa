import t from 'tap'
import { listCredentials, setCredential } from '../../operations/credentials.ts'
import { explainRequest } from '../../operations/explain.ts'
import { makeCa } from '../kit/certificates.ts'
import { connectionTo } from '../kit/echo-site.ts'
import { type Asked, askBy, type Entrance } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const OWN = 'the-key-that-ada-entered-herself'
const SHARED = 'the-key-that-is-shared-by-everybody'
const HERE = '{{$Auth.API_Key}}'
const THERE = '<<$Auth.API_Key>>'
const asJson = (value: object): Asked => ({
  method: 'POST',
  headers: ['Content-Type: application/json'],
  body: JSON.stringify(value),
})
const asForm = (body: string): Asked => ({
  method: 'POST',
  headers: ['Content-Type: application/x-www-form-urlencoded'],
  body,
})

const upstream = await startUpstream(t)
const other = await makeCa('An administrator’s own')

/** What an administrator changes, and a request that would then take the secret there. `asIs`: others go on as before. */
const DOORS: Readonly<
  Record<string, { change: object; asked?: Asked; entrance?: Entrance; asIs?: boolean }>
> = {
  'a header that it sets': { change: { headers: { 'X-Note': HERE } } },
  'a query that it sets': { change: { query: { note: `to ${HERE}` } } },
  'a body of JSON that it sets': { change: { body: { json: { note: HERE } } }, asked: asJson({}) },
  'a member deep in it': { change: { body: { json: { to: [{ note: HERE }] } } }, asked: asJson({}) },
  'a form that it sets': { change: { body: { form: { note: HERE } } }, asked: asForm('') },
  'a text that it sets': { change: { body: { text: HERE } }, asked: { method: 'POST', body: '' } },
  'a formula in a usual header': {
    change: { headers: { Authorization: 'Bearer {{$Auth.API_Key + "!"}}' } },
  },
  'a formula in its base': {
    change: { base: `${upstream.origin}/{{$Auth.API_Key + '-'}}/` },
    entrance: 'gateway',
  },
  'its base': { change: { base: `${upstream.origin}/${HERE}/` }, entrance: 'gateway', asIs: true },
  'a slot in the headers': {
    change: { slots: { headers: ['authorization', 'X-Note'] } },
    asked: { headers: [`X-Note: ${THERE}`] },
    asIs: true,
  },
  'a slot in the path': { change: { slots: { path: true } }, asked: { path: `/${THERE}/echo` }, asIs: true },
  'a slot in the query': {
    change: { slots: { query: ['note'] } },
    asked: { path: `/echo?note=${THERE}` },
    asIs: true,
  },
  'a slot in JSON': {
    change: { slots: { json: ['/to/*/note'] } },
    asked: asJson({ to: [{ note: THERE }] }),
    asIs: true,
  },
  'a slot in a form': { change: { slots: { form: ['note'] } }, asked: asForm(`note=${THERE}`), asIs: true },
}

async function startOwned() {
  const connection = (change: object) =>
    connectionTo(upstream, { source: 'per-user', fallback: ['shared'], ...change })
  const config = (change: object = {}) => ({
    name: 'admin',
    principals: [
      { id: 'ada', kind: 'user' },
      { id: 'bob', kind: 'user' },
    ],
    connections: [connection(change)],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SHARED } }],
  })
  const site = await startSite(t, config())
  const enter = async () => {
    await site.run(setCredential, { connection: 'echo', for: 'user:ada', fields: { apiKey: OWN } })
    await site.settle()
  }
  await enter()
  return {
    site,
    enter,
    async change(to: object) {
      await site.apply(config(to))
      await site.settle()
    },
    async ask(as: string, asked: Asked = {}, entrance: Entrance = 'forward') {
      const from = upstream.bytes.length
      const response = await askBy(t, site, entrance, { ...upstream, name: 'echo' }, { as, ...asked })
      const code = response.status === 200 ? 'fine' : JSON.parse(response.body).code
      return { code, arrived: upstream.bytes.slice(from), body: response.body }
    },
    async state() {
      const found = (await site.run(listCredentials, {})).find(({ owner }) => owner === 'user:ada')
      return found?.state
    },
  }
}

const PLAIN: Asked = { headers: [`Authorization: Bearer ${THERE}`] }

for (const [door, { change, asked = {}, entrance = 'forward', asIs = false }] of Object.entries(DOORS)) {
  t.test(`${door} takes a user's own credential nowhere until its owner approves it (R28)`, async (t) => {
    const { site, enter, change: administrate, ask, state } = await startOwned()
    t.equal((await ask('ada', PLAIN)).code, 'fine')
    t.equal(await state(), 'ready')
    await administrate(change)
    const refused = await ask('ada', asked, entrance)
    t.equal(refused.code, 'credential_outside_audience')
    t.equal(refused.arrived, '')
    t.match(JSON.parse(refused.body), { hint: /locum credential set echo --for user:ada$/ })
    t.notMatch(refused.body, OWN)
    if (asked.body === undefined) {
      const { path = '/echo', headers = [] } = asked
      const pairs = headers.map((line) => line.split(': ') as [string, string])
      const question = {
        method: 'GET',
        url: entrance === 'gateway' ? `/c/echo${path}` : upstream.origin + path,
        as: 'ada',
        headers: pairs,
      }
      const { error } = await site.run(explainRequest, question)
      t.equal(error?.code, 'credential_outside_audience', 'explain says so too')
    }
    t.equal((await ask('ada', PLAIN)).code, asIs ? 'fine' : 'credential_outside_audience')
    t.equal(await state(), asIs ? 'ready' : 'outside-audience')
    t.match(
      (await ask('bob', asked, entrance)).arrived,
      SHARED,
      'what the site owns is the administrator’s to put',
    )
    await enter()
    t.match((await ask('ada', asked, entrance)).arrived, OWN, 'entered again, knowing')
    t.equal(await state(), 'ready')
    await administrate({})
    t.equal((await ask('ada', PLAIN)).code, 'fine', 'less needs nobody’s approval')
    await site.close()
  })
}

t.test("another CA is no door to a user's own credential (R28)", async (t) => {
  const { site, enter, change, ask, state } = await startOwned()
  await change({ ca: `${upstream.ca}${other.cert}` })
  const refused = await ask('ada', PLAIN)
  t.equal(refused.code, 'credential_outside_audience')
  t.equal(refused.arrived, '')
  t.equal(await state(), 'outside-audience')
  t.match((await ask('bob', PLAIN)).arrived, SHARED)
  await enter()
  t.equal((await ask('ada', PLAIN)).code, 'fine')
  await change({ ca: `${other.cert.replaceAll('\n', '\r\n')}\n${upstream.ca}\nand a remark` })
  t.equal((await ask('ada', PLAIN)).code, 'fine', 'the same certificates are the same CA')
  await site.close()
})

t.test("who vouches for a wildcard does not do so for a user's own credential (R28)", async (t) => {
  const origin = upstream.origin.replace('localhost', '*.crm.localhost')
  const { site, enter, change, ask } = await startOwned()
  const wild = { destinations: [upstream.origin, origin] }
  await change(wild)
  await enter()
  await change({ ...wild, ownedWildcard: true })
  const at = {
    ...upstream,
    authority: upstream.authority.replace('localhost', 'a.crm.localhost'),
    name: 'echo',
  }
  const code = async (as: string) => (await askBy(t, site, 'forward', at, { as, ...PLAIN })).status
  t.equal(await code('ada'), 424)
  t.equal(await code('bob'), 200)
  t.equal((await ask('ada', PLAIN)).code, 'fine', 'what was approved goes on')
  await enter()
  t.equal(await code('ada'), 200)
  await site.close()
})

t.test('what the usual headers take needs no approval of its own', async (t) => {
  const { site, change, ask, state } = await startOwned()
  await change({ headers: { 'X-Api-Key': HERE, 'X-User': '{{$User.Id}}' }, query: { who: '{{$User.Id}}' } })
  t.match((await ask('ada')).arrived, OWN)
  t.equal(await state(), 'ready')
  await site.close()
})

t.test('a slot that holds nothing of the credential needs none either', async (t) => {
  const { site, change, ask } = await startOwned()
  await change({ slots: { headers: ['authorization', 'x-user'] } })
  const asked = { headers: [...(PLAIN.headers as string[]), 'X-User: <<$User.Id>>'] }
  t.match((await ask('ada', asked)).arrived, /x-user: ada/i)
  await site.close()
})
